"""The command line: answers on stdout and nothing else there; what is wrong in one line on stderr."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support
from sklearn.preprocessing import MultiLabelBinarizer

from setfuse.runtime import Classifier, Prediction, cli
from setfuse.runtime.__main__ import main
from setfuse.runtime._engine import Engine
from tests.models import TEXTS, write_rows

from .damage import change_manifest, replace_file
from .kinds import make_decision, make_multi_label

LABELS = ("late", "lost", "refund")
PATIENCE = 60
"""Seconds after which an answer will not come any more, on the slowest of machines."""


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    status: object
    out: str
    err: str

    def documents(self) -> list[dict[str, object]]:
        """Read stdout as one JSON document a line."""
        assert (self.status, self.err) == (0, "")
        return [json.loads(line) for line in self.out.removesuffix("\n").split("\n")]

    def assert_failed(self, status: int, program: str, message: str) -> None:
        """Check that all there is is one line on stderr."""
        assert (self.status, self.out) == (status, ""), self
        assert self.err.startswith(f"{program}: "), self
        assert message in self.err, self
        assert self.err.count("\n") == 1, self
        assert self.err.endswith("\n"), self


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Done]]:
    """Run a command in this process; what libraries write past Python is seen, too."""
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # main sets it for good, and a handler
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(*arguments: object) -> Done:
        capfd.readouterr()
        try:
            status: object = main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
        return Done(status, *capfd.readouterr())

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def command(*arguments: object) -> list[str]:
    """Give the command line of a process of its own."""
    return [sys.executable, "-m", "setfuse.runtime", *map(str, arguments)]


def usual_environment(**changes: str) -> dict[str, str]:
    """Give this process's environment, but with Python's usual buffers, which hide what is not flushed."""
    return {**{name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}, **changes}


def run_apart(*arguments: object, stdin: bytes = b"", **environment: str) -> Done:
    """Run a command in a process of its own."""
    return start(command(*arguments), stdin, **environment)


def run_redirected(redirection: str, *arguments: object) -> Done:
    """Run a command as a shell does that redirects its input or output."""
    return start(["sh", "-c", f'exec "$@" {redirection}', "sh", *command(*arguments)])


def start(line: list[str], stdin: bytes = b"", **environment: str) -> Done:
    """Start a process and wait for its end."""
    env = usual_environment(**environment)
    done = subprocess.run(line, input=stdin, capture_output=True, check=False, timeout=PATIENCE, env=env)
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture(scope="module")
def predictions(tiny_bundle: Path) -> dict[str, Prediction]:
    """What the classifier itself says of the texts."""
    classifier = Classifier.load(tiny_bundle)
    return {text: classifier(text) for text in TEXTS}


def assert_answers(answers: Sequence[dict[str, object]], expected: Sequence[Prediction]) -> None:
    """Compare what --json prints with the classifier's answers."""
    assert [answer.keys() for answer in answers] == [{"label", "score", "scores"}] * len(expected)
    for answer, prediction in zip(answers, expected, strict=True):
        assert answer["label"] == prediction.label
        assert answer["score"] == pytest.approx(prediction.score, abs=1e-6)
        assert answer["scores"] == pytest.approx(dict(prediction.scores), abs=1e-6)


# predict


def test_predict_prints_one_line_a_text(
    run: Callable[..., Done], tiny_bundle: Path, predictions: dict[str, Prediction]
) -> None:
    done = run("predict", tiny_bundle, *TEXTS)

    expected = [f"{predictions[text].label}\t{predictions[text].score:.4f}\t{text}" for text in TEXTS]
    assert done == Done(0, "\n".join(expected) + "\n", "")


def test_predict_json_prints_one_document_a_text(
    run: Callable[..., Done], tiny_bundle: Path, predictions: dict[str, Prediction]
) -> None:
    done = run("predict", tiny_bundle, *TEXTS, "--json")

    assert_answers(done.documents(), [predictions[text] for text in TEXTS])
    assert len(run("predict", tiny_bundle, "one text", "--json").documents()) == 1


def test_predict_shows_a_text_of_many_lines_in_one(run: Callable[..., Done], tiny_bundle: Path) -> None:
    done = run("predict", tiny_bundle, "  where\tis \r\n\n my parcel ")

    assert done.out.endswith("\twhere is my parcel\n")
    assert (done.out.count("\t"), done.out.count("\n")) == (2, 1)


