"""Compare the outputs of a graph with a checkpoint's answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from setfuse.export._checkpoint import Checkpoint
from setfuse.export._errors import GraphError
from setfuse.export._oracle import TorchOracle

from ._batches import Batch, BatchMaker
from ._case import Case
from ._explain import explain
from ._foreign import ForeignGraph
from ._reference import Reference
from ._report import CheckedOutput, Reason
from ._roles import FloatArray, InputRole, OutputRole
from ._standard import Standard
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
    subject = Subject(graph, maker, Reference(oracle, checkpoint, answers.embeddings), checkpoint.labels)
    standard = Standard(checkpoint.head, answers, again, tolerance)
    own = BatchMaker(checkpoint.tokenizer, checkpoint.max_length, str(checkpoint.folder), prompt=checkpoint.prompt)
    comparison = _Comparison(subject, own, texts, standard)
    roles = comparison.best_roles(choices, output)
    outputs = comparison.outputs(roles, output)
    return roles, tuple(comparison.judge(one, roles) for one in outputs)


@dataclass(frozen=True, slots=True)
class _Comparison:
    subject: Subject
    own: BatchMaker
    texts: tuple[str, ...]
    standard: Standard

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
        allowed = self.standard.allowed
        equal = [one for one in candidates if several and self._distance(one, roles) <= allowed(one.role)]
        return choose(candidates, equal, self.subject.graph.path)

    def judge(self, output: Output, roles: Mapping[str, InputRole]) -> CheckedOutput:
        """Compare one output on all texts, and explain what differs."""
        subject, standard = self.subject, self.standard
        is_padded = InputRole.MASK in roles.values()
        batches = subject.maker.alone(self.texts)
        padded = subject.maker.padded(self.texts, PADDED_BATCH) if is_padded else []
        ways = self._run(output, batches, padded, roles)
        embeddings = self._own_embeddings(output, batches, padded, roles)
        expected = [standard.expected(output.role)] * 2 if embeddings is None else self._of_head(output, embeddings)
        differences = [_differences(values, wanted) for values, wanted in zip(ways, expected, strict=True)]
        per_text = np.maximum(*differences)
        tolerance = standard.allowed(output.role)
        same = self._same_labels(output.role, ways)
        equal = bool(per_text.max() <= tolerance)
        if output.role is OutputRole.LABELS:
            equal = bool(((per_text == 0) | standard.at_a_tie(standard.answers.probabilities)).all())
        reasons: list[Reason] = []
        if not equal and output.role is OutputRole.LABELS:
            if not self._follow_scores(ways[0], batches, roles):
                sentence = "the labels that the graph puts out are not those of its own scores, nor the checkpoint's"
                reasons = [Reason("labels", sentence)]
        elif not equal:
            case = Case(
                subject=subject,
                roles=roles,
                output=output,
                tolerance=tolerance,
                texts=self.texts,
                own=self.own,
                expected=expected[0],
                alone=ways[0],
                in_batch=ways[1],
                is_padded=is_padded,
                batches=batches,
                padded=padded,
                on_own_embedding=embeddings is not None,
            )
            reasons = explain(case)
        return CheckedOutput(
            name=output.name,
            role=output.role,
            equal=equal,
            tolerance=tolerance,
            unit=standard.unit(output.role),
            on_own_embedding=embeddings is not None,
            max_difference=float(per_text.max()),
            mean_difference=_mean_difference(ways[0], expected[0]),
            alone_difference=float(differences[0].max()),
            batch_difference=float(differences[1].max()),
            label_agreement=None if same is None else float(same.mean()),
            worst_text=self.texts[int(per_text.argmax())],
            reasons=tuple(reasons),
        )

    def _run(
        self, output: Output, batches: Sequence[Batch], padded: Sequence[Batch], roles: Mapping[str, InputRole]
    ) -> tuple[Values, Values]:
        """Run all texts alone, and in batches: padded ones if there are any."""
        alone = self.subject.answer(output, batches, roles)
        if padded:
            return alone, self.subject.answer(output, padded, roles)
        return alone, self.subject.beside_another(output, self.texts, roles)

    def _own_embeddings(
        self, output: Output, batches: Sequence[Batch], padded: Sequence[Batch], roles: Mapping[str, InputRole]
    ) -> tuple[Values, Values] | None:
        """Give the graph's own embeddings, if its scores are to be judged on them; (texts, dim)."""
        if not self.standard.head.has_steps or output.role not in {OutputRole.SCORES, OutputRole.LABELS}:
            return None
        candidates = [one for one in self._candidates(roles, None) if one.role is OutputRole.EMBEDDING]
        if not candidates:
            return None
        ways = self._run(candidates[0], batches, padded, roles)
        return ways if ways[0].rows.shape[1] == self.subject.reference.dim else None

    def _of_head(self, output: Output, embeddings: Sequence[Values]) -> list[FloatArray]:
        """Ask the checkpoint's head about the graph's embeddings; what an output is to hold then."""
        answers = [self.standard.head.answer(np.nan_to_num(values.rows)) for values in embeddings]
        if output.role is OutputRole.LABELS:
            return [self.standard.chosen(scores).astype(np.float64) for scores in answers]
        return answers

    def _candidates(self, roles: Mapping[str, InputRole], name: str | None) -> list[Output]:
        lengths = [
            (abs(len(ids) - _PROBE_TOKENS), place) for place, ids in enumerate(self.subject.maker.ids(self.texts))
        ]
        found = self.subject.outputs(roles, self.texts[min(lengths)[1]])
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
        return float(_differences(values, self.standard.expected(output.role)[places]).max())

    def _same_labels(self, role: OutputRole, ways: Sequence[Values]) -> npt.NDArray[np.bool_] | None:
        """Tell for each text whether it gets the checkpoint's labels in every way; None if no label can be given."""
        standard = self.standard
        given = []
        for values in ways:
            rows = values.rows
            if role is OutputRole.LABELS:
                given.append(rows == 1)
            elif role is OutputRole.SCORES and rows.shape[1] == len(self.subject.labels):
                given.append(standard.chosen(rows))
            elif role is not OutputRole.SCORES and rows.shape[1] == self.subject.reference.dim:
                scores = standard.head.answer(np.nan_to_num(rows))
                scores[np.isnan(rows).any(axis=1)] = np.nan
                given.append(standard.chosen(scores))
            else:
                return None
        expected = standard.expected(OutputRole.LABELS) == 1
        answered = ~np.any([np.isnan(values.rows).any(axis=1) for values in ways], axis=0)
        same = np.all([(labels == expected).all(axis=1) for labels in given], axis=0)
        result: npt.NDArray[np.bool_] = same & answered
        return result

    def _follow_scores(self, labels: Values, batches: Sequence[Batch], roles: Mapping[str, InputRole]) -> bool:
        """Tell whether wrong labels have the cause of wrong scores (another head's, say), and none of their own."""
        scores = [one for one in self._candidates(roles, None) if one.role is OutputRole.SCORES]
        rows = [self.subject.answer(one, batches, roles).rows for one in scores]
        return any(
            row.shape != labels.rows.shape or bool((self.standard.chosen(row) == (labels.rows == 1)).all())
            for row in rows
        )


def _differences(values: Values, expected: FloatArray) -> FloatArray:
    """Give the largest difference of each text; infinite where the graph failed or has another width."""
    if values.rows.shape != expected.shape:
        return np.full(len(expected), np.inf)
    off: FloatArray = np.nan_to_num(np.abs(values.rows - expected).max(axis=1), nan=np.inf)
    return off


def _mean_difference(values: Values, expected: FloatArray) -> float:
    return float(np.abs(values.rows - expected).mean()) if values.rows.shape == expected.shape else np.inf
