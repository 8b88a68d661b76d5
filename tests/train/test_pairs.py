"""Pairs and batch order: SetFit's, as its own code and the card's recorded run give them."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from setfuse.runtime import DatasetError
from setfuse.train import _pairs
from setfuse.train._label_groups import Labels
from setfuse.train._pairs import SETFIT_ORDER_PAIRS, SETFIT_ORDER_ROWS, Pairs, batches, make_pairs

RECORDED = json.loads((Path(__file__).parent / "data" / "setfit_pairs.json").read_text(encoding="utf-8"))["cases"]
STRATEGIES = ["oversampling", "undersampling", "unique"]

SINGLE = st.lists(st.sampled_from("abcd"), min_size=2, max_size=30)
MULTI = st.lists(st.sets(st.sampled_from("abc")).map(lambda labels: tuple(sorted(labels))), min_size=2, max_size=30)


def listed(pairs: Pairs) -> list[list[float]]:
    """Give each pair as the two rows and 1.0 or 0.0."""
    rows, same = pairs.rows_of(np.arange(len(pairs)))
    assert rows.dtype == np.int64
    assert same.dtype == np.float32
    return [[*row, kind] for row, kind in zip(rows.tolist(), same.tolist(), strict=True)]


def share(first: str | tuple[str, ...], second: str | tuple[str, ...]) -> bool:
    return bool(set(first) & set(second))


def setfit_pairs(
    labels: Labels, strategy: str, num_iterations: int | None, *, self_pairs: bool, seed: int
) -> list[list[float]]:
    """Pair as SetFit 1.2.0's sampler does, in its own words: two lists that are walked through in a circle."""
    skip = 0 if self_pairs else 1
    candidates = [(i, j) for i in range(len(labels)) for j in range(i + skip, len(labels))]
    positive, negative = [], []
    for index in np.random.RandomState(seed).permutation(len(candidates)):
        i, j = candidates[index]
        (positive if share(labels[i], labels[j]) else negative).append((i, j))
    if num_iterations is not None:
        wanted = (num_iterations * len(labels),) * 2
    elif strategy == "unique":
        wanted = (len(positive), len(negative))
    else:
        wanted = ((min if strategy == "undersampling" else max)(len(positive), len(negative)),) * 2
    pairs = []
    for number in range(max(wanted)):
        if number < wanted[0]:
            pairs.append([*positive[number % len(positive)], 1.0])
        if number < wanted[1]:
            pairs.append([*negative[number % len(negative)], 0.0])
    return pairs


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: "{strategy}-{num_iterations}-{max_pairs}".format(**case))
def test_pairs_are_those_that_setfits_own_sampler_recorded(case: dict[str, object]) -> None:
    labels = [row if isinstance(row, str) else tuple(row) for row in case["labels"]]  # type: ignore[attr-defined]
    most = None if case["max_pairs"] == -1 else case["max_pairs"]

    pairs = make_pairs(labels, case["strategy"], case["num_iterations"], max_pairs=most)  # type: ignore[arg-type]

    assert listed(pairs) == case["pairs"]


@settings(max_examples=60, deadline=None)
@given(
    labels=SINGLE | MULTI,
    strategy=st.sampled_from(STRATEGIES),
    num_iterations=st.none() | st.integers(1, 3),
    self_pairs=st.booleans(),
    seed=st.just(42) | st.integers(0, 2**32 - 1),
)
def test_pairs_are_setfits_in_setfits_order(
    labels: Labels, strategy: str, num_iterations: int | None, self_pairs: bool, seed: int
) -> None:
    try:
        expected = setfit_pairs(labels, strategy, num_iterations, self_pairs=self_pairs, seed=seed)
    except ZeroDivisionError:  # a kind is wanted of which there is none
        expected = []
    if expected:
        assert listed(make_pairs(labels, strategy, num_iterations, self_pairs=self_pairs, seed=seed)) == expected
    else:
        with pytest.raises(
            DatasetError, match=r"^(oversampling|undersampling|unique|num_iterations) needs pairs of rows with "
        ):
            make_pairs(labels, strategy, num_iterations, self_pairs=self_pairs, seed=seed)