def test_predict_shows_labels_of_any_script(run: Callable[..., Done], own_bundle: Path) -> None:
    change_manifest(own_bundle, lambda manifest: manifest.update(labels=["späť", "你好", "😀"]))

    done = run("predict", own_bundle, *TEXTS, "--json")

    assert {str(answer["label"]) for answer in done.documents()} <= {"späť", "你好", "😀"}
    assert '"späť"' in done.out  # as it is, not escaped


def test_predict_takes_what_follows_two_dashes_as_texts(run: Callable[..., Done], tiny_bundle: Path) -> None:
    assert run("predict", tiny_bundle, "--", "--json", "-1").out.endswith("\t-1\n")


@pytest.mark.parametrize("options", [("--threads", 1), ("--device", "cpu"), ("--precision", "fp32")], ids=str)
def test_predict_takes_the_options_of_load(
    options: tuple[object, ...], run: Callable[..., Done], tiny_bundle: Path, predictions: dict[str, Prediction]
) -> None:
    assert_answers(run("predict", tiny_bundle, "cancel", "--json", *options).documents(), [predictions["cancel"]])


def test_predict_shows_every_label_that_applies(run: Callable[..., Done], own_bundle: Path) -> None:
    predictions = Classifier.load(make_multi_label(own_bundle))(TEXTS)
    assert {len(prediction.labels) for prediction in predictions} >= {0, 1, 2}

    lines = run("predict", own_bundle, *TEXTS).out.removesuffix("\n").split("\n")

    assert [line.split("\t")[0] for line in lines] == [",".join(p.labels) or "-" for p in predictions]
    assert [line.split("\t")[1] for line in lines] == [f"{p.score:.4f}" for p in predictions]
    documents = run("predict", own_bundle, *TEXTS, "--json").documents()
    assert [document["labels"] for document in documents] == [list(p.labels) for p in predictions]
    assert [document["label"] for document in documents] == [p.label for p in predictions]


def test_predict_shows_the_best_labels(
    run: Callable[..., Done], tiny_bundle: Path, predictions: dict[str, Prediction]
) -> None:
    lines = run("predict", tiny_bundle, *TEXTS, "--top-k", "2").out.splitlines()
    (document,) = run("predict", tiny_bundle, "cancel", "--top-k", "9", "--json").documents()

    for line, text in zip(lines, TEXTS, strict=True):
        (first, its_score), (second, other_score) = predictions[text].top_k(2)
        assert line == f"{first},{second}\t{its_score:.4f},{other_score:.4f}\t{text}"
    assert [each["label"] for each in document["top"]] == [label for label, _ in predictions["cancel"].top_k(9)]
    assert document["top"][0]["score"] == document["score"]


def test_predict_shows_no_label_below_a_score(
    run: Callable[..., Done], tiny_bundle: Path, predictions: dict[str, Prediction]
) -> None:
    abstain = sorted(prediction.score for prediction in predictions.values())[len(TEXTS) // 2] - 1e-5
    lines = run("predict", tiny_bundle, *TEXTS, "--abstain", abstain).out.splitlines()
    documents = run("predict", tiny_bundle, *TEXTS, "--abstain", abstain, "--json").documents()

    expected = [predictions[text].label if predictions[text].score >= abstain else None for text in TEXTS]
    assert None in expected
    assert [line.split("\t")[0] for line in lines] == [label or "-" for label in expected]
    assert [document["label"] for document in documents] == expected


def test_predict_takes_a_threshold_for_several_labels(run: Callable[..., Done], own_bundle: Path) -> None:
    classifier = Classifier.load(make_multi_label(own_bundle))

    documents = run("predict", own_bundle, *TEXTS, "--threshold", "0.4", "--json").documents()

    expected = classifier.predict(TEXTS, threshold=0.4)
    assert [tuple(document["labels"]) for document in documents] == expected
    assert expected != classifier.predict(TEXTS)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--top-k", "0", "top_k: expected a whole number from 1, got 0"),
        ("--abstain", "2", "abstain: expected a probability from 0 to 1, got 2.0"),
        ("--abstain", "nan", "abstain: expected a probability from 0 to 1, got nan"),
        ("--threshold", "0.4", "threshold: expected a multi-label bundle, got one of one label a text; pass abstain"),
    ],
)
def test_predict_refuses_a_score_or_number_out_of_range(
    option: str, value: str, message: str, run: Callable[..., Done], tiny_bundle: Path
) -> None:
    assert run("predict", tiny_bundle, "a", option, value) == Done(2, "", f"setfuse predict: {message}\n")


