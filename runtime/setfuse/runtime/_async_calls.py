"""A classifier's calls for asyncio."""

from collections.abc import Iterable
from typing import Self

from ._inputs import as_list, check_text
from ._manifest import Manifest
from ._prediction import Prediction, Rule, Threshold
from ._resident import Resident
from ._tracing import span


class AsyncCalls:
    """What of `Classifier` is awaited. asyncio itself is imported by who runs an event loop, not here."""

    manifest: Manifest

    def __init__(self, resident: Resident, rule: Rule) -> None:
        self._resident = resident
        self._rule = rule

    async def aclassify(
        self,
        text: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - a deadline also drops the work
        abstain: float | None = None,
        threshold: Threshold | None = None,
    ) -> Prediction:
        """Classify one text without holding up the event loop. Callers at the same time share runs of the graph.

        An idle graph starts at once. Callers may be in several event loops. A call that is cancelled, or whose time is
        over, before its text is begun costs no run.

        Args:
            text: The text.
            timeout: Seconds within which the answer is wanted; None for no deadline.
            abstain: As of a call.
            threshold: As of a call.

        Raises:
            InvalidText: It is none.
            UsageError: `timeout`, `abstain` or `threshold` is out of its range, or not for this bundle.
            Overloaded: `max_queue` texts are waiting.
            DeadlineExceeded: The time is over.
            ClassifierClosed: `close` was called, now or before the text was begun.
            BundleCorrupt: The graph fails on it.
        """
        rule = self._rule.changed(self.manifest, abstain, threshold)
        with span("classify", texts=1):
            rows = await self._resident.batcher().answer([check_text(text)], timeout)
        return rule.prediction(rows[0])

    async def classify_many(
        self,
        texts: Iterable[str],
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - as of aclassify
        abstain: float | None = None,
        threshold: Threshold | None = None,
    ) -> list[Prediction]:
        """Classify texts as `aclassify` does. At most a quarter of `max_queue` of them wait at any time.

        Args:
            texts: Any number of texts; they are all read before the first is classified.
            timeout: Seconds within which all answers are wanted; None for no deadline.
            abstain: As of a call.
            threshold: As of a call.

        Returns:
            One prediction a text, in the order of `texts`.

        Raises:
            InvalidText: `texts` is one string, or something among them is none.
            UsageError: `timeout`, `abstain` or `threshold` is out of its range, or not for this bundle.
            Overloaded: There was no room for the first of them; once some are answered, the others wait for room.
            DeadlineExceeded: The time is over.
            ClassifierClosed: `close` was called, now or before the last text was begun.
            BundleCorrupt: The graph fails on a text; the message says on which.
        """
        rule = self._rule.changed(self.manifest, abstain, threshold)
        wanted = as_list(texts)
        with span("classify", texts=len(wanted)):
            rows = await self._resident.batcher().answer(wanted, timeout)
        return [rule.prediction(row) for row in rows]

    async def aclose(self) -> None:
        """Take no more calls, answer those that are waiting, and close, without holding up the event loop."""
        import asyncio  # it is loaded where this runs

        await asyncio.to_thread(self._resident.close, finish=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()
