"""One text takes a shorter way than many: the same answers, counts and errors."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from setfuse.runtime import BundleCorrupt, Manifest, Stats
from setfuse.runtime._counters import Counters
from setfuse.runtime._graph import Graph
from setfuse.runtime._model import Model
from setfuse.runtime._tokenizer import Tokenizer
from setfuse.runtime._variant import EMBEDDING
from tests.models import LONG_TEXT, TEXTS

ODD_TEXTS = ["", " ", "\ud800", "\0", "é 中", f"{LONG_TEXT} " * 50]


class Sums:
    """A graph whose answers are exact: each row depends on its own ids alone, and not on how they are summed."""

    def __init__(self, widths: dict[str, int], refuses: Sequence[int] = ()) -> None:
        self.widths = widths
        self.refuses = refuses

    def run(self, input_ids: npt.NDArray[np.int64], outputs: tuple[str, ...]) -> list[npt.NDArray[np.float32]]:
        assert input_ids.dtype == np.int64
        assert input_ids.flags.c_contiguous
        if any(list(self.refuses) == row for row in input_ids.tolist()):
            raise BundleCorrupt("refused")
        place = np.arange(1, input_ids.shape[1] + 1)
        sums = (input_ids * place).sum(axis=1, keepdims=True) % 4096
        return [(sums + np.arange(self.widths[name])).astype(np.float32) for name in outputs]


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    return Manifest.read(tiny_bundle)


@pytest.fixture(scope="module")
def tokenizer(tiny_bundle: Path, manifest: Manifest) -> Tokenizer:
    return Tokenizer((tiny_bundle / "tokenizer.json").read_bytes(), manifest.max_length)


def make(manifest: Manifest, tokenizer: Tokenizer, refuses: Sequence[int] = ()) -> Model:
    widths = {EMBEDDING: manifest.embedding_dim, str(manifest.scores): len(manifest.labels)}
    sums = Sums(widths, refuses)
    graph = Graph(sums, lambda: sums, "the sums", workers=1)
    return Model(manifest, tokenizer, graph, Counters(), max_batch_tokens=1024)


@pytest.fixture
def models(manifest: Manifest, tokenizer: Tokenizer) -> tuple[Model, Model]:
    return make(manifest, tokenizer), make(manifest, tokenizer)


@pytest.mark.parametrize("output", ["probabilities", EMBEDDING])
@pytest.mark.parametrize("text", [*TEXTS, *ODD_TEXTS], ids=lambda text: ascii(text)[:20])
def test_a_text_alone_is_answered_as_among_others(text: str, output: str, models: tuple[Model, Model]) -> None:
    alone, among = models

    (answer,) = alone.answer([text], output)

    others = [*TEXTS, text, *ODD_TEXTS]
    np.testing.assert_array_equal(answer, among.answer(others, output)[len(TEXTS)])
    assert answer.dtype == np.float32
    assert alone.answer([text], output).flags.writeable


@pytest.mark.parametrize("text", [*TEXTS, *ODD_TEXTS], ids=lambda text: ascii(text)[:20])
def test_a_text_alone_counts_as_among_others(text: str, models: tuple[Model, Model]) -> None:
    alone, twice = models

    alone.answer([text], "probabilities")
    twice.answer([text, text], "probabilities")  # one run, as both are of one length

    one, two = alone.counters.snapshot(), twice.counters.snapshot()
    assert two == Stats(texts=2 * one.texts, tokens=2 * one.tokens, batches=one.batches)
    assert one.texts == one.batches == 1


def test_a_text_alone_fails_as_among_others(manifest: Manifest, tokenizer: Tokenizer) -> None:
    (refused,) = tokenizer.encode([TEXTS[0]])
    messages = []
    for texts in ([TEXTS[0]], [TEXTS[0], TEXTS[1]]):
        model = make(manifest, tokenizer, refused.tolist())
        with pytest.raises(BundleCorrupt, match=r"^text 7: refused$") as error:
            model.answer(texts, "probabilities", first=7)
        messages.append((str(error.value), type(error.value.__cause__)))
        assert model.counters.snapshot().failed
    assert messages[0] == messages[1]


def test_a_text_alone_that_cannot_be_tokenized_is_named(
    manifest: Manifest, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        raise BundleCorrupt("no such word")

    monkeypatch.setattr(tokenizer, "encode", fails)
    for texts in ([TEXTS[0]], [TEXTS[0], TEXTS[1]]):
        with pytest.raises(BundleCorrupt, match=r"^text 7: no such word$"):
            make(manifest, tokenizer).answer(texts, "probabilities", first=7)
