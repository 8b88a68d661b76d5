"""A whole run with stand-ins in processes of their own: who fails is a row with its reason, the others go on."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks import _availability, _steps, _suite
from benchmarks._contenders import ORACLE, Contender, Device, Models, Quality
from benchmarks._environment import usable_cores
from benchmarks._errors import BenchmarkError
from benchmarks._models import find_models
from benchmarks._plan import Measure, Plan
from benchmarks._process import Limits
from benchmarks._results import Entrant, Results, Status
from benchmarks._suite import run

from . import fakes

PLAN = Plan(
    lengths=(8, 16),
    rounds=2,
    seconds=0.01,
    calls=3,
    warm_ups=3,
    labelled_texts=50,
    probability_texts=20,
    closed_texts=6,
    open_texts=4,
    throughput_texts=20,
    throughput_rounds=2,
    all_threads=False,
    cold_starts=2,
    start_seconds=60,
    memory_texts=100,
    memory_seconds=5,
)
LIMITS = Limits(load_s=60, call_s=2)
OURS = "setfuse fp32"


@pytest.fixture
def field(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put stand-ins in the place of the contenders, by name and kind."""

    def put(kinds: Mapping[str, str], **changed: Contender) -> None:
        registry = {name: fakes.contender(name) for name in kinds} | changed
        for module in (_steps, _suite, _availability):
            monkeypatch.setattr(module, "CONTENDERS", registry)
        monkeypatch.setattr(
            _availability, "worker_command", lambda _python, name, _models, _threads: fakes.command(kinds[name])
        )
        monkeypatch.setattr(_steps, "measure_roof", lambda _python, _threads: {"fp32": 100.0})

    return put


@pytest.fixture
def models(tiny_bundle: Path, tiny_checkpoint: Path, tmp_path: Path) -> Models:
    return find_models(tiny_bundle, tiny_checkpoint, artefacts=tmp_path / "artefacts")


def entrants(results: Results) -> dict[str, Entrant]:
    return {entrant.contender: entrant for entrant in results.contenders}


def measured(results: Results) -> dict[str, set[str]]:
    """Who has rows of what."""
    parts: dict[str, tuple[Any, ...]] = {
        "latency": results.rows,
        "throughput": results.throughput,
        "footprint": results.footprint,
    }
    return {part: {row.contender for row in rows} for part, rows in parts.items()}


def test_everybody_is_in_the_file_with_figures_or_a_reason(
    field: Callable[..., None], models: Models, tmp_path: Path
) -> None:
    field(
        {
            OURS: "Likely",
            ORACLE: "Slow",
            "chatty": "Chatty",
            "wrong": "Wrong",
            "absent": "NeverLoads",
            "crashes": "Killed",
            "short": "Short",
            "hangs": "Hangs",
        }
    )
    out = tmp_path / "out"

    results = run(models, out, PLAN, only=[*_steps.CONTENDERS], limits=LIMITS)

    assert Results.read(out / "results.json") == results
    assert {"results.json", "report.md", "report.html"} <= {path.name for path in out.iterdir()}
    assert not (out / "journal.jsonl").exists()
    found = entrants(results)
    assert list(found) == list(_steps.CONTENDERS)
    assert {name: entrant.status for name, entrant in found.items()} == {
        OURS: Status.MEASURED,
        ORACLE: Status.MEASURED,
        "chatty": Status.MEASURED,
        "wrong": Status.STRUCK_OUT,
        "absent": Status.FAILED,
        "crashes": Status.FAILED,
        "short": Status.FAILED,
        "hangs": Status.FAILED,
    }
    assert found["absent"].reason.endswith("ModuleNotFoundError: No module named 'no_such_package'")
    assert found["crashes"].reason == "its process ended with status -9: it said nothing"
    assert found["short"].reason.startswith("expected ")
    assert found["hangs"].reason == "no answer within 2.0 s: killed"
    assert "labels are not torch's" in found["wrong"].reason
    assert 0.5 < (found["wrong"].label_agreement or 0) < 0.95
    assert found["absent"].label_agreement is None
    assert found[OURS].label_agreement == 1.0
    everyone = {OURS, ORACLE, "chatty", "wrong"}
    assert measured(results) == {"latency": everyone, "throughput": everyone, "footprint": everyone}


