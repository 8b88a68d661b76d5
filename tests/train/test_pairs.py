"""Pairs and batch order: SetFit's, as its own code and the card's recorded run give them."""

import json
from pathlib import Path

import numpy as np
import pytest

from setfuse.runtime import DatasetError
from setfuse.train._pairs import MAX_ROWS, batches, make_pairs


def setfit_pairs(labels: list[str], strategy: str, num_iterations: int | None) -> list[tuple[int, int, float]]:
    """Pair as SetFit 1.2.0's sampler does, in its own words: two lists that are walked through in a circle."""
    candidates = [(i, j) for i in range(len(labels)) for j in range(i, len(labels))]
    positive, negative = [], []
    for index in np.random.RandomState(42).permutation(len(candidates)):
        i, j = candidates[index]
        (positive if labels[i] == labels[j] else negative).append((i, j))
    if num_iterations is not None:
        wanted = (num_iterations * len(labels),) * 2
    elif strategy == "unique":
        wanted = (len(positive), len(negative))
    else:
        wanted = ((min if strategy == "undersampling" else max)(len(positive), len(negative)),) * 2
    pairs = []
    for number in range(max(wanted)):
        if number < wanted[0]:
            pairs.append((*positive[number % len(positive)], 1.0))
        if number < wanted[1]:
            pairs.append((*negative[number % len(negative)], 0.0))
    return pairs


@pytest.mark.parametrize("strategy", ["oversampling", "undersampling", "unique"])
@pytest.mark.parametrize("num_iterations", [None, 1, 7])
@pytest.mark.parametrize("labels", ["ab", "aabb", "aaaaaab", "abcabcabcabc", "abbcccdddd"])
def test_pairs_are_setfits_in_setfits_order(labels: str, strategy: str, num_iterations: int | None) -> None:
    pairs = make_pairs(list(labels), strategy, num_iterations)

    got = [(int(i), int(j), float(same)) for (i, j), same in zip(pairs.rows, pairs.same, strict=True)]
    assert got == setfit_pairs(list(labels), strategy, num_iterations)


def test_ten_and_ten_rows_give_the_cards_220_pairs() -> None:
    assert len(make_pairs(["a"] * 10 + ["b"] * 10, "oversampling")) == 220


def test_too_many_rows_are_refused_before_memory_runs_out() -> None:
    with pytest.raises(DatasetError, match=f"expected at most {MAX_ROWS} training rows, found 40000"):
        make_pairs(["a", "b"] * 20_000, "oversampling")


def test_every_epoch_has_each_pair_once_in_an_order_of_its_own() -> None:
    order = list(batches(10, 4, 3, seed=7))

    assert [len(batch) for batch in order] == [4, 4, 2] * 3
    epochs = [np.concatenate(order[start : start + 3]).tolist() for start in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_cards_run_is_reproduced_pair_by_pair(shared: Path) -> None:
    golden = json.loads((shared / "card" / "golden.json").read_text(encoding="utf-8"))
    lines = (shared / "card" / "train.jsonl").read_text(encoding="utf-8").splitlines()

    pairs = make_pairs([json.loads(line)["label"] for line in lines], "oversampling")
    order = list(batches(len(pairs), 32, 10, seed=42))

    assert [[*row.tolist(), same] for row, same in zip(pairs.rows, pairs.same.tolist(), strict=True)] == golden["pairs"]
    epochs = [np.concatenate(order[start : start + 7]).tolist() for start in range(0, 70, 7)]
    assert epochs == golden["epoch_permutations"]
