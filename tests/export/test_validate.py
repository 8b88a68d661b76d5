"""The gate between an export and its bundle, on made-up answers."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from setfuse.export import ParityError
from setfuse.export._check_set import CheckSet
from setfuse.export._validate import Answers, Reference, compare
from setfuse.runtime import Parity, Precision, Scores

Rows = Sequence[Sequence[float]]
TORCH = ((0.7, 0.2, 0.1), (0.1, 0.1, 0.8))


def answers(scores: Rows, embeddings: Rows | None = None) -> Answers:
    zeros = np.zeros((len(scores), 4), np.float32)
    return Answers(np.asarray(scores), zeros if embeddings is None else np.asarray(embeddings, np.float32))


def reference(
    torch: Rows = TORCH,
    again: Rows | None = None,
    *,
    right: Sequence[tuple[str, ...]] | None = None,
    multi_label: bool = False,
    scores: Scores = Scores.PROBABILITIES,
    judge: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Reference:
    texts = tuple(f"text {number}" for number in range(len(torch)))
    return Reference(
        checks=CheckSet("made up", texts, None if right is None else tuple(right)),
        torch=answers(torch),
        torch_again=answers(again or torch),
        labels=("a", "b", "c")[: len(torch[0])],
        multi_label=multi_label,
        scores=scores,
        judge=judge,
    )


def fp32(*ways: Rows, **rest: object) -> Parity:
    return compare(Precision.FP32, [answers(way) for way in ways], reference(**rest))  # type: ignore[arg-type]


def int8(*ways: Rows, **rest: object) -> Parity:
    return compare(Precision.INT8, [answers(way) for way in ways], reference(**rest))  # type: ignore[arg-type]


def fp16(way: Rows, **rest: object) -> Parity:
    return compare(Precision.FP16, [answers(way)], reference(**rest))  # type: ignore[arg-type]


class TestFp32:
    def test_equal_answers_pass(self) -> None:
        parity = fp32(TORCH)

        assert (parity.max_probability_difference, parity.label_agreement, parity.tolerance) == (0, 1, 1e-5)

    def test_a_difference_beyond_the_tolerance_names_its_text(self) -> None:
        with pytest.raises(ParityError, match=r"found 2.0e-05, most for the text 'text 1'; no bundle was written"):
            fp32(TORCH, torch=[[0.7, 0.2, 0.1], [0.1, 0.10002, 0.79998]])

    def test_a_head_that_amplifies_rounding_gets_ten_times_torchs_own(self) -> None:
        torch = [[0.7, 0.2, 0.1], [0.1, 0.10002, 0.79998]]
        again = [[0.7, 0.2, 0.1], [0.1, 0.100022, 0.799978]]

        parity = fp32(TORCH, torch=torch, again=again)

        assert parity.torch_difference == pytest.approx(2e-6)
        assert parity.tolerance == pytest.approx(2e-5)

    def test_the_worst_of_the_ways_counts(self) -> None:
        with pytest.raises(ParityError, match=r"found 1.0e-01, most for the text 'text 0'"):
            fp32(TORCH, [[0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])

    def test_no_number_is_no_agreement(self) -> None:
        with pytest.raises(ParityError, match=r"fp32 graph: expected finite answers, .* for the text 'text 1'"):
            fp32(TORCH, [[0.7, 0.2, 0.1], [np.nan, 0.1, 0.8]])

    def test_another_label_at_a_tie_is_counted_and_allowed(self) -> None:
        tie = [[0.45, 0.450004, 0.1], [0.1, 0.1, 0.8]]

        assert fp32(tie, torch=[[0.450004, 0.45, 0.1], [0.1, 0.1, 0.8]]).label_agreement == 0.5


class TestInt8:
    TORCH = ((0.7, 0.3), (0.45, 0.55))

    def test_another_label_where_torch_was_not_sure(self) -> None:
        assert int8([[0.7, 0.3], [0.452, 0.548]], torch=self.TORCH).label_agreement == 1
        assert int8([[0.7, 0.3], [0.501, 0.499]], torch=[[0.7, 0.3], [0.495, 0.505]]).label_agreement == 0.5

    def test_too_far_in_the_mean(self) -> None:
        with pytest.raises(ParityError, match=r"the int8 graph's probabilities: expected on average 1.0e-02"):
            int8([[0.65, 0.35], [0.46, 0.54]], torch=self.TORCH)

    def test_another_label_where_torch_was_sure(self) -> None:
        torch = [[0.7, 0.3]] * 99 + [[0.45, 0.55]]
        flipped = [[0.4, 0.6], *torch[1:]]

        with pytest.raises(ParityError, match=r"found others for 1 of 100: 'text 0': 'a' became 'b'; no bundle"):
            int8(flipped, torch=torch)

    def test_an_answer_that_depends_on_the_batch(self) -> None:
        with pytest.raises(ParityError, match=r"the same answer alone and in any batch, to 1e-05, found 1.0e-03 .* 1'"):
            int8(self.TORCH, [[0.7, 0.3], [0.451, 0.549]], torch=self.TORCH)


class TestFp16:
    def test_one_label_in_a_thousand_may_differ(self) -> None:
        torch = [[0.53, 0.47]] * 1000

        assert fp16([[0.47, 0.53], *torch[1:]], torch=torch).label_agreement == 0.999
        with pytest.raises(ParityError, match=r"expected torch's for 99.8% of the texts, found others for 3 of 1000"):
            fp16([[0.47, 0.53]] * 3 + torch[3:], torch=torch)

    def test_a_tie_is_no_miss(self) -> None:
        assert fp16([[0.4999, 0.5001]], torch=[[0.5001, 0.4999]]).label_agreement == 0

    def test_too_far_in_the_mean(self) -> None:
        with pytest.raises(ParityError, match=r"the fp16 graph's probabilities: expected on average 2.0e-03"):
            fp16([[0.71, 0.29]], torch=[[0.7, 0.3]])


class TestOtherHeads:
    def test_of_several_labels_all_must_be_the_same(self) -> None:
        torch = [[0.9, 0.2, 0.6], [0.1, 0.1, 0.1]]

        parity = fp32(torch, torch=torch, multi_label=True, right=[("a", "c"), ("b",)])

        assert (parity.label_agreement, parity.accuracy, parity.torch_accuracy) == (1, 0.5, 0.5)
        flipped = [[0.9, 0.2, 0.6], [0.1, 0.1, 0.7]]
        with pytest.raises(ParityError, match="probabilities"):
            fp32(flipped, torch=torch, multi_label=True)
        loose = [[0.9, 0.2, 0.6]] * 99
        with pytest.raises(ParityError, match=r"'text 99': no label became 'c'"):
            int8([*loose, flipped[1]], torch=[*loose, torch[1]], multi_label=True)

    def test_decision_scores_are_measured_in_their_own_size(self) -> None:
        torch = [[-200.0, 200.0], [100.0, -100.0]]

        parity = fp32([[-200.001, 200.001], [100.0, -100.0]], torch=torch, scores=Scores.DECISION)

        assert parity.tolerance == pytest.approx(150e-5)
        with pytest.raises(ParityError, match=r"found 1.0e-02"):
            fp32([[-200.01, 200.01], [100.0, -100.0]], torch=torch, scores=Scores.DECISION)
        small = [[-0.2, 0.2]]
        with pytest.raises(ParityError, match=r"expected at most 1.0e-05"):
            fp32([[-0.2001, 0.2001]], torch=small, scores=Scores.DECISION)

    def test_several_decision_scores_are_chosen_above_zero(self) -> None:
        torch = [[-1.0, 0.2, 3.0]]

        parity = fp32(torch, torch=torch, scores=Scores.DECISION, multi_label=True, right=[("b", "c")])

        assert parity.accuracy == 1

    def test_a_head_with_steps_is_judged_on_the_graphs_own_embedding(self) -> None:
        """The graph's embedding lies on the other side of a step than torch's."""
        torch, graph = [[1.0, 0.0]], [[0.0, 1.0]]
        own = answers(graph, [[1e-7, 0, 0, 0]])

        def judge(embeddings: np.ndarray) -> np.ndarray:
            return np.where(embeddings[:, :1] > 0, [[0.0, 1.0]], [[1.0, 0.0]])

        parity = compare(Precision.FP32, [own], reference(torch, judge=judge))

        assert parity.label_agreement == 0
        with pytest.raises(ParityError, match="probabilities"):
            compare(Precision.FP32, [answers(torch, [[1e-7, 0, 0, 0]])], reference(torch, judge=judge))
        with pytest.raises(ParityError, match=r"the graph's embeddings: expected at most 1.0e-05 .* found 1.0e-01"):
            compare(Precision.FP32, [answers(graph, [[0.1, 0, 0, 0]])], reference(torch, judge=judge))


def test_accuracies_are_of_the_first_way_and_of_torch() -> None:
    parity = fp32(TORCH, right=[("a",), ("b",)])

    assert (parity.accuracy, parity.torch_accuracy, parity.checked_on) == (0.5, 0.5, "made up")


def test_what_is_allowed_is_noted() -> None:
    sure = [[0.7, 0.3]] * 99
    parity = compare(
        Precision.INT8,
        [answers([*sure, [0.3, 0.7]]), answers([*sure, [0.31, 0.69]])],
        reference([*sure, [0.7, 0.3]]),
        allow_mismatch=True,
    )

    assert parity.label_agreement == 0.99
    assert parity.allowed_mismatch.startswith("the int8 graph's labels: ")
    assert "; the int8 graph: expected the same answer alone and in any batch" in parity.allowed_mismatch


def test_no_number_is_never_allowed() -> None:
    with pytest.raises(ParityError, match=r"int8 graph: expected finite answers, found NaN or infinity"):
        compare(
            Precision.INT8,
            [answers([[0.7, 0.3]], [[np.inf, 0, 0, 0]])],
            reference([[0.7, 0.3]]),
            allow_mismatch=True,
        )


def test_a_message_names_five_texts_and_counts_the_others() -> None:
    torch = [[0.7, 0.3]] * 8 + [[0.55, 0.45]] * 1000

    with pytest.raises(ParityError, match=r"for 8 of 1008: .*'text 4': 'a' became 'b', and 3 more; no bundle"):
        int8([[0.3, 0.7]] * 8 + torch[8:], torch=torch)
