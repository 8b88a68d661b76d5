"""Bundles from the Hub and to the Hub: the command line in processes of its own against a Hub on this machine."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from setfuse.runtime import (
    BundleCorrupt,
    BundleNotFound,
    Classifier,
    HubError,
    MissingExtra,
    UsageError,
    find_on_hub,
    push,
)
from tests.models import TEXTS, write_rows

from .damage import change_manifest, replace_file
from .hub import TOKEN, Hub, serve

NAME = "org/support-desk"
PATIENCE = 120
"""Seconds after which an answer will not come any more, on the slowest of machines."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A Hub with nothing on it."""
    with serve() as running:
        yield running


@dataclass
class Program:
    """The command line in a folder of its own, with a Hub's address and a cache of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return subprocess.run(
            [sys.executable, "-m", "setfuse.runtime", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **self.environment, **environment},
        )

    def documents(self, *arguments: object, **environment: str) -> list[Any]:
        """Run a command that must succeed, and read its stdout as one JSON document a line."""
        done = self(*arguments, **environment)
        assert (done.returncode, done.stderr) == (0, "")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def error(self, *arguments: object, **environment: str) -> str:
        """Run a command that must fail with one line on stderr, and give the line."""
        done = self(*arguments, **environment)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done
        return done.stderr


@pytest.fixture
def program(hub: Hub, tmp_path: Path) -> Program:
    """The command line, to which `hub` is the Hub."""
    environment = {"HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": ""}
    environment |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
    (tmp_path / "work").mkdir()
    return Program(tmp_path / "work", environment)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody to ask: what is asked of the Hub's library is a failure of the test."""
    for name in ("snapshot_download", "hf_hub_download", "HfApi"):
        monkeypatch.setattr(f"huggingface_hub.{name}", lambda *_, **__: pytest.fail("the Hub was asked"))


def with_two_graphs(bundle: Path) -> Path:
    """Add a second graph, which nobody needs."""
    (bundle / "model.fp16.onnx").write_bytes(b"of another machine")

    def change(manifest: dict[str, Any]) -> None:
        other = {**manifest["variants"][0], "file": "model.fp16.onnx", "precision": "fp16", "target": "cuda"}
        manifest["variants"].append(other)

    change_manifest(bundle, change)
    return replace_file(bundle, "model.fp16.onnx", b"of another machine")


# Loading


def test_a_bundle_on_the_hub_answers_as_in_its_folder(
    hub: Hub, program: Program, own_bundle: Path, tiny_bundle: Path
) -> None:
    hub.add(NAME, with_two_graphs(own_bundle))
    expected = [prediction.label for prediction in Classifier.load(tiny_bundle)(TEXTS)]

    answers = program.documents("predict", NAME, "--json", *TEXTS)

    assert [answer["label"] for answer in answers] == expected
    assert hub.downloads() == ["bundle.json", "tokenizer.json", "model.onnx"]  # and not the other graph


def test_what_was_downloaded_is_found_without_a_network(hub: Hub, program: Program, own_bundle: Path) -> None:
    hub.add(NAME, own_bundle)
    online = program.documents("predict", NAME, "--json", "cancel")

    asked = len(hub.asked)
    assert program.documents("predict", NAME, "--json", "cancel", HF_HUB_OFFLINE="1") == online
    assert len(hub.asked) == asked
    assert program.documents("predict", NAME, "--json", "cancel", HF_ENDPOINT="http://127.0.0.1:9") == online


def test_info_and_evaluate_take_it_too(hub: Hub, program: Program, own_bundle: Path) -> None:
    hub.add(NAME, own_bundle)
    rows = write_rows(program.folder / "rows.jsonl", [("where is my parcel", "late"), ("cancel", "refund")])

    (info,) = program.documents("info", NAME, "--json")
    assert info.pop("here")["file"] == "model.onnx"
    assert info == json.loads((own_bundle / "bundle.json").read_bytes())
    assert hub.downloads() == ["bundle.json"]  # no graph
    assert program.documents("evaluate", NAME, rows, "--json")[0]["texts"] == 2


