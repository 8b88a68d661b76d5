"""The example service, run in this process, and what its image is made of."""

import importlib.util
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from setfuse.runtime import Classifier
from tests.models import TEXTS

FOLDER = Path(__file__).parent.parent / "examples" / "service"


@pytest.fixture
def client(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of the service."""
    testclient = pytest.importorskip("starlette.testclient", reason="starlette and its test client are not installed")
    monkeypatch.setenv("SETFUSE_BUNDLE", str(tiny_bundle))
    spec = importlib.util.spec_from_file_location("service", FOLDER / "service.py")
    assert spec is not None
    assert spec.loader is not None
    service = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(service)
    with testclient.TestClient(service.app, raise_server_exceptions=False) as client:
        yield client


def test_it_answers_as_the_classifier_does(client: Any, tiny_bundle: Path) -> None:
    classifier = Classifier.load(tiny_bundle)
    texts = list(TEXTS) * 4

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda text: client.post("/classify", json={"text": text}), texts))

    assert [answer.status_code for answer in answers] == [200] * len(texts)
    assert [answer.json()["label"] for answer in answers] == classifier.predict(texts)
    assert answers[0].json()["score"] == pytest.approx(classifier(texts[0]).score, abs=1e-6)
    stats = client.get("/stats").json()
    assert (stats["queued"], stats["waiting"], stats["failed"]) == (len(texts), 0, 0)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b'{"text": 7}', 422, "InvalidText: expected a text, got int (7)"),
        (b'{"text": ["a"]}', 422, "InvalidText: expected a text, got list"),
        (b"{}", 422, "KeyError: 'text'"),
        (b"[]", 422, "TypeError: "),
        (b"text", 400, "JSONDecodeError: "),
        (b"\xff", 400, "UnicodeDecodeError: "),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_request_is_refused(body: bytes, status: int, error: str, client: Any) -> None:
    answer = client.post("/classify", content=body)

    assert answer.status_code == status
    assert answer.json()["error"].startswith(error)


def test_it_says_when_it_is_closed_or_full(client: Any) -> None:
    client.app.state.classifier.close()

    answer = client.post("/classify", json={"text": "a"})

    assert answer.status_code == 503
    assert answer.json()["error"].startswith("ClassifierClosed: ")


def test_its_image_holds_what_is_there_and_no_torch() -> None:
    dockerfile = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    requirements = (FOLDER / "requirements.txt").read_text(encoding="utf-8").split()

    assert [line.split("==")[0] for line in requirements] == ["starlette", "uvicorn"]
    assert re.findall(r"\.whl\)\[(.*?)\]", dockerfile) == ["cpu"]  # what test_bare_install shows to be free of torch
    for name in re.findall(r"(?:/src/|COPY )(\w[\w/.]*\.\w+)", dockerfile):
        assert (FOLDER.parent.parent / name).is_file(), name
