"""Why a measurement stopped."""


class BenchmarkError(Exception):
    """A measurement cannot be made, or must not be believed; printed as one line, exit status 1."""
