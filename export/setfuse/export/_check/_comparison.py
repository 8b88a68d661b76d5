"""Compare the outputs of a graph with a checkpoint's answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from setfuse.export._checkpoint import Checkpoint
from setfuse.export._errors import GraphError
from setfuse.export._oracle import TorchOracle
from setfuse.export._validate import FP32_TOLERANCE, ROUNDING_FACTOR, Answers

from ._batches import Batch, BatchMaker
from ._case import Case
from ._explain import explain
from ._foreign import ForeignGraph
from ._reference import Reference
from ._report import CheckedOutput, Reason
from ._roles import FloatArray, InputRole, OutputRole
from ._subject import PADDED_BATCH, Output, Subject, Values, choose

_PROBE_TOKENS = 8
"""Length of the text that shows what the outputs are: no width that a model has."""


def compare_graph(
    graph: ForeignGraph,
    checkpoint: Checkpoint,
    maker: BatchMaker,
    choices: Sequence[Mapping[str, InputRole]],
    texts: tuple[str, ...],
    *,
    tolerance: float | None,
    output: str | None,
) -> tuple[Mapping[str, InputRole], tuple[CheckedOutput, ...]]:
    """Compare a graph with a checkpoint.

    Args:
        graph: The graph.
        checkpoint: The checkpoint.
        maker: Makes batches as a user of the graph would.
        choices: What the inputs may be.
        texts: What to compare on.
        tolerance: As of `check`.
        output: As of `check`.

    Returns:
        What the inputs are, and each output that was compared.

    Raises:
        GraphError: The outputs cannot be understood, or the graph cannot be run.
    """
    oracle = TorchOracle(checkpoint)
    answers, again = (oracle.answer(texts, batch_size=size) for size in (1, PADDED_BATCH))
    subject = Subject(graph, maker, Reference(oracle, answers.embeddings), checkpoint.labels)
    comparison = _Comparison(subject, checkpoint, texts, answers, again, tolerance)
    roles = comparison.best_roles(choices, output)
    outputs = comparison.outputs(roles, output)
    return roles, tuple(comparison.judge(one, roles) for one in outputs)


@dataclass(frozen=True, slots=True)
class _Comparison:
    subject: Subject
    checkpoint: Checkpoint
    texts: tuple[str, ...]
    answers: Answers
    again: Answers
    tolerance: float | None

    def best_roles(self, choices: Sequence[Mapping[str, InputRole]], output: str | None) -> Mapping[str, InputRole]:
        """Take the assignment of inputs whose answers are nearest to the checkpoint's."""
        if len(choices) == 1:
            return choices[0]
        nearest: list[tuple[float, Mapping[str, InputRole]]] = []
        refused: GraphError | None = None
        for roles in choices:
            try:
                distance = min(self._distance(one, roles) for one in self._candidates(roles, output))
            except GraphError as error:
                refused = error
                continue
            nearest.append((distance, roles))
        if not nearest and refused:
            raise refused
        return min(nearest, key=lambda pair: pair[0])[1]

    def outputs(self, roles: Mapping[str, InputRole], name: str | None) -> list[Output]:
        """Find the outputs to judge."""
        candidates = self._candidates(roles, name)
        several = len({one.role for one in candidates}) < len(candidates)
        equal = [one for one in candidates if several and self._distance(one, roles) <= self._allowed(one.role)]
        return choose(candidates, equal, self.subject.graph.path)

    def judge(self, output: Output, roles: Mapping[str, InputRole]) -> CheckedOutput:
        """Compare one output on all texts, and explain what differs."""
        subject = self.subject
        expected = self._expected(output.role)
        is_padded = InputRole.MASK in roles.values()
        batches = subject.maker.alone(self.texts)
        padded = subject.maker.padded(self.texts, PADDED_BATCH) if is_padded else []
        alone = subject.answer(output, batches, roles)
        in_batch = (
            subject.answer(output, padded, roles) if is_padded else subject.beside_another(output, self.texts, roles)
        )
        differences = [_differences(values, expected) for values in (alone, in_batch)]
        per_text = np.maximum(*differences)
        tolerance = self._allowed(output.role)
        same = self._same_labels(output.role, alone, in_batch)
        equal = bool(per_text.max() <= tolerance)
        if output.role is OutputRole.LABELS:
            equal = same is not None and bool((same | self._at_a_tie()).all())
        reasons: list[Reason] = []
        if not equal and output.role is OutputRole.LABELS:
            if not self._follow_scores(alone, batches, roles):
                sentence = "the labels that the graph puts out are not those of its own scores, nor the checkpoint's"
                reasons = [Reason("labels", sentence)]
        elif not equal:
            own = BatchMaker(self.checkpoint.tokenizer, self.checkpoint.max_length, str(self.checkpoint.folder))
            case = Case(
                subject,
                roles,
                output,
                tolerance,
                self.texts,
                own,
                expected,
                alone,
                in_batch,
                is_padded,
                batches,
                padded,
            )
            reasons = explain(case)
        return CheckedOutput(
            name=output.name,
            role=output.role,
            equal=equal,
            tolerance=tolerance,
            max_difference=float(per_text.max()),
            mean_difference=float(np.abs(alone.rows - expected).mean())
            if alone.rows.shape == expected.shape
            else np.inf,
            alone_difference=float(differences[0].max()),
            batch_difference=float(differences[1].max()),
            label_agreement=None if same is None else float(same.mean()),
            worst_text=self.texts[int(per_text.argmax())],
            reasons=tuple(reasons),
        )

    def _candidates(self, roles: Mapping[str, InputRole], name: str | None) -> list[Output]:
        lengths = [
            (abs(len(ids) - _PROBE_TOKENS), place) for place, ids in enumerate(self.subject.maker.ids(self.texts))
        ]
        found = self.subject.outputs(roles, self.texts[min(lengths)[1]], self.answers.embeddings.shape[1])
        wanted = [one for one in found if name in {None, one.name}]
        if not wanted:
            names = ", ".join(f"{one.name} ({one.role})" for one in found)
            raise GraphError(
                f"{self.subject.graph.path}: expected an output {name!r} that can be compared; has: {names}"
            )
        return wanted

    def _distance(self, output: Output, roles: Mapping[str, InputRole]) -> float:
        """Give the largest difference on a padded batch of a few texts of middling length."""
        lengths = np.asarray([len(ids) for ids in self.subject.maker.ids(self.texts)])
        places = np.abs(lengths - _PROBE_TOKENS).argsort(kind="stable")[:3]
        some = [self.texts[place] for place in places]
        masked = InputRole.MASK in roles.values()
        batches = [self.subject.maker.together(some)] if masked else self.subject.maker.alone(some)
        values = self.subject.answer(output, batches, roles)
        return float(_differences(values, self._expected(output.role)[places]).max())

    def _expected(self, role: OutputRole) -> FloatArray:
        if role is OutputRole.SCORES:
            return self.answers.probabilities.astype(np.float64)
        if role is OutputRole.LABELS:
            places: FloatArray = self.answers.probabilities.argmax(axis=1)[:, None].astype(np.float64)
            return places
        return self.answers.embeddings.astype(np.float64)

    def _allowed(self, role: OutputRole) -> float:
        """Give the largest difference that counts as equal."""
        if role is OutputRole.LABELS:
            return 0.0
        if role is OutputRole.SCORES:
            scale, some, others = 1.0, self.answers.probabilities, self.again.probabilities
        else:
            some, others = self.answers.embeddings, self.again.embeddings
            scale = max(1.0, float(np.abs(some).max()))
        if self.tolerance is not None:
            return self.tolerance * scale
        return max(FP32_TOLERANCE * scale, ROUNDING_FACTOR * float(np.abs(some - others).max()))

    def _same_labels(self, role: OutputRole, *ways: Values) -> npt.NDArray[np.bool_] | None:
        """Tell for each text whether it gets the checkpoint's label in every way; None if no label can be given."""
        expected = self.answers.probabilities.argmax(axis=1)
        given = []
        for values in ways:
            rows = values.rows
            if role is OutputRole.LABELS:
                given.append(rows[:, 0])
            elif role is OutputRole.SCORES:
                given.append(np.where(np.isnan(rows).any(axis=1), -1, np.nan_to_num(rows).argmax(axis=1)))
            elif rows.shape[1] == self.answers.embeddings.shape[1]:
                labels = self.subject.reference.classify(np.nan_to_num(rows).astype(np.float32)).argmax(axis=1)
                given.append(np.where(np.isnan(rows).any(axis=1), -1, labels))
            else:
                return None
        same: npt.NDArray[np.bool_] = np.all([labels == expected for labels in given], axis=0)
        return same

    def _follow_scores(self, labels: Values, batches: Sequence[Batch], roles: Mapping[str, InputRole]) -> bool:
        """Tell whether wrong labels have the cause of wrong scores, and none of their own."""
        scores = [one for one in self._candidates(roles, None) if one.role is OutputRole.SCORES]
        rows = [self.subject.answer(one, batches, roles).rows for one in scores]
        return any(bool((row.argmax(axis=1) == labels.rows[:, 0]).all()) for row in rows)

    def _at_a_tie(self) -> npt.NDArray[np.bool_]:
        ordered = np.sort(self.answers.probabilities, axis=1)
        tie: npt.NDArray[np.bool_] = ordered[:, -1] - ordered[:, -2] <= 2 * self._allowed(OutputRole.SCORES)
        return tie


def _differences(values: Values, expected: FloatArray) -> FloatArray:
    """Give the largest difference of each text; infinite where the graph failed or has another width."""
    if values.rows.shape != expected.shape:
        return np.full(len(expected), np.inf)
    off: FloatArray = np.nan_to_num(np.abs(values.rows - expected).max(axis=1), nan=np.inf)
    return off