def test_predict_shows_decision_scores(run: Callable[..., Done], own_bundle: Path) -> None:
    classifier = Classifier.load(make_decision(own_bundle))

    assert_answers(run("predict", own_bundle, *TEXTS, "--json").documents(), classifier(TEXTS))


# predict, texts from standard input


@pytest.mark.parametrize(
    ("stdin", "texts"),
    [
        pytest.param(b"cancel\nwhat is this\n", ["cancel", "what is this"], id="lines"),
        pytest.param(b"cancel\nwhat is this", ["cancel", "what is this"], id="no newline at the end"),
        pytest.param(b"cancel\r\nwhat is this\r\n", ["cancel", "what is this"], id="CRLF"),
        pytest.param(b"\n\ncancel\n \n", ["", "", "cancel", " "], id="blank lines are answered"),
        pytest.param(b"caf\xe9\n\xff\xfe\xed\xa0\x80\n", ["caf\ufffd", "\ufffd" * 5], id="not UTF-8"),
        pytest.param(b"a\rb\n", ["a\rb"], id="a line ends with a line feed"),
        pytest.param(
            b"a\x0bb\x0cc\xc2\x85d\xe2\x80\xa8e\x00f\n", ["a\x0bb\x0cc\x85d\u2028e\0f"], id="other separators"
        ),
        pytest.param("é ü 中 你 😀\n".encode(), ["é ü 中 你 😀"], id="any script"),
    ],
)
@pytest.mark.parametrize(
    "locale",
    [
        pytest.param({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, id="locale of ASCII"),
        pytest.param({"PYTHONIOENCODING": "ascii:strict"}, id="streams of ASCII"),
    ],
)
def test_predict_answers_each_line_of_stdin(
    stdin: bytes, texts: list[str], locale: dict[str, str], tiny_bundle: Path
) -> None:
    classifier = Classifier.load(tiny_bundle)

    done = run_apart("predict", tiny_bundle, "--json", stdin=stdin, **locale)

    assert_answers(done.documents(), [classifier(text) for text in texts])


def test_whatever_ends_the_reading_of_stdin_is_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lines:
        def __enter__(self) -> Iterator[str]:
            yield "a parcel\n"
            raise MemoryError("a line too long")

        def __exit__(self, *exception: object) -> None:
            pass

    monkeypatch.setattr(cli, "open", lambda *_, **__: Lines(), raising=False)
    read: queue.Queue[object] = queue.Queue()

    def listen() -> None:
        try:
            for chunk in cli._lines_as_they_come():
                read.put(chunk)
        except MemoryError as error:
            read.put(error)

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(fileno=lambda: 0))
    threading.Thread(target=listen, daemon=True).start()

    assert read.get(timeout=PATIENCE) == ["a parcel"]
    assert isinstance(read.get(timeout=PATIENCE), MemoryError)


def test_predict_repeats_each_line_of_stdin(tiny_bundle: Path) -> None:
    done = run_apart("predict", tiny_bundle, stdin="é 中\t你 😀\r\n\n a  b\x00\n".encode() + b"caf\xe9")

    assert [line.split("\t")[2] for line in done.out.split("\n")[:-1]] == ["é 中 你 😀", "", "a b\0", "caf\ufffd"]


def test_predict_has_nothing_to_say_of_no_lines(tiny_bundle: Path) -> None:
    assert run_apart("predict", tiny_bundle) == Done(0, "", "")


def test_predict_keeps_the_order_of_many_lines(tiny_bundle: Path, predictions: dict[str, Prediction]) -> None:
    texts = [TEXTS[number * number % len(TEXTS)] for number in range(3 * cli.MAX_LINES_WAITING + 7)]

    done = run_apart("predict", tiny_bundle, stdin="\n".join(texts).encode() + b"\n")

    expected = [f"{predictions[text].label}\t{text}" for text in texts]
    assert ["\t".join(line.split("\t")[::2]) for line in done.out.split("\n")[:-1]] == expected