def test_the_figures_are_those_of_the_stand_ins(field: Callable[..., None], models: Models, tmp_path: Path) -> None:
    field({OURS: "Right", ORACLE: "Slow"})

    results = run(models, tmp_path / "out", PLAN, only=[OURS, ORACLE], limits=LIMITS)

    rows = {(row.contender, row.case): row for row in results.rows}
    cases = ["1 x 8", "1 x 16", "32 x 8-40", "real texts", "real texts, open loop"]
    assert [row.case for row in results.rows if row.contender == OURS] == cases
    for case in cases:
        slow = rows[ORACLE, case]
        assert 5 <= slow.p50_ms <= slow.p90_ms <= slow.p99_ms <= slow.max_ms
        assert slow.ratio is not None
        assert slow.ratio > 3, "a stand-in that sleeps five milliseconds against one that does nothing"
        assert rows[OURS, case].ratio == 1.0
    assert rows[OURS, "real texts"].samples == 6
    assert rows[OURS, "real texts, open loop"].samples == 4
    assert rows[OURS, "real texts, open loop"].roof_share is None
    roof = [(rows[name, "1 x 16"].roof_share or 0) * rows[name, "1 x 16"].p50_ms for name in (OURS, ORACLE)]
    assert roof[0] == pytest.approx(roof[1]), "the same multiplications at the same peak"
    assert roof[0] > 0
    (ours, theirs) = results.throughput
    assert theirs.texts_per_s < 20 / 0.005
    assert theirs.ratio is not None
    assert theirs.ratio < 1
    assert ours.padding_share == theirs.padding_share > 0
    for row in results.footprint:
        assert len(row.cold_start_samples_s) == 2
        assert 0.02 < row.cold_start_s < 30
        assert row.rss_texts == 100
        assert 5 < row.cold_rss_mb < 500
        assert row.idle_cpu_ms < 100
    assert results.model["labels"] == list(_manifest_labels(models))
    assert results.settings["texts"] == 50
    assert results.environment["others_share"] is None or 0 <= results.environment["others_share"] <= 1
    assert any(warning.startswith("no accuracy was measured") for warning in results.warnings)


def _manifest_labels(models: Models) -> list[str]:
    labels: list[str] = json.loads((models.bundle / "bundle.json").read_text(encoding="utf-8"))["labels"]
    return labels


def test_the_accuracy_is_of_the_labelled_texts(field: Callable[..., None], models: Models, tmp_path: Path) -> None:
    field({OURS: "Right", ORACLE: "Right"})
    texts = tmp_path / "texts.jsonl"
    rows = [{"text": "x" * length, "label": "late"} for length in (3, 6, 9, 10)]  # three of them the stand-ins label so
    texts.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    results = run(models, tmp_path / "out", PLAN, measures=[], only=[OURS], texts=texts, limits=LIMITS)

    assert entrants(results)[OURS].accuracy == 0.75
    assert measured(results) == {"latency": set(), "throughput": set(), "footprint": set()}


def test_torch_is_asked_even_where_it_is_not_measured(
    field: Callable[..., None], models: Models, tmp_path: Path
) -> None:
    field({OURS: "Right", ORACLE: "Slow", "wrong": "Wrong"})

    results = run(models, tmp_path / "out", PLAN, measures=[Measure.LATENCY], only=[OURS, "wrong"], limits=LIMITS)

    assert list(entrants(results)) == [OURS, "wrong"]
    assert measured(results)["latency"] == {OURS, "wrong"}
    assert entrants(results)["wrong"].status is Status.STRUCK_OUT


def test_without_torchs_labels_there_is_nothing_to_compare_with(
    field: Callable[..., None], models: Models, tmp_path: Path
) -> None:
    field({OURS: "Right", ORACLE: "NeverLoads"})

    with pytest.raises(
        BenchmarkError, match=f"expected torch's labels to compare with, but {ORACLE}: its process ended"
    ):
        run(models, tmp_path / "out", PLAN, only=[OURS], limits=LIMITS)


def test_a_bundle_that_is_not_the_checkpoints_stops_the_run(
    field: Callable[..., None], models: Models, tmp_path: Path
) -> None:
    field({OURS: "Wrong", ORACLE: "Right"})

    with pytest.raises(BenchmarkError, match=r"labels are not torch's .* is the bundle of this checkpoint\?"):
        run(models, tmp_path / "out", PLAN, only=[OURS], limits=LIMITS)
    assert not (tmp_path / "out" / "results.json").exists()


