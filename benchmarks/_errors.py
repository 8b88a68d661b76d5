"""Why a measurement stopped."""


class BenchmarkError(Exception):
    """A measurement cannot be made, or must not be believed; printed as one line, exit status 1."""


class ContenderFailed(BenchmarkError):
    """One contender cannot go on; the others can. The message is the reason in its row."""
