"""Prove that a graph answers as the torch checkpoint does: names, axes, shapes, values, labels, in this order."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from setfuse.runtime import Parity, Precision, Scores

from ._check_set import CheckSet, chosen, margin
from ._encoder import FloatArray
from ._errors import ParityError

FP32_TOLERANCE = 1e-5
"""Largest difference of a probability that float32 arithmetic in another order explains, with a head of usual size."""

ROUNDING_FACTOR = 10
"""A head with large coefficients amplifies rounding, in torch too: how many times torch's own difference between
batch sizes a float32 graph may be off."""

TORCH_TOLERANCE = 1e-3
"""How far torch's embedding of a text may differ between batches, as a share of the largest component there is. What
differs more is no rounding: padding is let in."""

INT8_MEAN_TOLERANCE = 0.01
"""Largest mean difference of a probability of an int8 graph."""

INT8_BATCH_TOLERANCE = 1e-5
"""How much an int8 graph's answer to a text may depend on the batch that the text is in."""

FP16_MEAN_TOLERANCE = 0.002
"""Largest mean difference of a probability of an fp16 graph."""

FP16_AGREEMENT = 0.998
"""Share of the texts that an fp16 graph must give torch's label; a tie in torch is no miss."""

FP16_TIE = 0.002
"""How near two labels are, in torch, where half precision may choose either: its probabilities are 0.001 apart."""

SURE = 0.2
"""How far torch's two best labels must be apart for int8 to have no excuse for another one."""

SHOWN = 5
"""How many texts a message names."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to the same texts, in their order.

    Attributes:
        probabilities: (texts, labels); decision scores where the head has no probabilities.
        embeddings: float32 (texts, dim).
    """

    probabilities: npt.NDArray[np.floating]
    embeddings: FloatArray