def lazy_pairs(labels: Labels, strategy: str, **options: int | None) -> Pairs:
    with patch.object(_pairs, "SETFIT_ORDER_ROWS", 1):
        return make_pairs(labels, strategy, **options)  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(labels=SINGLE | MULTI, self_pairs=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_above_the_limit_every_pair_comes_exactly_once_with_the_right_sign(
    labels: Labels, self_pairs: bool, seed: int
) -> None:
    skip = 0 if self_pairs else 1
    expected = {
        (i, j, float(share(labels[i], labels[j]))) for i in range(len(labels)) for j in range(i + skip, len(labels))
    }

    got = listed(lazy_pairs(labels, "unique", self_pairs=self_pairs, seed=seed))

    assert len(got) == len(expected)
    assert {(i, j, same) for i, j, same in got} == expected


@settings(max_examples=60, deadline=None)
@given(
    labels=SINGLE | MULTI,
    strategy=st.sampled_from(STRATEGIES),
    num_iterations=st.none() | st.integers(1, 3),
    max_pairs=st.none() | st.integers(1, 40),
    self_pairs=st.booleans(),
)
def test_above_the_limit_there_are_as_many_pairs_of_each_kind_as_below(
    labels: Labels, strategy: str, num_iterations: int | None, max_pairs: int | None, self_pairs: bool
) -> None:
    def tried(make: Callable[..., Pairs]) -> Pairs | str:
        try:
            return make(labels, strategy, num_iterations=num_iterations, max_pairs=max_pairs, self_pairs=self_pairs)
        except DatasetError as error:
            return str(error)

    below, above = tried(make_pairs), tried(lazy_pairs)
    if isinstance(below, str) or isinstance(above, str):
        assert above == below
        return

    # How often a pair is repeated depends on its place; how many pairs come how often does not.
    def profile(pairs: Pairs) -> Counter[tuple[float, int]]:
        return Counter((pair[2], times) for pair, times in Counter(map(tuple, listed(pairs))).items())

    assert [pair[2] for pair in listed(above)] == [pair[2] for pair in listed(below)]
    assert profile(above) == profile(below)


def test_above_the_limit_the_seed_decides_the_order() -> None:
    labels = list("aabbabab")
    first, again, other = (listed(lazy_pairs(labels, "oversampling", seed=seed)) for seed in (42, 42, 43))

    assert first == again
    assert first != other
    assert sorted(first) != first


def test_pairs_can_be_looked_up_in_any_order_and_number() -> None:
    labels = list("aaabbc") * 3
    for pairs in (make_pairs(labels, "oversampling"), lazy_pairs(labels, "oversampling")):
        asked = np.random.RandomState(0).randint(len(pairs), size=50)
        everything = listed(pairs)

        rows, same = pairs.rows_of(asked)

        assert [[*row, kind] for row, kind in zip(rows.tolist(), same.tolist(), strict=True)] == [
            everything[index] for index in asked
        ]
        assert pairs.rows_of(asked[:0])[0].shape == (0, 2)


def test_ten_and_ten_rows_give_the_cards_220_pairs_and_without_self_pairs_200() -> None:
    labels = ["a"] * 10 + ["b"] * 10

    assert len(make_pairs(labels, "oversampling")) == 220
    assert len(make_pairs(labels, "oversampling", self_pairs=False)) == 200


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (["a", "a"], {}, "oversampling needs pairs of rows with no label in common, and 2 rows make none"),
        ([("a",), ("a", "b")], {}, "no label in common"),
        (["a", "b"], {"self_pairs": False}, "oversampling needs pairs of rows with at least one label in common"),
        ([(), ()], {}, "at least one label in common"),
        (["a", "a"], {"num_iterations": 1}, "num_iterations needs pairs of rows with no label in common"),
    ],
)
def test_a_kind_of_which_there_are_no_pairs_is_refused(labels: Labels, options: dict[str, int], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        make_pairs(labels, "oversampling", **options)  # type: ignore[arg-type]


MEASURE = """
from pathlib import Path
import numpy as np
import torch
from setfuse.train._pairs import batches, make_pairs

def peak():
    # Not getrusage: its figure is the parent's where that is higher.
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

labels = ["positive" if number % 3 else "negative" for number in range({rows})]
before = peak()
pairs = make_pairs(labels, "oversampling")
order = batches(len(pairs), 16, seed=42)
kinds = [pairs.rows_of(next(order))[1].mean() for _ in range(200)]
print(len(pairs), (peak() - before) / 1024, np.mean(kinds))
"""


@pytest.mark.parametrize("rows", [SETFIT_ORDER_ROWS, 40_000])
def test_pairs_of_many_rows_take_less_than_200_mb(rows: int) -> None:
    done = subprocess.run([sys.executable, "-c", MEASURE.format(rows=rows)], capture_output=True, text=True, check=True)

    count, megabytes, positive = (float(word) for word in done.stdout.split())
    few = rows // 3 + (rows % 3 > 0)
    assert count == 2 * (few * (few + 1) + (rows - few) * (rows - few + 1)) // 2
    assert 0 < megabytes < 200
    assert positive == pytest.approx(0.5, abs=0.05)


def test_every_epoch_has_each_pair_once_in_an_order_of_its_own() -> None:
    for limit in (SETFIT_ORDER_PAIRS, 1):
        with patch.object(_pairs, "SETFIT_ORDER_PAIRS", limit):
            order = [batch for epoch in range(3) for batch in batches(10, 4, seed=7 + epoch)]

        assert [len(batch) for batch in order] == [4, 4, 2] * 3
        epochs = [np.concatenate(order[start : start + 3]).tolist() for start in (0, 3, 6)]
        assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) == 3


def test_up_to_the_limit_batches_are_those_of_torchs_random_sampler() -> None:
    sampler = torch.utils.data.RandomSampler(range(50), generator=torch.Generator().manual_seed(9))

    assert np.concatenate(list(batches(50, 16, seed=9))).tolist() == list(sampler)


def test_the_cards_run_is_reproduced_pair_by_pair(shared: Path) -> None:
    golden = json.loads((shared / "card" / "golden.json").read_text(encoding="utf-8"))
    lines = (shared / "card" / "train.jsonl").read_text(encoding="utf-8").splitlines()

    pairs = make_pairs([json.loads(line)["label"] for line in lines], "oversampling")
    order = [batch for epoch in range(10) for batch in batches(len(pairs), 32, seed=42 + epoch)]

    assert listed(pairs) == golden["pairs"]
    epochs = [np.concatenate(order[start : start + 7]).tolist() for start in range(0, 70, 7)]
    assert epochs == golden["epoch_permutations"]
