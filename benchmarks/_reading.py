"""Read a run: which row is whose, which columns there are, which contenders are ours."""

from dataclasses import dataclass

from ._results import FootprintRow, LatencyRow, Results, ThroughputRow

_KINDS = ("length", "batch", "closed", "open")
_KIND_TITLES = {"closed": "closed loop", "open": "open loop"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One case of the latency, as a column of a table.

    Attributes:
        case: Its name.
        kind: As in `LatencyRow`.
        tokens: Tokens a call.
    """

    case: str
    kind: str
    tokens: float

    @property
    def title(self) -> str:
        """The case's name, with the loop where there can be two of them."""
        loop = _KIND_TITLES.get(self.kind, "")
        return self.case if not loop or loop.split()[0] in self.case.casefold() else f"{self.case}, {loop}"


class Run:
    """A run's rows by contender."""

    def __init__(self, results: Results) -> None:
        """Index them.

        Args:
            results: The run.
        """
        self.results = results
        self.latency: dict[tuple[str, str], LatencyRow] = {(row.contender, row.case): row for row in results.rows}
        self.throughput: dict[tuple[str, int], ThroughputRow] = {
            (row.contender, row.threads): row for row in results.throughput
        }
        self.footprint: dict[str, FootprintRow] = {row.contender: row for row in results.footprint}
        self.ours: frozenset[str] = ours(results)
        cases = {row.case: Shown(row.case, row.kind, row.tokens) for row in results.rows}
        self.cases: tuple[Shown, ...] = tuple(
            sorted(cases.values(), key=lambda case: (_rank(case), case.tokens if _rank(case) == 0 else 0))
        )
        self.threads: tuple[int, ...] = tuple(sorted({row.threads for row in results.throughput}))

    @property
    def real(self) -> Shown | None:
        """The case of the real texts, one after the other; None where they were not run."""
        return next((case for case in self.cases if case.kind == "closed"), None)

    @property
    def main(self) -> Shown | None:
        """The case that stands for all: the real texts, or the longest single text, or the first; None without any."""
        lengths = [case for case in self.cases if case.kind == "length"]
        return self.real or next(iter((*lengths[::-1], *self.cases)), None)


def ours(results: Results) -> frozenset[str]:
    """Give setfuse's variants: those that others are compared with, and the others of its name."""
    references = {entrant.reference for entrant in results.contenders}
    names = [entrant.contender for entrant in results.contenders]
    return frozenset(name for name in names if name in references or name.startswith("setfuse "))


def threads_title(threads: int) -> str:
    """Name the throughput with so many threads."""
    return f"throughput, {threads} thread{'s' * (threads > 1)}"


def digits(value: float | None) -> str:
    """Write a figure with three digits that count, or all of a larger one's whole digits; `-` for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}".rstrip(".")


def _rank(case: Shown) -> int:
    return _KINDS.index(case.kind) if case.kind in _KINDS else len(_KINDS)