@dataclass(frozen=True, slots=True)
class Reference:
    """What a graph is compared with.

    Attributes:
        checks: The texts.
        torch: Torch's answers.
        torch_again: Torch's at another batch size, which shows what rounding alone does.
        labels: Names of the labels.
        multi_label: Whether a text can have several.
        scores: Probabilities or decision scores.
        judge: Of a head that jumps at a tiny change of the embedding, the head itself: its graph is judged on the
            embedding that it got. None of any other head.
    """

    checks: CheckSet
    torch: Answers
    torch_again: Answers
    labels: tuple[str, ...]
    multi_label: bool = False
    scores: Scores = Scores.PROBABILITIES
    judge: Callable[[FloatArray], npt.NDArray[np.floating]] | None = None

    def only(self, numbers: Sequence[int]) -> "Reference":
        """Give the same for some of the texts."""
        labels = self.checks.labels
        checks = CheckSet(
            self.checks.name,
            tuple(self.checks.texts[number] for number in numbers),
            None if labels is None else tuple(labels[number] for number in numbers),
        )
        torch, again = (
            Answers(answers.probabilities[numbers], answers.embeddings[numbers])
            for answers in (self.torch, self.torch_again)
        )
        return dataclasses.replace(self, checks=checks, torch=torch, torch_again=again)

    @property
    def what(self) -> str:
        """The scores, by their name in a sentence."""
        return "decision scores" if self.scores is Scores.DECISION else "probabilities"

    @property
    def unit(self) -> float:
        """What a difference of scores is measured in: 1, but the mean size of decision scores where that is more."""
        if self.scores is Scores.PROBABILITIES:
            return 1.0
        return max(1.0, float(np.abs(self.torch.probabilities).mean()))

    def chosen(self, scores: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        """Tell which labels each text is given: (texts, labels)."""
        return chosen(scores, multi_label=self.multi_label, kind=self.scores)

    def accuracy(self, scores: npt.NDArray[np.floating]) -> float | None:
        """Give the share of texts that are given exactly their labels; None where these are not known."""
        if self.checks.labels is None:
            return None
        right = np.array([[label in own for label in self.labels] for own in self.checks.labels])
        return float((self.chosen(scores) == right).all(axis=1).mean())


@dataclass(frozen=True, slots=True)
class _Gate:
    """What is asked of a precision.

    Attributes:
        on_average: Whether the tolerance is for the mean difference; otherwise it is for the largest.
        tolerance: Of a score's difference.
        excused: How far apart torch's two best labels may be for another label to be no miss.
        agreement: Share of the texts that must have torch's label, excused ones included.
    """

    on_average: bool
    tolerance: float
    excused: float
    agreement: float = 1.0


def check_interface(model: onnx.ModelProto, labels: Sequence[str], *, takes_mask: bool, scores: Scores) -> None:
    """Check names, axes and shapes of a graph against what a bundle promises.

    Raises:
        ParityError: Something is not as promised.
    """
    found = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    dim = found.get("sentence_embedding", [None])[-1]
    expected = {
        "input_ids": ["batch", "sequence"],
        **({"attention_mask": ["batch", "sequence"]} if takes_mask else {}),
        str(scores): ["batch", len(labels)],
        "sentence_embedding": ["batch", dim],
    }
    if found != expected or not isinstance(dim, int):
        raise ParityError(f"the graph's inputs and outputs: expected {expected}, found {found}")


def compare(
    precision: Precision, ways: Sequence[Answers], reference: Reference, *, allow_mismatch: bool = False
) -> Parity:
    """Compare a graph's answers with torch's.

    fp32 must be as near to torch as rounding explains, and may give another label only where torch is at a tie. fp16
    and int8 must be near in the mean; fp16 must give 99.8 % of torch's labels, int8 all that torch was sure of.

    Args:
        precision: The graph's.
        ways: Its answers, one for each way that it is run (alone, in batches, padded).
        reference: Torch's answers.
        allow_mismatch: Note what does not hold instead of refusing it.

    Returns:
        The parity, of the worst of the ways.

    Raises:
        ParityError: The graph is further off than its precision explains; the message names the texts.
    """
    torch = reference.torch
    _check_torch(reference)
    _check_finite(precision, ways, reference)
    torch_difference = float(np.abs(torch.probabilities - reference.torch_again.probabilities).max())
    gate = _gate(precision, torch_difference, reference.unit)
    failures = [_values(precision, ways, reference, gate), _labels(precision, ways, reference, gate)]
    if precision is Precision.INT8:
        failures.append(_batches(ways, reference))
    found = [failure for failure in failures if failure]
    if found and not allow_mismatch:
        raise ParityError(
            f"{found[0]}; no bundle was written; --precision (precisions=) leaves a graph out, --allow-mismatch "
            "(allow_mismatch=True) goes on"
        )
    differences = np.max([np.abs(way.probabilities - torch.probabilities) for way in ways], axis=0)
    same = [_same_labels(reference, way.probabilities, torch.probabilities) for way in ways]
    embeddings = np.max([np.abs(way.embeddings - torch.embeddings) for way in ways], axis=0)
    return Parity(
        texts=len(reference.checks.texts),
        max_probability_difference=float(differences.max()),
        mean_probability_difference=float(differences.mean()),
        max_embedding_difference=float(embeddings.max()),
        mean_embedding_difference=float(embeddings.mean()),
        label_agreement=float(np.all(same, axis=0).mean()),
        tolerance=gate.tolerance,
        torch_difference=torch_difference,
        accuracy=reference.accuracy(ways[0].probabilities),
        torch_accuracy=reference.accuracy(torch.probabilities),
        checked_on=reference.checks.name,
        allowed_mismatch="; ".join(found),
    )


def _check_torch(reference: Reference) -> None:
    """Refuse a torch model that lets padding into its answers: there is no one answer to compare with.

    Raises:
        ParityError: It does.
    """
    alone, batched = reference.torch_again.embeddings, reference.torch.embeddings
    differences = np.abs(alone - batched).max(axis=1) / max(float(np.abs(alone).max()), 1e-12)
    if not float(differences.max()) <= TORCH_TOLERANCE:  # also true of NaN
        worst = reference.checks.texts[int(differences.argmax())]
        raise ParityError(
            f"torch's own embeddings: expected the same within {TORCH_TOLERANCE:.0e} whatever else is in the batch, "
            f"found {differences.max():.1e} for {_shown(worst)}: the model lets padding into its answers, so "
            "there is no one answer to compare with; no bundle was written"
        )


def _check_finite(precision: Precision, ways: Sequence[Answers], reference: Reference) -> None:
    """Refuse a graph that overflows, whatever is allowed: there is no difference to write into the bundle.

    Raises:
        ParityError: It does.
    """
    for way in ways:
        finite = np.isfinite(way.probabilities).all(axis=1) & np.isfinite(way.embeddings).all(axis=1)
        if not finite.all():
            raise ParityError(
                f"the {precision} graph: expected finite answers, found NaN or infinity, first for the text "
                f"{reference.checks.texts[int(finite.argmin())]!r:.60}; no bundle was written"
            )


def _gate(precision: Precision, torch_difference: float, unit: float) -> _Gate:
    if precision is Precision.INT8:
        return _Gate(on_average=True, tolerance=INT8_MEAN_TOLERANCE * unit, excused=SURE * unit)
    if precision is Precision.FP16:
        return _Gate(
            on_average=True, tolerance=FP16_MEAN_TOLERANCE * unit, excused=FP16_TIE * unit, agreement=FP16_AGREEMENT
        )
    tolerance = max(FP32_TOLERANCE * unit, ROUNDING_FACTOR * torch_difference)
    return _Gate(on_average=False, tolerance=tolerance, excused=2 * tolerance)


def _expected(reference: Reference, way: Answers) -> npt.NDArray[np.floating]:
    return reference.torch.probabilities if reference.judge is None else reference.judge(way.embeddings)


def _same_labels(
    reference: Reference, scores: npt.NDArray[np.floating], others: npt.NDArray[np.floating]
) -> npt.NDArray[np.bool_]:
    result: npt.NDArray[np.bool_] = (reference.chosen(scores) == reference.chosen(others)).all(axis=1)
    return result


def _values(precision: Precision, ways: Sequence[Answers], reference: Reference, gate: _Gate) -> str:
    """Say what is wrong with the values; nothing where nothing is."""
    texts = reference.checks.texts
    differences = np.max([np.abs(way.probabilities - _expected(reference, way)) for way in ways], axis=0)
    found = float(differences.mean() if gate.on_average else differences.max())
    if not found <= gate.tolerance:  # also true of NaN
        worst = int(differences.max(axis=1).argmax())
        measure = "on average" if gate.on_average else "at most"
        return (
            f"the {precision} graph's {reference.what}: expected {measure} {gate.tolerance:.1e} from torch's, "
            f"found {found:.1e}, most for {_shown(texts[worst])}"
        )
    if reference.judge is not None and precision is Precision.FP32:
        return _embeddings(ways, reference)
    return ""


def _embeddings(ways: Sequence[Answers], reference: Reference) -> str:
    torch = reference.torch.embeddings
    tolerance = max(FP32_TOLERANCE, ROUNDING_FACTOR * float(np.abs(torch - reference.torch_again.embeddings).max()))
    differences = np.max([np.abs(way.embeddings - torch) for way in ways], axis=0)
    if float(differences.max()) <= tolerance:
        return ""
    worst = reference.checks.texts[int(differences.max(axis=1).argmax())]
    return (
        f"the graph's embeddings: expected at most {tolerance:.1e} from torch's, found {differences.max():.1e}, "
        f"most for {_shown(worst)}"
    )


def _labels(precision: Precision, ways: Sequence[Answers], reference: Reference, gate: _Gate) -> str:
    """Say which texts have another label without an excuse; nothing where too few do to matter."""
    texts = reference.checks.texts
    missed: dict[int, str] = {}
    for way in ways:
        expected = _expected(reference, way)
        sure = margin(expected, multi_label=reference.multi_label, kind=reference.scores) > gate.excused
        for text in np.flatnonzero(~_same_labels(reference, way.probabilities, expected) & sure):
            wanted, got = (reference.chosen(scores)[text] for scores in (expected, way.probabilities))
            missed.setdefault(
                int(text), f"{texts[text]!r:.60}: {_named(reference, wanted)} became {_named(reference, got)}"
            )
    if 1 - len(missed) / len(texts) >= gate.agreement:
        return ""
    more = f", and {len(missed) - SHOWN} more" if len(missed) > SHOWN else ""
    return (
        f"the {precision} graph's labels: expected torch's for {gate.agreement:.1%} of the texts, found others for "
        f"{len(missed)} of {len(texts)}: {', '.join(list(missed.values())[:SHOWN])}{more}"
    )


def _named(reference: Reference, scores: npt.NDArray[np.floating]) -> str:
    given = reference.chosen(scores[None])[0]
    names = [repr(label) for label, is_given in zip(reference.labels, given, strict=True) if is_given]
    return " and ".join(names) or "no label"


def _shown(text: str) -> str:
    return f"the text {text!r:.60}" if text else "the empty text"


def _batches(ways: Sequence[Answers], reference: Reference) -> str:
    """Say for which text the answer depends on the batch; nothing where it does for none."""
    spread = np.ptp([way.probabilities for way in ways], axis=0)
    if float(spread.max()) <= INT8_BATCH_TOLERANCE * reference.unit:
        return ""
    worst = reference.checks.texts[int(spread.max(axis=1).argmax())]
    return (
        f"the int8 graph: expected the same answer alone and in any batch, to {INT8_BATCH_TOLERANCE:.0e}, "
        f"found {spread.max():.1e} between them for {_shown(worst)}"
    )
