"""The microseconds around the engine are measured with the innermost call replaced, and with nothing else."""

import json
from pathlib import Path

import pytest

from benchmarks.overhead import TEXT, Engine, main, measure
from setfuse.runtime import Classifier


class Slow:
    """An engine of a known time, which counts its runs."""

    name = "slow"

    def __init__(self) -> None:
        self.runs = 0

    def run(self, _outputs: object, _feeds: object, _options: object) -> list[int]:
        self.runs += 1
        return [self.runs]


class Feed:
    def __init__(self, *shape: int) -> None:
        self.shape = shape


def test_an_answer_is_kept_for_each_shape() -> None:
    slow = Slow()
    engine = Engine(slow, keeps=True)

    answers = [engine.run([], {"input_ids": Feed(*shape)}, None) for shape in ((1, 5), (1, 6), (1, 5))]

    assert answers == [[1], [2], [1]]
    assert slow.runs == 2
    assert engine.spent_ns > 0
    assert engine.name == "slow"


def test_a_running_engine_runs_each_time() -> None:
    slow = Slow()
    engine = Engine(slow, keeps=False)

    assert [engine.run([], {"input_ids": Feed(1, 5)}, None) for _ in range(3)] == [[1], [2], [3]]


@pytest.mark.parametrize("keeps", [True, False])
def test_the_engine_is_put_back(keeps: bool, tiny_bundle: Path) -> None:
    with Classifier.load(tiny_bundle, engine="onnxruntime") as classifier:
        wrapper = classifier._resident.model()._graph._usual._session  # type: ignore[attr-defined]
        own = wrapper._sess
        before = classifier(TEXT)

        found = measure(classifier, TEXT, "one", keeps=keeps, calls=3)

        assert wrapper._sess is own
        assert classifier(TEXT) == before
        assert 0 < found.p10_us <= found.p50_us


def test_the_command_line(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--bundle", str(tiny_bundle), "--calls", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["about"]["engine"] == "onnxruntime"
    assert [row["what"].partition(",")[0] for row in found["overhead"]] == [
        "one text",
        "tokenizers alone",
        "one text",
        "a list of 1",
    ]
    assert main(["--bundle", str(tiny_bundle), "--calls", "2"]) == 0
    assert capsys.readouterr().out.count(" us a text\n") == 4
    assert main(["--bundle", str(tmp_path / "none")]) == 1
    assert "benchmarks.overhead: " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--calls", "0"])