def test_a_revision_is_a_branch_or_a_commit(hub: Hub, program: Program, own_bundle: Path) -> None:
    hub.add(NAME, own_bundle)
    hub.add(NAME, change_manifest(own_bundle, lambda m: m.update(labels=["a", "b", "c"])), "renamed")

    def labels(*options: str) -> object:
        return program.documents("info", NAME, "--json", *options)[0]["labels"]

    assert labels() == ["late", "lost", "refund"]
    assert labels("--revision", "renamed") == ["a", "b", "c"]
    (answer,) = program.documents("predict", NAME, "--json", "cancel", "--revision", "renamed")
    assert set(answer["scores"]) == {"a", "b", "c"}
    assert "Revision Not Found" in program.error("info", NAME, "--revision", "nowhere")


def test_a_folder_of_the_name_comes_first(hub: Hub, program: Program, own_bundle: Path) -> None:
    shutil.copytree(own_bundle, program.folder / NAME)

    assert program.documents("predict", NAME, "cancel", "--json")
    assert hub.asked == []


@pytest.mark.parametrize(
    ("name", "environment", "reason"),
    [
        ("org/nothing", {}, "Repository Not Found for url"),
        ("org/nothing", {"HF_HUB_OFFLINE": "1"}, "offline"),
        ("org/no--such", {}, "Cannot have -- or .. in repo_id"),
    ],
)
def test_what_is_neither_a_folder_nor_on_the_hub(
    name: str, environment: dict[str, str], reason: str, program: Program
) -> None:
    said = program.error("predict", name, "a", **environment)

    assert said.startswith(f"setfuse predict: {name}: there is no such folder, and the Hub did not give bundle.json: ")
    assert reason in said
    assert "Request ID" not in said


def test_a_model_that_is_no_bundle_says_so(hub: Hub, program: Program, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}", encoding="utf-8")
    hub.add(NAME, tmp_path / "model")

    assert "Entry Not Found for url" in program.error("predict", NAME, "a")


def test_a_bundle_on_the_hub_is_checked_like_any_other(hub: Hub, program: Program, own_bundle: Path) -> None:
    (own_bundle / "model.onnx").write_bytes(b"x" * (own_bundle / "model.onnx").stat().st_size)
    hub.add("org/altered", own_bundle)
    (own_bundle / "model.onnx").unlink()
    hub.add("org/incomplete", own_bundle)

    assert "the file was altered" in program.error("predict", "org/altered", "a")
    assert "the Hub did not give model.onnx: " in program.error("predict", "org/incomplete", "a")


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(
    "bundle", ["bundle", "./org/bundle", "/org/bundle", "a/b/c", "org/", "", "a b/c", "~/x", "x\0"]
)
def test_what_reads_like_no_full_id_is_a_folder(bundle: str) -> None:
    with pytest.raises(BundleNotFound):
        Classifier.load(bundle)


@pytest.mark.usefixtures("nobody")
def test_a_path_is_a_folder() -> None:
    with pytest.raises(BundleNotFound, match="expected a bundle folder"):
        Classifier.load(Path(NAME))


@pytest.mark.usefixtures("nobody")
def test_a_folder_has_no_revision(tiny_bundle: Path) -> None:
    with pytest.raises(UsageError, match="revision: expected a Hub id like org/name to go with it, got "):
        Classifier.load(tiny_bundle, revision="main")


# Finding any model