def test_predict_takes_a_bounded_number_of_lines_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "texts"
    path.write_text("text\n" * 5000, encoding="utf-8")

    class Ahead(queue.Queue[object]):
        """What one has whose writer is always faster than the reader."""

        def empty(self) -> bool:
            return False

    monkeypatch.setattr(queue, "Queue", Ahead)
    with path.open(encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        sizes = [len(chunk) for chunk in cli._lines_as_they_come()]

    assert sum(sizes) == 5000
    assert max(sizes) <= cli.MAX_LINES_WAITING


class Conversation:
    """A `setfuse predict` that is fed one line at a time; whoever is not answered in time gets `queue.Empty`."""

    def __init__(self, bundle: Path) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command("predict", bundle, "--json"), stdin=pipe, stdout=pipe, stderr=pipe, env=usual_environment()
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.stdin, self.stdout, self.stderr = self.process.stdin, self.process.stdout, self.process.stderr
        self.answers: queue.Queue[bytes] = queue.Queue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()

    def say(self, text: str) -> None:
        self.stdin.write(text.encode())
        self.stdin.flush()

    def answer(self) -> dict[str, object]:
        threading.Thread(target=lambda: self.answers.put(self.stdout.readline()), daemon=True).start()
        value: dict[str, object] = json.loads(self.answers.get(timeout=PATIENCE))
        return value

    def end(self) -> Done:
        """Wait for the end, with standard input still open."""
        status = self.process.wait(PATIENCE)
        return Done(status, "", self.stderr.read().decode())


def test_predict_answers_a_line_before_the_next_is_sent(tiny_bundle: Path, predictions: dict[str, Prediction]) -> None:
    with Conversation(tiny_bundle) as conversation:
        for text in TEXTS:
            conversation.say(text + "\n")
            assert_answers([conversation.answer()], [predictions[text]])

        conversation.say("canc")  # half a line is none yet
        conversation.say("el\n")
        assert_answers([conversation.answer()], [predictions["cancel"]])

        conversation.stdin.close()
        assert conversation.stdout.read() == b""
        assert conversation.end() == Done(0, "", "")


def test_predict_ends_quietly_when_nobody_reads_on(tiny_bundle: Path) -> None:
    with Conversation(tiny_bundle) as conversation:
        conversation.say("cancel\n")
        conversation.answer()
        conversation.stdout.close()  # as `| head -1` does

        conversation.say("cancel\n")

        assert conversation.end() == Done(1, "", "")


@pytest.mark.parametrize(
    ("number", "status", "err"),
    [(signal.SIGINT, 130, "setfuse predict: interrupted\n"), (signal.SIGTERM, 143, "")],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_predict_ends_cleanly_when_it_is_stopped(
    number: signal.Signals, status: int, err: str, tiny_bundle: Path
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child of `nohup` or `&` would ignore it
    try:
        conversation = Conversation(tiny_bundle)
    finally:
        signal.signal(signal.SIGINT, before)
    with conversation:
        conversation.say("cancel\n")
        conversation.answer()

        conversation.process.send_signal(number)

        assert conversation.end() == Done(status, "", err)


@pytest.mark.parametrize(
    ("redirection", "status", "message"),
    [
        pytest.param("<&-", 2, "standard input is closed", id="closed"),
        pytest.param("0>/dev/null", 1, "standard input: Bad file descriptor", id="open for writing only"),
    ],
)
def test_predict_says_that_stdin_cannot_be_read(redirection: str, status: int, message: str, tiny_bundle: Path) -> None:
    run_redirected(redirection, "predict", tiny_bundle).assert_failed(status, "setfuse predict", message)


@pytest.mark.parametrize(
    ("arguments", "program"),
    [
        ("predict BUNDLE a", "setfuse predict"),
        ("info BUNDLE --json", "setfuse info"),
        ("--version", "setfuse"),
        ("--help", "setfuse"),
    ],
)
def test_a_full_disk_is_one_line(arguments: str, program: str, tiny_bundle: Path) -> None:
    given = [str(tiny_bundle) if argument == "BUNDLE" else argument for argument in arguments.split()]

    run_redirected(">/dev/full", *given).assert_failed(1, program, "No space left on device")


def test_a_closed_stdout_is_no_failure(tiny_bundle: Path) -> None:
    assert run_redirected(">&-", "predict", tiny_bundle, "a") == Done(0, "", "")
    assert run_redirected(">&-", "info", tiny_bundle) == Done(0, "", "")
    run_redirected(">&-", "info", "nowhere").assert_failed(1, "setfuse info", "expected a bundle folder")


def test_predict_shows_an_argument_that_is_not_utf8(tiny_bundle: Path) -> None:
    # As strict as Python is in a locale such as en_US.UTF-8.
    done = run_apart("predict", tiny_bundle, os.fsdecode(b"caf\xe9"), PYTHONIOENCODING="utf-8:strict")

    assert (done.status, done.err) == (0, "")
    assert done.out.endswith("\tcaf\ufffd\n")


# evaluate

TRUE = [LABELS[number % 3] for number in range(len(TEXTS) - 1)]
JUDGED = [text for text in TEXTS if text]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Labelled texts, of which the bundle gets some right."""
    return write_rows(tmp_path / "rows.jsonl", list(zip(JUDGED, TRUE, strict=True)))


def test_evaluate_json_prints_one_document(
    run: Callable[..., Done], tiny_bundle: Path, rows: Path, predictions: dict[str, Prediction]
) -> None:
    answered = [predictions[text].label for text in JUDGED]
    oracle = precision_recall_fscore_support(TRUE, answered, labels=LABELS, zero_division=0)

    (value,) = run("evaluate", tiny_bundle, rows, "--json").documents()

    assert value.keys() == {"accuracy", "macro_f1", "texts", "labels", "confusion"}
    assert value["accuracy"] == pytest.approx(accuracy_score(TRUE, answered))
    assert value["macro_f1"] == pytest.approx(f1_score(TRUE, answered, average="macro", zero_division=0))
    assert value["texts"] == len(TRUE)
    assert value["confusion"] == confusion_matrix(TRUE, answered, labels=LABELS).tolist()
    assert value["labels"] == {
        label: {"precision": pytest.approx(p), "recall": pytest.approx(r), "f1": pytest.approx(f), "support": s}
        for label, p, r, f, s in zip(LABELS, *oracle, strict=True)
    }


def test_evaluate_prints_the_same_for_people(
    run: Callable[..., Done], tiny_bundle: Path, rows: Path, predictions: dict[str, Prediction]
) -> None:
    answered = [predictions[text].label for text in JUDGED]
    oracle = precision_recall_fscore_support(TRUE, answered, labels=LABELS, zero_division=0)
    confusion = confusion_matrix(TRUE, answered, labels=LABELS)

    done = run("evaluate", tiny_bundle, rows)

    assert (done.status, done.err) == (0, "")
    lines = [line.split() for line in done.out.splitlines()]
    macro = f1_score(TRUE, answered, average="macro", zero_division=0)
    assert done.out.startswith(f"accuracy {accuracy_score(TRUE, answered):.4f}, macro F1 {macro:.4f} on 11 texts\n")
    assert ["label", "precision", "recall", "F1", "texts"] in lines
    for label, p, r, f, s in zip(LABELS, *oracle, strict=True):
        assert [label, f"{p:.3f}", f"{r:.3f}", f"{f:.3f}", str(s)] in lines
    for number, (label, row) in enumerate(zip(LABELS, confusion, strict=True), start=1):
        assert [str(number), label, *map(str, row)] in lines


def test_evaluate_names_an_unknown_label(run: Callable[..., Done], tiny_bundle: Path, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [("a", "late"), ("b", "Lost")])

    done = run("evaluate", tiny_bundle, path, "--json")

    done.assert_failed(1, "setfuse evaluate", f"{path}:2: expected one of the bundle's labels (late, lost, refund)")
    assert "found 'Lost'" in done.err


@pytest.mark.parametrize("content", [None, b"", b"text,label\n", b'{"text": "caf\xe9"}'], ids=ascii)
def test_evaluate_names_a_file_it_cannot_use(
    content: bytes | None, run: Callable[..., Done], tiny_bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_bytes(content)

    run("evaluate", tiny_bundle, path).assert_failed(1, "setfuse evaluate", f"{path}:")


def test_evaluate_judges_several_labels(run: Callable[..., Done], own_bundle: Path, tmp_path: Path) -> None:
    answered = Classifier.load(make_multi_label(own_bundle)).predict(TEXTS)
    true = [[], ["late"], ["late", "lost"], ["lost", "refund"]] * 3
    rows = [{"text": text or "x", "label": labels} for text, labels in zip(TEXTS, true, strict=True)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]), encoding="utf-8")
    as_columns = MultiLabelBinarizer(classes=LABELS)
    expected, found = as_columns.fit_transform(true[:-1]), as_columns.transform(answered[:-1])

    (value,) = run("evaluate", own_bundle, path, "--json").documents()

    assert value.keys() == {"subset_accuracy", "micro_f1", "macro_f1", "texts", "labels"}
    assert value["subset_accuracy"] == pytest.approx(accuracy_score(expected, found))
    assert value["micro_f1"] == pytest.approx(f1_score(expected, found, average="micro"))
    done = run("evaluate", own_bundle, path)
    assert done.out.startswith(f"exactly the labels {value['subset_accuracy']:.4f}, micro F1 {value['micro_f1']:.4f}, ")
    for label, p, r, f, s in zip(LABELS, *precision_recall_fscore_support(expected, found), strict=True):
        assert [label, f"{p:.3f}", f"{r:.3f}", f"{f:.3f}", str(s)] in [line.split() for line in done.out.splitlines()]


def test_evaluate_wants_the_rows_of_its_kind(
    run: Callable[..., Done], tiny_bundle: Path, own_bundle: Path, tmp_path: Path
) -> None:
    one = write_rows(tmp_path / "one.jsonl", [("a", "late")])
    several = tmp_path / "several.jsonl"
    several.write_text('{"text": "a", "label": ["late"]}', encoding="utf-8")

    done = run("evaluate", make_multi_label(own_bundle), one)
    done.assert_failed(1, "setfuse evaluate", f'{one}:1: expected a "label" that is a list')
    done = run("evaluate", tiny_bundle, several)
    done.assert_failed(1, "setfuse evaluate", "a list of labels is for a multi-label bundle")


# info


def test_info_json_is_the_manifest(run: Callable[..., Done], tiny_bundle: Path) -> None:
    done = run("info", tiny_bundle, "--json")

    (found,) = done.documents()
    here = found.pop("here")
    assert found == json.loads((tiny_bundle / "bundle.json").read_bytes())
    assert (here["precision"], here["target"], here["file"]) == ("fp32", "cpu", "model.onnx")


def test_info_says_what_the_bundle_holds(run: Callable[..., Done], tiny_bundle: Path) -> None:
    done = run("info", tiny_bundle)

    assert (done.status, done.err) == (0, "")
    lines = [line.split(maxsplit=1) for line in done.out.splitlines()]
    assert ["labels", "late, lost, refund"] in lines
    assert ["task", "text-classification"] in lines
    assert ["scores", "probabilities"] in lines
    assert "prompt" not in done.out
    assert ["format", "2"] in lines
    assert "48 tokens" in done.out
    assert "32 dimensions" in done.out
    megabytes = (tiny_bundle / "model.onnx").stat().st_size / 1e6
    assert ["model.onnx", "fp32/cpu", f"{megabytes:.1f}"] in [line.split()[:3] for line in done.out.splitlines()]


def test_info_says_what_is_not_as_usual(run: Callable[..., Done], own_bundle: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["prompt"] = "query: "
        (variant,) = manifest["variants"]
        variant["note"] = "with the tokenizer inside"
        variant["parity"] |= {
            "mean_embedding_difference": 1.25e-7,
            "accuracy": 0.875,
            "torch_accuracy": 0.9,
            "checked_on": "held_out.jsonl",
            "allowed_mismatch": "3 labels of 54 differ",
        }

    done = run("info", change_manifest(make_decision(own_bundle), change))

    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert "scores        decision scores" in lines
    assert "prompt        'query: '" in lines
    assert lines[lines.index("") + 4 :] == [
        "model.onnx: compared on held_out.jsonl",
        "model.onnx: embeddings differ by 1.2e-07 on average",
        "model.onnx: accuracy 87.5%, torch's 90.0%",
        "model.onnx: allowed: 3 labels of 54 differ",
        "model.onnx: with the tokenizer inside",
    ]


def test_info_of_an_older_bundle(run: Callable[..., Done]) -> None:
    bundle = Path(__file__).parent / "data" / "version-1" / "bundle"

    assert "format        1" in run("info", bundle).out.splitlines()
    (value,) = run("info", bundle, "--json").documents()
    assert (value["format_version"], value["scores"], value["prompt"]) == (1, "probabilities", "")


def test_info_of_a_bundle_that_says_little_of_itself(run: Callable[..., Done], own_bundle: Path) -> None:
    def forget(manifest: dict[str, object]) -> None:
        manifest["provenance"] = {}
        manifest["variants"][0]["parity"] = None  # type: ignore[index]

    done = run("info", change_manifest(own_bundle, forget))

    assert (done.status, done.err) == (0, "")
    assert ["model.onnx", "fp32/cpu", "0.1", "-", "-", "-"] in [line.split() for line in done.out.splitlines()]


def test_info_reads_no_graph(run: Callable[..., Done], own_bundle: Path) -> None:
    (own_bundle / "model.onnx").unlink()

    assert run("info", own_bundle).status == 0


def test_options_may_stand_anywhere(run: Callable[..., Done], tiny_bundle: Path) -> None:
    bundle = str(tiny_bundle)

    forms = [
        run("predict", "--json", bundle, "a parcel", "late"),
        run("predict", bundle, "--json", "a parcel", "late"),
        run("predict", bundle, "a parcel", "--json", "late"),
        run("predict", bundle, "a parcel", "late", "--json"),
    ]

    assert {form.status for form in forms} == {0}
    assert len({form.out for form in forms}) == 1
    assert len(forms[0].out.splitlines()) == 2


# Bad usage


@pytest.mark.parametrize(
    ("arguments", "program", "message"),
    [
        pytest.param("", "setfuse", "expected a command", id="no command"),
        pytest.param("classify", "setfuse", "invalid choice: 'classify'", id="unknown command"),
        pytest.param("classify --json", "setfuse", "invalid choice: 'classify'", id="unknown command with a flag"),
        pytest.param("--verbose", "setfuse", "unrecognized arguments: --verbose", id="unknown flag"),
        pytest.param("predict", "setfuse predict", "required: BUNDLE;", id="predict nothing"),
        pytest.param(
            "predict BUNDLE a --verbose", "setfuse predict", "unrecognized arguments: --verbose", id="predict --verbose"
        ),
        pytest.param("predict BUNDLE a --threads", "setfuse predict", "--threads: expected one", id="no number"),
        pytest.param("predict BUNDLE a --threads many", "setfuse predict", "'many'", id="threads many"),
        pytest.param(
            "predict BUNDLE a --threads 0", "setfuse predict", "threads: expected a whole number from 1", id="threads 0"
        ),
        pytest.param("predict BUNDLE a --device gpu", "setfuse predict", "auto, cpu, cuda, or cuda:N", id="device gpu"),
        pytest.param(
            "predict BUNDLE a --precision fp8", "setfuse predict", "'fp32', 'int8', 'fp16'", id="precision fp8"
        ),
        pytest.param("evaluate BUNDLE", "setfuse evaluate", "required: DATA.jsonl;", id="evaluate nothing"),
        pytest.param("info", "setfuse info", "required: BUNDLE;", id="info of nothing"),
        pytest.param("push BUNDLE", "setfuse push", "required: REPO_ID;", id="push to nowhere"),
        pytest.param("push BUNDLE a/b/c", "setfuse push", "repo_id: expected", id="push to no name"),
        pytest.param("info BUNDLE --revision main", "setfuse info", "revision: expected a Hub id", id="revision"),
        pytest.param("info BUNDLE BUNDLE", "setfuse info", "unrecognized arguments", id="info of two"),
    ],
)
def test_bad_usage_is_one_line(
    arguments: str, program: str, message: str, run: Callable[..., Done], tiny_bundle: Path
) -> None:
    given = [str(tiny_bundle) if argument == "BUNDLE" else argument for argument in arguments.split()]

    run(*given).assert_failed(2, program, message)


def test_bad_usage_is_the_status_of_the_process(tiny_bundle: Path) -> None:
    run_apart().assert_failed(2, "setfuse", "expected a command; see setfuse --help")
    run_apart("predict", tiny_bundle, "a", "--threads", 0).assert_failed(2, "setfuse predict", "threads")


@pytest.mark.parametrize(("arguments", "message"), [("--precision int8", "int8/cpu"), ("--device cuda", "cuda")])
def test_a_graph_that_the_bundle_lacks(
    arguments: str, message: str, run: Callable[..., Done], tiny_bundle: Path
) -> None:
    done = run("predict", tiny_bundle, "a", *arguments.split())

    done.assert_failed(1, "setfuse predict", f"no {message} graph (has: fp32/cpu)")


# Bad bundles

BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda bundle: (bundle / "bundle.json").unlink(), "expected a bundle folder with bundle.json"),
    "manifest cut short": (lambda bundle: (bundle / "bundle.json").write_bytes(b'{"form'), "found damage"),
    "newer format": (lambda b: change_manifest(b, lambda m: m.update(format_version=3)), "upgrade setfuse"),
    "older format": (lambda b: change_manifest(b, lambda m: m.update(format_version=0)), "export the bundle again"),
}
BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no graph": (lambda bundle: (bundle / "model.onnx").unlink(), "model.onnx: expected"),
    "graph cut short": (lambda bundle: (bundle / "model.onnx").write_bytes(b""), "found 0; export the bundle again"),
    "graph of garbage": (lambda bundle: replace_file(bundle, "model.onnx", b"garbage" * 100), "refuses the graph"),
    "tokenizer of garbage": (lambda bundle: replace_file(bundle, "tokenizer.json", b"{}"), "tokenizer.json: "),
}


@pytest.mark.parametrize("name", ["predict", "evaluate", "info"])
@pytest.mark.parametrize(("damage", "message"), BAD.values(), ids=BAD)
def test_a_bad_manifest_is_one_line(
    name: str,
    damage: Callable[[Path], object],
    message: str,
    run: Callable[..., Done],
    own_bundle: Path,
) -> None:
    damage(own_bundle)

    done = run(name, own_bundle, *(["rows.jsonl"] if name == "evaluate" else []), "--json")

    done.assert_failed(1, f"setfuse {name}", message)
    assert str(own_bundle) in done.err


@pytest.mark.parametrize(("damage", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_one_line(
    damage: Callable[[Path], object], message: str, run: Callable[..., Done], own_bundle: Path, rows: Path
) -> None:
    damage(own_bundle)

    run("predict", own_bundle, "a").assert_failed(1, "setfuse predict", message)
    run("evaluate", own_bundle, rows).assert_failed(1, "setfuse evaluate", message)


@pytest.mark.parametrize("kind", ["no manifest", "newer format", "no graph", "graph of garbage"])
def test_a_bad_bundle_is_one_line_of_the_process(kind: str, own_bundle: Path) -> None:
    damage, message = {**BAD, **BAD_FILES}[kind]
    damage(own_bundle)

    run_apart("predict", own_bundle, stdin=b"a\n").assert_failed(1, "setfuse predict", message)


def test_without_onnxruntime_one_line_names_the_extra(
    run: Callable[..., Done], tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for engine in Engine:  # where OpenVINO is the only one, it is taken
        monkeypatch.setitem(sys.modules, engine, None)

    run("predict", tiny_bundle, "a").assert_failed(1, "setfuse predict", 'pip install "setfuse[cpu]"')


# The program


@pytest.mark.parametrize(
    ("number", "status", "err"),
    [(signal.SIGINT, 130, "setfuse predict: interrupted\n"), (signal.SIGTERM, 143, "")],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_a_signal_that_breaks_off_an_import_is_told_as_one(
    run: Callable[..., Done], monkeypatch: pytest.MonkeyPatch, number: int, status: int, err: str
) -> None:
    def import_module(name: str) -> None:
        try:
            os.kill(os.getpid(), number)
        except BaseException as error:  # as pybind11's modules do
            raise ImportError(f"{name}: initialization failed") from error

    monkeypatch.setattr("importlib.import_module", import_module)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child of `nohup` or `&` would ignore it
    try:
        assert run("predict", "bundle") == Done(status, "", err)
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_libraries_log_is_not_printed() -> None:
    program = (
        "import logging; from setfuse.runtime.__main__ import main; main(['--version']); "
        "logging.getLogger('some_library').warning('deprecated')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_the_version_is_the_packages(run: Callable[..., Done]) -> None:
    assert run("--version") == Done(0, f"setfuse {metadata.version('setfuse')}\n", "")


@pytest.mark.parametrize("name", ["", "train", "export", "predict", "evaluate", "info", "push"])
def test_help_is_on_stdout(name: str, run: Callable[..., Done]) -> None:
    done = run(*name.split(), "--help")

    assert (done.status, done.err) == (0, "")
    assert f"setfuse {name}".rstrip() in done.out


def test_the_help_of_predict_says_what_stands_for_no_label(run: Callable[..., Done]) -> None:
    assert "- stands for a text with no label above" in " ".join(run("predict", "--help").out.split())


HEAVY = (
    "torch",
    "transformers",
    "sentence_transformers",
    "sklearn",
    "onnx",
    "huggingface_hub",
    "setfuse.train",
    "setfuse.export",
)
PROBE = """
import sys
{first}
from setfuse.runtime.__main__ import main
status = main(sys.argv[1:])
print(status, *[name for name in {heavy} if name in sys.modules], file=sys.stderr)
"""


def loaded_by_predict(bundle: Path, first: str) -> list[str]:
    """Run a statement and `setfuse predict` in a fresh process; give the exit status and the heavy packages."""
    probe = [sys.executable, "-c", PROBE.format(first=first, heavy=HEAVY), "predict", str(bundle), "a"]
    done = subprocess.run(probe, capture_output=True, text=True, check=True, timeout=PATIENCE, cwd="/")
    return done.stderr.split()


def test_predict_loads_nothing_heavy(tiny_bundle: Path) -> None:
    assert loaded_by_predict(tiny_bundle, "") == ["0"]


def test_the_probe_of_predict_can_fail(tiny_bundle: Path) -> None:
    assert loaded_by_predict(tiny_bundle, "import onnx") == ["0", "onnx"]
