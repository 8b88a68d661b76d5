"""The registry holds together, and every adapter answers what torch answers, where its environment is built."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense
from sklearn.linear_model import LogisticRegression

from benchmarks._contenders import CONTENDERS, ORACLE, PREPARATIONS, Contender, Device, Head, Models, Quality, System
from benchmarks._contenders._body import Body
from benchmarks._contenders._padded import BATCH_SIZE, Batch, Padded
from benchmarks._contenders._sentence_transformers import SentenceTransformersTorch
from benchmarks._contenders._setfuse import Setfuse
from benchmarks._environments import ENVIRONMENTS
from benchmarks._files import ROOT
from benchmarks._prepare import prepare
from tests.models import LONG_TEXT, TEXTS, make_body, make_checkpoint, write_rows

WITH_LONG = [*TEXTS, LONG_TEXT]
LABELS = ("late", "lost", "refund")


def head_of(checkpoint: Path) -> Head:
    tensors = load_file(checkpoint / "head.safetensors")
    names = json.loads((checkpoint / "head.json").read_text())["classes"]
    return Head(tensors["coef"], tensors["intercept"], tuple(names))


@pytest.fixture(scope="session")
def models(tiny_bundle: Path, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Models:
    artefacts = tmp_path_factory.mktemp("artefacts")
    head_of(tiny_checkpoint).write(artefacts)
    train = write_rows(artefacts / "train.jsonl", [(text, LABELS[i % 3]) for i, text in enumerate(TEXTS) if text])
    return Models(tiny_bundle, tiny_checkpoint, artefacts, train)


@pytest.fixture(scope="session")
def torch_labels(models: Models) -> list[str]:
    """What the checkpoint's own libraries answer."""
    body = SentenceTransformer(str(models.checkpoint), device="cpu")
    return head_of(models.checkpoint).labels(body.encode(WITH_LONG))


@pytest.mark.parametrize("contender", CONTENDERS.values(), ids=CONTENDERS)
def test_the_registry_names_what_is_there(contender: Contender) -> None:
    assert contender.description
    assert contender.environment in ENVIRONMENTS
    assert ENVIRONMENTS[contender.environment].cuda <= (contender.device == Device.CUDA)
    assert set(contender.preparations) <= set(PREPARATIONS)
    module, _, name = contender.system.partition(":")
    assert issubclass(getattr(importlib.import_module(f"benchmarks._contenders.{module}"), name), System)
    assert contender.loads
    assert all(glob.split("/")[0] in {"bundle", "checkpoint", "artefacts"} for glob in contender.loads)
    read = {glob.split("/")[1] for glob in contender.loads if glob.startswith("artefacts/")} - {"head.npz"}
    assert read == set(contender.preparations)


@pytest.mark.parametrize("preparation", PREPARATIONS.values(), ids=PREPARATIONS)
def test_preparations_name_what_is_there_and_are_used(preparation: Any) -> None:
    module, _, name = preparation.function.partition(":")
    assert callable(getattr(importlib.import_module(f"benchmarks._contenders.{module}"), name))
    assert preparation.environment in ENVIRONMENTS
    assert set(preparation.needs) <= set(PREPARATIONS)
    used = [name for contender in CONTENDERS.values() for name in contender.preparations]
    assert preparation.name in [*used, *(need for other in PREPARATIONS.values() for need in other.needs)]


def test_names_are_unique_and_everybody_can_be_compared() -> None:
    from benchmarks import _contenders

    assert len(CONTENDERS) == len(_contenders._ALL)
    assert len(PREPARATIONS) == len(_contenders._PREPARATIONS)
    assert {ORACLE, "setfuse fp32", "setfuse int8"} <= set(CONTENDERS)
    used = {contender.environment for contender in CONTENDERS.values()}
    assert used | {preparation.environment for preparation in PREPARATIONS.values()} == set(ENVIRONMENTS)