@pytest.fixture
def cached(tmp_path: Path, own_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a model in the Hub's cache; the tests run offline."""
    repository = tmp_path / "hub" / f"models--{NAME.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    (repository / "snapshots").mkdir()
    shutil.copytree(own_bundle, repository / "snapshots" / ("0" * 40))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return repository / "snapshots" / ("0" * 40)


def test_a_model_is_found_in_the_cache(cached: Path) -> None:
    assert find_on_hub(NAME) == cached
    assert find_on_hub(NAME, allow=["*.json"], ignore=("*.onnx",), revision="main") == cached
    assert Classifier.load(NAME, revision="0" * 40).labels == ("late", "lost", "refund")


@pytest.mark.usefixtures("cached")
def test_a_pickle_names_the_commit_and_not_the_branch() -> None:
    classifier = Classifier.load(NAME)

    assert (classifier._source.bundle, classifier._source.revision) == (NAME, "0" * 40)
    assert pickle.loads(pickle.dumps(classifier))("a") == classifier("a")


@pytest.mark.usefixtures("cached")
def test_a_model_that_is_not_in_the_cache_is_an_error_offline() -> None:
    with pytest.raises(HubError, match=r"^org/x: expected a checkpoint or a Hub id; .* the Hub did not give it: "):
        find_on_hub("org/x", expected="a checkpoint")


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize("name", ["", "a/b/c", "/a", "not an id", "."])
def test_a_name_that_is_no_id_is_not_asked_for(name: str) -> None:
    with pytest.raises(HubError, match="expected a folder or a Hub id like"):
        find_on_hub(name)


@pytest.mark.usefixtures("nobody")
def test_a_file_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").write_text("x", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(HubError, match="found a file"):
        find_on_hub("model")


def test_without_huggingface_hub_one_sentence_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)

    for ask in (lambda: find_on_hub(NAME), lambda: Classifier.load(NAME)):
        with pytest.raises(MissingExtra, match="it needs huggingface_hub: pip install huggingface_hub"):
            ask()


# Pushing


def test_a_pushed_bundle_is_loaded_as_it_was(hub: Hub, program: Program, own_bundle: Path, tiny_bundle: Path) -> None:
    (own_bundle / "notes.txt").write_text("not of the bundle", encoding="utf-8")

    done = program("push", own_bundle, NAME, HF_TOKEN=TOKEN)

    names = ["bundle.json", "tokenizer.json", "model.onnx", "README.md"]
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{hub.address}/{NAME}/commit/")
    assert hub.commits == [(NAME, "main", "Upload a setfuse bundle", names)]  # one, with nothing else in it
    assert hub.repositories[NAME]["main"] == {name: (tiny_bundle / name).read_bytes() for name in names}
    assert hub.private == set()
    assert program.documents("info", NAME, "--json")[0]["labels"] == ["late", "lost", "refund"]


def test_where_and_how_it_is_pushed(hub: Hub, program: Program, own_bundle: Path) -> None:
    (own_bundle / "README.md").unlink()
    options = ("--private", "--revision", "v2", "--message", "Trained on May's tickets")

    assert program("push", own_bundle, NAME, *options, HF_TOKEN=TOKEN).returncode == 0

    names = ["bundle.json", "tokenizer.json", "model.onnx"]
    assert hub.commits == [(NAME, "v2", "Trained on May's tickets", names)]
    assert hub.private == {NAME}
    assert program("push", own_bundle, NAME, HF_TOKEN=TOKEN).returncode == 0  # the repository is there by now