def test_another_model_is_held_to_nothing(field: Callable[..., None], models: Models, tmp_path: Path) -> None:
    field({OURS: "Right", ORACLE: "Right", "other": "Wrong"}, other=fakes.contender("other", Quality.OTHER))

    results = run(models, tmp_path / "out", PLAN, measures=[Measure.LATENCY], only=["other"], limits=LIMITS)

    assert entrants(results)["other"].status is Status.MEASURED
    assert all(row.ratio is None for row in results.rows), "nobody to compare it with was asked for"


def test_what_the_machine_lacks_is_a_reason(
    field: Callable[..., None], models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_cuda = dataclasses.replace(fakes.contender("gpu"), device=Device.CUDA)
    needs_flags = dataclasses.replace(fakes.contender("flags"), cpu_flags=("avx4096", "amx_fp1"))
    field({OURS: "Right", ORACLE: "Right"}, gpu=needs_cuda, flags=needs_flags)
    monkeypatch.setattr(_availability, "has_cuda", lambda: False)

    results = run(models, tmp_path / "out", PLAN, measures=[], only=[OURS, "gpu", "flags"], limits=LIMITS)

    assert entrants(results)["gpu"].reason == "needs an NVIDIA GPU, and there is none here"
    assert entrants(results)["flags"].reason == "needs a processor with avx4096 or amx_fp1, and this one has neither"


def test_a_form_that_cannot_be_made_is_a_reason(
    field: Callable[..., None], models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    field(
        {OURS: "Right", ORACLE: "Right"}, traced=dataclasses.replace(fakes.contender("traced"), preparations=("form",))
    )
    monkeypatch.setattr(_availability, "prepare", lambda names, _models: dict.fromkeys(names, "preparation form: no"))

    results = run(models, tmp_path / "out", PLAN, measures=[], only=[OURS, "traced"], limits=LIMITS)

    assert (entrants(results)["traced"].status, entrants(results)["traced"].reason) == (
        Status.FAILED,
        "preparation form: no",
    )


def test_an_interrupted_run_goes_on_where_it_was(
    field: Callable[..., None],
    models: Models,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    field({OURS: "Right", ORACLE: "Slow", "crashes": "Killed"})
    out = tmp_path / "out"
    time_case = _steps.time_case
    cases: list[str] = []

    def interrupted(case: Any, *arguments: Any, **options: Any) -> Any:
        cases.append(case.name)
        if len(cases) == 3:
            raise KeyboardInterrupt
        return time_case(case, *arguments, **options)

    monkeypatch.setattr(_steps, "time_case", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(models, out, PLAN, limits=LIMITS, only=[*_steps.CONTENDERS])
    assert (out / "journal.jsonl").exists()

    results = run(models, out, PLAN, limits=LIMITS, only=[*_steps.CONTENDERS])

    assert cases == ["1 x 8", "1 x 16", "32 x 8-40", "32 x 8-40", "real texts", "real texts, open loop"]
    assert "going on with an interrupted run: 4 steps were finished" in capsys.readouterr().err
    assert {row.case for row in results.rows} == set(cases)
    assert entrants(results)["crashes"].reason == "its process ended with status -9: it said nothing"
    assert not (out / "journal.jsonl").exists()


def test_more_threads_than_processors_are_refused(models: Models, tmp_path: Path) -> None:
    with pytest.raises(
        BenchmarkError, match=f"at most {usable_cores()} threads, the processors that are here, got 999"
    ):
        run(models, tmp_path / "out", PLAN, threads=999)
    assert not (tmp_path / "out").exists()


def test_nobody_is_compared_with_a_variant_that_answers_wrongly(
    field: Callable[..., None], models: Models, tmp_path: Path
) -> None:
    ours = "setfuse int8"
    rounded = {name: fakes.contender(name, Quality.ROUNDED) for name in (ours, "peer")}
    field({OURS: "Right", ORACLE: "Right", ours: "Wrong", "peer": "Right"}, **rounded)

    results = run(models, tmp_path / "out", PLAN, measures=[Measure.LATENCY], only=[ours, "peer"], limits=LIMITS)

    assert entrants(results)[ours].status is Status.STRUCK_OUT
    assert {row.ratio for row in results.rows} == {None}


def test_a_bundle_with_other_labels_is_refused_before_any_work(
    tiny_bundle: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    manifest["labels"][0] = "other"
    (bundle / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")

    with pytest.raises(
        BenchmarkError, match=r"expected the checkpoint's labels, .*: is the bundle of this checkpoint\?"
    ):
        find_models(bundle, tiny_checkpoint, artefacts=tmp_path / "artefacts")
    assert not (tmp_path / "artefacts").exists()
