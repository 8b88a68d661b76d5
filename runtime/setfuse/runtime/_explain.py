"""Which words moved the score: each is left out once, and the texts without them are classified together."""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = f"[{_CJK}]|[^\\s{_CJK}]+"
"""What stands between blanks; Chinese and Japanese characters one by one."""


@dataclass(frozen=True, slots=True)
class WordEffect:
    """What one word did.

    Attributes:
        word: The word.
        start: Where it begins in `Explanation.text`, in characters.
        effect: The label's score with the word minus the score without it: above 0 it speaks for the label.
    """

    word: str
    start: int
    effect: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Which words moved the score of a label.

    Attributes:
        text: What the model sees of the text: what is too long is cut.
        label: The label.
        score: Its score.
        words: Every word of `text`, in its order.
    """

    text: str
    label: str
    score: float
    words: tuple[WordEffect, ...]

    def __str__(self) -> str:
        moved = sorted(self.words, key=lambda word: -abs(word.effect))
        return "\n".join([f"{self.label} {self.score:.4f}", *(f"{word.effect:+.4f} {word.word}" for word in moved)])


def explain(
    text: str,
    seen: int,
    column: int | None,
    labels: Sequence[str],
    answer: Callable[[list[str]], npt.NDArray[np.float32]],
) -> Explanation:
    """Leave out each word of a text.

    Args:
        text: The text.
        seen: How many of its characters the model sees.
        column: Of the label to explain; None for the one of the highest score.
        labels: Names of the columns.
        answer: Texts to scores (texts, labels).
    """
    words = list(itertools.takewhile(lambda match: match.start() < seen, re.finditer(_WORD, text)))
    text = text[: words[-1].end()] if words else text[:seen]
    scores = answer([text, *(text[: match.start()] + text[match.end() :] for match in words)])
    if column is None:
        column = int(scores[0].argmax())
    score, *without = scores[:, column].tolist()
    effects = [WordEffect(match[0], match.start(), score - less) for match, less in zip(words, without, strict=True)]
    return Explanation(text, labels[column], score, tuple(effects))