@pytest.mark.parametrize(
    ("repository", "environment", "reason"),
    [
        (NAME, {"HF_TOKEN": ""}, "401"),
        ("others/x", {}, "don't have the rights"),
        (NAME, {"HF_ENDPOINT": "http://127.0.0.1:9"}, "onnect"),
        (NAME, {"HF_HUB_OFFLINE": "1"}, "offline"),
        ("org/no--such", {}, "Cannot have -- or .. in repo_id"),
    ],
    ids=["no token", "no rights", "no network", "offline", "no name"],
)
def test_what_the_hub_does_not_take_is_one_sentence(
    repository: str, environment: dict[str, str], reason: str, program: Program, tiny_bundle: Path
) -> None:
    said = program.error("push", tiny_bundle, repository, **{"HF_TOKEN": TOKEN, **environment})

    assert said.startswith(f"setfuse push: {repository}: the Hub did not take the bundle: ")
    assert reason in said
    assert "HF_TOKEN" in said
    assert TOKEN not in said


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no manifest": lambda bundle: (bundle / "bundle.json").unlink(),
    "no graph": lambda bundle: (bundle / "model.onnx").unlink(),
    "altered tokenizer": lambda bundle: (bundle / "tokenizer.json").write_bytes(b"{}"),
}


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_nothing_of_a_damaged_bundle_is_sent(damage: Callable[[Path], object], own_bundle: Path) -> None:
    damage(own_bundle)

    with pytest.raises((BundleNotFound, BundleCorrupt)):
        push(own_bundle, NAME)


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"repo_id": "a/b/c"}, "repo_id: expected the name of a model repository like org/name, got 'a/b/c'"),
        ({"repo_id": ""}, "repo_id: expected"),
        ({"message": " "}, "message: expected a commit message, got an empty one"),
    ],
)
def test_bad_arguments_of_push(changes: dict[str, str], message: str, tiny_bundle: Path) -> None:
    with pytest.raises(UsageError) as caught:
        push(**{"folder": tiny_bundle, "repo_id": NAME, **changes})  # type: ignore[arg-type]

    assert message in str(caught.value)


# Checkpoints


@pytest.fixture
def own_checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of `tiny_checkpoint`, with files beside it that are not its own."""
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "own-checkpoint"))
    (folder / "README.md").write_text("# A model", encoding="utf-8")
    for name in ("notes.txt", "optimizer.pt", "run.json", ".secret", "checkpoint-5/model.safetensors", "config/x.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("not of the checkpoint", encoding="utf-8")
    return folder


def test_a_pushed_checkpoint_is_found_by_its_name_and_offline(
    hub: Hub, program: Program, own_checkpoint: Path, tiny_checkpoint: Path
) -> None:
    done = program("push", own_checkpoint, NAME, HF_TOKEN=TOKEN)

    assert (done.returncode, done.stderr) == (0, "")
    own = {
        path.relative_to(tiny_checkpoint).as_posix(): path.read_bytes()
        for path in tiny_checkpoint.rglob("*")
        if path.is_file()
    }
    assert hub.repositories[NAME]["main"] == {**own, "README.md": b"# A model"}
    assert hub.commits == [(NAME, "main", "Upload a setfuse checkpoint", sorted([*own, "README.md"]))]

    environment = {**os.environ, **program.environment}
    code = "from setfuse.runtime import find_on_hub; print(find_on_hub('org/support-desk'))"
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    downloaded = Path(found.stdout.strip())
    assert {name: (downloaded / name).read_bytes() for name in own} == own
    asked = len(hub.asked)
    exported = program("export", NAME, "--out", "bundle", HF_HUB_OFFLINE="1")
    assert (exported.returncode, len(hub.asked)) == (0, asked), exported.stderr
    assert program.documents("info", "bundle", "--json")[0]["labels"] == ["late", "lost", "refund"]


def test_a_head_that_is_a_graph_comes_with_its_checkpoint(hub: Hub, program: Program, own_checkpoint: Path) -> None:
    (own_checkpoint / "head.onnx").write_bytes(b"a forest")
    (own_checkpoint / "model.onnx").write_bytes(b"of somebody who exported the body")
    hub.add(NAME, own_checkpoint)

    assert program("export", NAME, "--out", "bundle").returncode == 0

    assert "head.onnx" in hub.downloads()
    assert "model.onnx" not in hub.downloads()


@pytest.mark.usefixtures("nobody")
def test_a_body_without_a_head_is_not_pushed(own_checkpoint: Path) -> None:
    (own_checkpoint / "head.json").unlink()

    with pytest.raises(UsageError, match=r"expected a bundle, or a checkpoint with a head .* found a body alone"):
        push(own_checkpoint, NAME)


def test_the_hubs_library_is_imported_only_when_it_is_asked(tiny_bundle: Path) -> None:
    code = "import setfuse.runtime as s, sys; s.Classifier.load(sys.argv[1]); print('huggingface_hub' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, tiny_bundle], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
