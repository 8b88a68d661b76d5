"""Batches for losses on labels."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setfuse.runtime import DatasetError, SetfuseError, UsageError
from setfuse.train._label_batches import check_label_batches, make_label_batches

SIZES = st.lists(st.integers(2, 20), min_size=2, max_size=6)


@st.composite
def labelled(draw: st.DrawFn) -> list[str]:
    rows = [f"label {i}" for i, size in enumerate(draw(SIZES)) for _ in range(size)]
    return draw(st.permutations(rows))


@settings(max_examples=60, deadline=None)
@given(labels=labelled(), half=st.integers(2, 8), seed=st.integers(0, 2**31), epoch=st.integers(0, 3))
def test_every_batch_holds_two_texts_of_a_label_and_two_labels(
    labels: list[str], half: int, seed: int, epoch: int
) -> None:
    check_label_batches(labels, 2 * half, "SupConLoss")
    batches = make_label_batches(labels, 2 * half, seed)
    batches.set_epoch(epoch)

    order = list(batches)

    assert len(order) == len(batches) > 0
    for batch in order:
        counts = Counter(labels[row] for row in batch)
        assert len(counts) >= 2
        assert min(counts.values()) >= 2
        assert len(batch) <= 2 * half
    assert all(len(batch) == 2 * half for batch in order[:-1])
    seen = Counter(row for batch in order for row in batch)
    assert not seen or seen.most_common(1)[0][1] == 1
    again = make_label_batches(labels, 2 * half, seed)
    again.set_epoch(epoch)
    assert list(again) == order


def test_balanced_labels_are_seen_whole_and_in_another_order_each_epoch() -> None:
    labels = ["a", "b", "c"] * 8
    batches = make_label_batches(labels, 6, seed=1)

    orders = []
    for epoch in range(3):
        batches.set_epoch(epoch)
        orders.append(list(batches))

    assert all(sorted(row for batch in order for row in batch) == list(range(24)) for order in orders)
    assert orders[0] != orders[1] != orders[2]
    other = make_label_batches(labels, 6, seed=99)
    other.set_epoch(0)
    assert list(other) != orders[0]


def test_what_one_epoch_leaves_out_another_has() -> None:
    labels = ["a"] * 20 + ["b"] * 4
    batches = make_label_batches(labels, 4, seed=0)

    seen = set()
    for epoch in range(20):
        batches.set_epoch(epoch)
        seen |= {row for batch in batches for row in batch}

    assert seen == set(range(24))


@pytest.mark.parametrize(
    ("labels", "batch_size", "error", "message"),
    [
        (["a", "a", "b"], 4, DatasetError, r"SupConLoss: expected .*two rows or more of each, found one row of 'b'"),
        (["a", "a"], 4, DatasetError, r"expected two labels or more .*found only the label 'a'"),
        ([("a",), ("a", "b")], 4, DatasetError, r"expected one label a text, found rows with several"),
        (["a", "a", "b", "b"], 5, UsageError, r"batch_size: expected an even number of at least 4 .*got 5"),
        (["a", "a", "b", "b"], 2, UsageError, r"batch_size: .*got 2"),
    ],
)
def test_what_cannot_be_grouped_is_refused(
    labels: list[str], batch_size: int, error: type[SetfuseError], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_label_batches(labels, batch_size, "SupConLoss")