def test_adapters_import_numpy_and_nothing_else_before_they_are_made() -> None:
    modules = sorted(path.stem for path in (ROOT / "benchmarks" / "_contenders").glob("*.py"))
    code = f"""
import sys, numpy
before = {{name.partition(".")[0] for name in sys.modules}}
import importlib
for module in {modules!r}:
    importlib.import_module("benchmarks._contenders." + module)
import benchmarks._prepare
after = {{name.partition(".")[0] for name in sys.modules}}
print(*sorted(after - before - sys.stdlib_module_names))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert done.stdout.split() == ["benchmarks"]


@pytest.mark.parametrize("labels", [("no", "yes"), ("a", "b", "ç")])
def test_the_head_is_scikit_learns(labels: tuple[str, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    embeddings = rng.normal(size=(60, 8))
    fitted = LogisticRegression().fit(embeddings, rng.choice(labels, size=60))
    Head(fitted.coef_, fitted.intercept_, tuple(map(str, fitted.classes_))).write(tmp_path)

    head = Head.read(tmp_path)

    asked = rng.normal(size=(40, 8))
    assert head.names == labels
    assert head.labels(asked) == fitted.predict(asked).tolist()
    np.testing.assert_allclose(head.probabilities(asked), fitted.predict_proba(asked), atol=1e-12)
    assert head.probabilities(asked * 1e3).sum() == pytest.approx(40), "no overflow"


class TorchEngine(Padded):
    """The transformer itself for an engine; remembers the batches."""

    def __init__(self, models: Models, shares: int = 1) -> None:
        super().__init__(models, shares)
        self._transformer: Any = SentenceTransformer(str(models.checkpoint), device="cpu")[0].auto_model
        self.seen: list[Batch] = []

    def run(self, batches: list[Batch]) -> Iterator[npt.NDArray[np.float32]]:
        import torch

        self.seen = batches
        for batch in batches:
            feed = batch.feed(["input_ids", "attention_mask", "token_type_ids"])
            with torch.inference_mode():
                found = self._transformer(**{name: torch.from_numpy(ids) for name, ids in feed.items()})
            yield found.last_hidden_state.numpy()


@pytest.mark.parametrize("old_names", [False, True])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("normalize", [True, False])
def test_what_is_written_by_hand_is_what_the_body_does(
    pooling: str, normalize: bool, old_names: bool, tmp_path: Path
) -> None:
    body = make_body(tmp_path, pooling=pooling, normalize=normalize)
    checkpoint = make_checkpoint(tmp_path, body, LABELS)
    if old_names:
        _write_old_names(checkpoint, pooling, int(body.max_seq_length or 0))
    head_of(checkpoint).write(tmp_path)
    texts = WITH_LONG * 4

    by_hand = TorchEngine(Models(tmp_path, checkpoint, tmp_path))

    expected = head_of(checkpoint).probabilities(body.encode(texts))
    np.testing.assert_allclose(by_hand.probabilities(texts), expected, atol=1e-5)  # float32, padded another way
    assert by_hand.answer(texts) == head_of(checkpoint).labels(body.encode(texts))
    assert by_hand.answer(texts[:1]) == by_hand.answer(texts)[:1]
    np.testing.assert_allclose(
        by_hand.probabilities([""]), head_of(checkpoint).probabilities(body.encode([""])), atol=1e-5
    )


def _write_old_names(checkpoint: Path, pooling: str, max_length: int) -> None:
    """Write the files as sentence-transformers 5 did."""
    modules = json.loads((checkpoint / "modules.json").read_text())
    for module in modules:
        module["type"] = "sentence_transformers.models." + module["type"].rpartition(".")[2]
    (checkpoint / "modules.json").write_text(json.dumps(modules))
    modes = {"pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean"}
    config = {"word_embedding_dimension": 32, "pooling_mode_max_tokens": False, **modes}
    (checkpoint / "1_Pooling" / "config.json").write_text(json.dumps(config))
    (checkpoint / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": max_length}))
    tokenizer = json.loads((checkpoint / "tokenizer_config.json").read_text())
    (checkpoint / "tokenizer_config.json").write_text(json.dumps({**tokenizer, "model_max_length": 512}))


def test_batches_are_sorted_and_no_larger_than_they_may_be(models: Models) -> None:
    engine = TorchEngine(models)
    engine.answer(WITH_LONG * 6)
    sizes = [len(batch.ids) for batch in engine.seen]
    widths = [batch.ids.shape[1] for batch in engine.seen]

    assert max(sizes) == BATCH_SIZE
    assert sorted(np.concatenate([batch.places for batch in engine.seen])) == list(range(len(WITH_LONG) * 6))
    assert widths == sorted(widths, reverse=True)
    assert all(batch.mask[0].all() for batch in engine.seen), "no wider than the longest text"


def test_few_texts_are_spread_over_the_streams(models: Models) -> None:
    engine = TorchEngine(models, shares=2)
    engine.answer(WITH_LONG[:5])

    assert [len(batch.ids) for batch in engine.seen] == [3, 2]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"pooling": "max"}, "expected cls or mean pooling, found max"),
        ({"modules": (Dense(32, 20),)}, "'Dense'"),
        ({"prompt": "query: "}, "no prompt before texts, found 'task'"),
    ],
)
def test_a_body_that_cannot_be_written_by_hand_is_refused(
    changes: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    make_body(tmp_path, **changes)

    with pytest.raises(ValueError, match=expected):
        Body.read(tmp_path / "body")


@pytest.mark.parametrize("threads", [1, 2])
def test_ours_and_torch_agree(threads: int, models: Models, torch_labels: list[str]) -> None:
    ours = Setfuse(models, threads, precision="fp32")
    torchs = SentenceTransformersTorch(models, threads)

    for system in (ours, torchs):
        assert system.answer(WITH_LONG) == torch_labels
        assert [system.answer([text])[0] for text in WITH_LONG] == torch_labels
        assert all(type(label) is str for label in system.answer(WITH_LONG[:1]))
    np.testing.assert_allclose(ours.probabilities(WITH_LONG), torchs.probabilities(WITH_LONG), atol=1e-5)


RUN = """
import importlib, json, sys
from pathlib import Path
from benchmarks._contenders import CONTENDERS, Models
name, threads, bundle, checkpoint, artefacts, texts = sys.argv[1:]
contender = CONTENDERS[name]
module, _, kind = contender.system.partition(":")
kind = getattr(importlib.import_module("benchmarks._contenders." + module), kind)
system = kind(Models(Path(bundle), Path(checkpoint), Path(artefacts)), int(threads), **contender.options)
texts = json.loads(texts)
together, alone = system.answer(texts), [system.answer([text])[0] for text in texts]
print(json.dumps([together, alone, system.probabilities(texts).tolist()]))
"""
NOT_TORCHS = {"setfit onnx"}
"""It drops Normalize."""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", [name for name, contender in CONTENDERS.items() if contender.device == Device.CPU])
def test_in_its_own_environment_it_answers_as_torch(
    name: str, threads: int, models: Models, torch_labels: list[str]
) -> None:
    contender = CONTENDERS[name]
    flags = Path("/proc/cpuinfo").read_text(encoding="ascii").split()
    if contender.cpu_flags and not set(contender.cpu_flags) & set(flags):
        pytest.skip(f"this processor has none of {contender.cpu_flags}")
    if contender.options.get("precision") == "int8" and not (models.bundle / "model.int8.onnx").exists():
        pytest.skip("the small bundle has no int8 variant")
    needed = [ENVIRONMENTS[PREPARATIONS[need].environment] for need in contender.preparations]
    for environment in (ENVIRONMENTS[contender.environment], *needed):
        if not environment.is_built:
            pytest.skip(environment.reason)
    reasons = prepare(contender.preparations, models)
    assert not any(reasons.values()), reasons

    python = ENVIRONMENTS[contender.environment].python
    folders = [str(folder) for folder in (models.bundle, models.checkpoint, models.artefacts)]
    command = [str(python), "-c", RUN, name, str(threads), *folders, json.dumps(WITH_LONG)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

    assert done.returncode == 0, done.stderr[-2000:]
    together, alone, probabilities = json.loads(done.stdout.splitlines()[-1])
    assert len(together) == len(alone) == len(WITH_LONG)
    assert set(together) <= set(LABELS)
    assert np.asarray(probabilities).shape == (len(WITH_LONG), len(LABELS))
    assert [LABELS[i] for i in np.argmax(probabilities, axis=1)] == together
    if contender.quality == Quality.SAME:
        assert alone == together
        assert name in NOT_TORCHS or together == torch_labels
