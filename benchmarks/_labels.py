"""Put the labels of a plot where none covers another."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions apart, as little as can be (least squares), and keep their order.

    Args:
        wanted: Where each would stand alone, in any unit and order.
        gap: Smallest distance of two neighbours; smaller where they would not fit between `low` and `high`.
        low: Lowest position.
        high: Highest.

    Returns:
        A position each, in the order of `wanted`.
    """
    count = len(wanted)
    if count < 2:
        return [min(max(position, low), high) for position in wanted]
    gap = min(gap, (high - low) / (count - 1))
    order = np.argsort(wanted, kind="stable")
    # With the gaps taken out, positions need only not to fall: isotonic regression, by pooling adjacent violators.
    blocks: list[tuple[float, int]] = []
    for rank, index in enumerate(order):
        mean, size = wanted[index] - rank * gap, 1
        while blocks and blocks[-1][0] > mean:
            before, number = blocks.pop()
            mean, size = (before * number + mean * size) / (number + size), number + size
        blocks.append((mean, size))
    level = np.repeat([mean for mean, _ in blocks], [size for _, size in blocks])
    level = np.clip(level, low, high - (count - 1) * gap)
    placed = np.empty(count)
    placed[order] = level + np.arange(count) * gap
    return [float(position) for position in placed]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on the plot, in points.

    Attributes:
        left: Its left edge.
        bottom: Its lower edge.
        width: How wide it is.
        height: How high.
    """

    left: float
    bottom: float
    width: float
    height: float

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """Give its point that is nearest to another point."""
        return min(max(x, self.left), self.left + self.width), min(max(y, self.bottom), self.bottom + self.height)


_CROSSED = 1.5
"""A line through a label is as bad as so many points of distance for each square point that it covers."""


def place(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    first: Collection[int] = (),
) -> list[Box]:
    """Give each point's label a place near it that covers no point, no label and no label's line, where there is one.

    Args:
        points: In points of the page.
        sizes: Width and height of each one's label.
        frame: Where labels may stand.
        first: Which of them choose their places before the others.

    Returns:
        A box a label.
    """
    placed: dict[int, Box] = {}
    marks = [Box(x - 5, y - 5, 10, 10) for x, y in points]
    lines: list[Box] = []
    # Those with the most neighbours choose first: the others have more places to go.
    crowd = [sum(abs(x - a) < 90 and abs(y - b) < 30 for a, b in points) for x, y in points]
    for index in sorted(range(len(points)), key=lambda index: (index not in first, -crowd[index])):
        x, y = points[index]
        boxes = _candidates(x, y, *sizes[index])
        own = [_line(box, x, y) for box in boxes]
        outside = sizes[index][0] * sizes[index][1] - _overlaps(boxes, [frame])
        covered = _overlaps(boxes, [*marks, *placed.values()])
        crossed = _overlaps(boxes, lines) + [_overlaps(line, list(placed.values())).sum() for line in own]
        away = np.array([np.hypot(*np.subtract(box.nearest(x, y), (x, y))) for box in boxes])
        best = int(np.argmin(200 * outside + 50 * covered + _CROSSED * crossed + away))
        placed[index] = boxes[best]
        lines += own[best]
    return [placed[index] for index in range(len(points))]


def _candidates(x: float, y: float, width: float, height: float) -> list[Box]:
    boxes = [Box(x + 8, y - height / 2, width, height), Box(x - 8 - width, y - height / 2, width, height)]
    for radius in range(8, 200, 6):
        for shift in (-0.5, -0.25, -0.75, 0.0, -1.0):  # from left of the point to right of it, centred ones first
            left = x + shift * width
            boxes += [Box(left, y + radius, width, height), Box(left, y - radius - height, width, height)]
    return boxes


def _line(box: Box, x: float, y: float) -> list[Box]:
    """Give the line from a point to its label as small boxes."""
    end_x, end_y = box.nearest(x, y)
    shares = np.linspace(0, 1, 2 + int(np.hypot(end_x - x, end_y - y) / 4))
    return [Box(x + part * (end_x - x) - 1, y + part * (end_y - y) - 2, 2, 4) for part in shares]


def _overlaps(boxes: Sequence[Box], others: Sequence[Box]) -> npt.NDArray[np.float64]:
    """Give, for each box, the area that it shares with all the others."""
    if not others:
        return np.zeros(len(boxes))
    left, bottom, right, top = _edges(boxes)[:, :, None]
    a, b, c, d = _edges(others)[:, None, :]
    across, up = np.minimum(right, c) - np.maximum(left, a), np.minimum(top, d) - np.maximum(bottom, b)
    return np.asarray((np.maximum(across, 0) * np.maximum(up, 0)).sum(axis=1), np.float64)


def _edges(boxes: Sequence[Box]) -> npt.NDArray[np.float64]:
    return np.array([(box.left, box.bottom, box.left + box.width, box.bottom + box.height) for box in boxes]).T
