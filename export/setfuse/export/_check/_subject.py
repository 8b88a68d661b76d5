"""The graph under test as the checks see it: texts in, one array an output, alone and in batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from setfuse.export._errors import GraphError

from ._batches import Batch, BatchMaker
from ._foreign import ForeignGraph, RunFailed
from ._reference import Reference, Tokens
from ._roles import (
    PREFERRED_OUTPUTS,
    FloatArray,
    InputRole,
    OutputRole,
    Shapes,
    as_labels,
    as_scores,
    of_another_head,
    output_role,
)

PADDED_BATCH = 16
"""Texts a padded batch: large enough that most rows are padded."""


@dataclass(frozen=True, slots=True)
class Output:
    """An output that is judged.

    Attributes:
        name: In the graph.
        role: What it holds.
    """

    name: str
    role: OutputRole


@dataclass(frozen=True, slots=True)
class Values:
    """What an output held for each text.

    Attributes:
        rows: float64 (texts, labels) of scores, (texts, dim) of embeddings, with token embeddings pooled as the
            checkpoint does; of labels (texts, labels), 1 where a text has one. NaN where the graph failed.
        failures: onnxruntime's message for each text, by its place, on which the graph failed.
    """

    rows: FloatArray
    failures: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Subject:
    """A graph, with what feeds it.

    Attributes:
        graph: The graph.
        maker: Makes batches as a user of the graph would.
        reference: The checkpoint, which pools token embeddings.
        labels: The checkpoint's.
    """

    graph: ForeignGraph
    maker: BatchMaker
    reference: Reference
    labels: tuple[str, ...]

    def outputs(self, roles: Mapping[str, InputRole], text: str) -> list[Output]:
        """Find out what each output holds, from what the graph answers to one text.

        Raises:
            GraphError: The graph cannot be run, or none of its outputs can be compared.
        """
        batch = self.maker.together([text])
        try:
            values = self.graph.run(batch, roles)
        except RunFailed as error:
            raise GraphError(
                f"{self.graph.path}: onnxruntime cannot run the graph on a single text: {error}"
            ) from error
        reference, tokens = self.reference, batch.ids.shape[1]
        several = reference.head.multi_label
        expected = Shapes(tokens, reference.hidden, reference.widths, len(self.labels), several)
        found = {name: output_role(value, expected, name) for name, value in values.items()}
        if OutputRole.SCORES not in found.values():
            others = [name for name, role in found.items() if role is None and of_another_head(values[name], name)]
            found |= dict.fromkeys(others, OutputRole.SCORES)
        outputs = [Output(name, role) for name, role in found.items() if role]
        if not outputs:
            shapes = ", ".join(f"{name} {list(np.shape(value))}" for name, value in values.items())
            raise GraphError(
                f"{self.graph.path}: expected an output of probabilities [1, {len(self.labels)}], an embedding "
                f"[1, {reference.dim}] or token embeddings [1, {tokens}, {reference.hidden}] for one text, "
                f"found {shapes}"
            )
        return outputs

    def answer(self, output: Output, batches: Sequence[Batch], roles: Mapping[str, InputRole]) -> Values:
        """Run batches and give one output's values."""
        rows: list[FloatArray | None] = []
        failures: dict[int, str] = {}
        for batch in batches:
            try:
                rows += list(self._read(output, batch, roles))
            except RunFailed as error:
                failures |= {len(rows) + row: str(error) for row in range(len(batch.ids))}
                rows += [None] * len(batch.ids)
        width = next((len(row) for row in rows if row is not None), 1)
        missing = np.full(width, np.nan)
        return Values(np.stack([missing if row is None else row for row in rows]), failures)

    def beside_another(self, output: Output, texts: Sequence[str], roles: Mapping[str, InputRole]) -> Values:
        """Run each text in a batch with another one of as many tokens, the end of the longest text."""
        longest = max(self.maker.alone(texts), key=lambda batch: batch.ids.shape[1]).ids[0]
        batches = []
        for batch in self.maker.alone(texts):
            length = batch.ids.shape[1]
            other = longest[-length:].copy()
            other[0] = longest[0]
            pair = np.stack([batch.ids[0], other])
            mask, types = (np.repeat(value, 2, axis=0) for value in (batch.mask, batch.types))
            batches.append(Batch(pair, mask, types, batch.padding_id))
        both = self.answer(output, batches, roles)
        return Values(both.rows[::2], {row // 2: message for row, message in both.failures.items()})

    def _read(self, output: Output, batch: Batch, roles: Mapping[str, InputRole]) -> FloatArray:
        value = self.graph.run(batch, roles)[output.name]
        if output.role is OutputRole.SCORES:
            return as_scores(value, self.labels, self.reference.head.scores)
        if output.role is OutputRole.LABELS:
            return as_labels(value, self.labels)
        if output.role is OutputRole.EMBEDDING:
            return np.asarray(value, dtype=np.float64)
        embeddings = torch.from_numpy(np.array(value, dtype=np.float32))
        mask = batch.mask[:, : embeddings.shape[1]]  # a graph that pools the first token may give no other
        tokens = Tokens(embeddings, torch.from_numpy(np.ascontiguousarray(mask)))
        finished: FloatArray = self.reference.embed([tokens]).astype(np.float64)
        return finished


def choose(outputs: Sequence[Output], equal: Sequence[Output], path: object) -> list[Output]:
    """Take one output of each kind: the one that equals the checkpoint, or the one whose name says so.

    Args:
        outputs: All that can be judged.
        equal: Those of them that hold what the checkpoint answers.
        path: The graph's, for the message.

    Raises:
        GraphError: Several are equally likely.
    """
    chosen = []
    for role in OutputRole:
        candidates = [output for output in outputs if output.role is role]
        matching = [output for output in candidates if output in equal]
        preferred = [output for name in PREFERRED_OUTPUTS[role] for output in candidates if output.name == name]
        best = matching or preferred or candidates
        if len(best) > 1 and not matching and not preferred:
            names = ", ".join(output.name for output in best)
            raise GraphError(f"{path}: expected one output of {role}, found {names}; say which one with --output NAME")
        chosen += best[:1]
    if any(output.role is OutputRole.EMBEDDING for output in chosen):
        # Token embeddings beside an embedding are what it was pooled from.
        chosen = [output for output in chosen if output.role is not OutputRole.TOKENS]
    return chosen
