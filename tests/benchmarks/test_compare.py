"""What changed between two runs: a known change is seen, noise is not, and the machine's own change is taken out."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import compare as command
from benchmarks._comparison import Change, Verdict, compare
from benchmarks._errors import BenchmarkError
from benchmarks._results import Results, Status
from tests.benchmarks.results_fixture import AHEAD, HANGS, ODD, OTHER, SMALL, TIED, make_results, slower

OURS = ("setfuse fp32", "setfuse int8")


@pytest.fixture(scope="module")
def before() -> Results:
    return short(make_results())


@pytest.fixture(scope="module")
def after() -> Results:
    return short(make_results(seed=1))


def short(results: Results) -> Results:
    """Keep three cases and one number of threads: enough to see, and quick."""
    cases = {"1 x 16", "1 x 256", "real texts, closed loop"}
    return dataclasses.replace(
        results,
        rows=tuple(row for row in results.rows if row.case in cases),
        throughput=tuple(row for row in results.throughput if row.threads == 1),
    )


def by_contender(changes: tuple[Change, ...], name: str) -> list[Change]:
    return [change for change in changes if change.contender == name]


def test_a_fifth_slower_is_told_as_slower_though_rounds_differ_by_a_fiftieth(before: Results, after: Results) -> None:
    found = compare(before, slower(after, 1.2, ["setfuse fp32"])).changes
    changed = by_contender(found, "setfuse fp32")

    assert [change.unit for change in changed] == ["ms", "ms", "ms", "texts/s"]
    assert {change.verdict for change in changed} == {Verdict.SLOWER}
    for change in changed:
        expected = 0.2 if change.unit == "ms" else 1 / 1.2 - 1
        assert change.change == pytest.approx(expected, abs=0.05)  # medians of ten rounds that differ by 2 %
        assert change.low is not None
        assert change.high is not None
        assert change.low < change.change < change.high
        assert 0 not in (change.low, change.high)
        assert (change.low > 0) == (change.unit == "ms")
    assert {change.verdict for change in by_contender(found, "setfuse int8")} == {Verdict.NOISE}


def test_a_fifth_faster_is_told_as_faster(before: Results, after: Results) -> None:
    found = compare(before, slower(after, 1 / 1.2, ["setfuse int8"])).changes

    assert {change.verdict for change in by_contender(found, "setfuse int8")} == {Verdict.FASTER}


def test_noise_is_told_as_noise() -> None:
    # Of 95 % intervals one in twenty misses by chance, and of those that do some are below the smallest change.
    verdicts = [
        change.verdict
        for seed in range(3)
        for change in compare(short(make_results(seed=10 + seed)), short(make_results(seed=20 + seed))).changes
    ]

    assert len(verdicts) == 3 * 7 * 4
    assert np.mean([verdict != Verdict.NOISE for verdict in verdicts]) <= 0.05


def test_what_slows_everybody_is_the_machine_and_noise() -> None:
    before, after = (short(make_results(seed=seed, noise=0.005)) for seed in (0, 1))
    calm = compare(before, after).changes
    drifted = compare(before, slower(after, 1.3)).changes

    for own, change in zip(calm, drifted, strict=True):
        assert change.machine == pytest.approx((1.3 if change.unit == "ms" else 1 / 1.3) * (1 + own.machine) - 1)
        assert change.change == pytest.approx(own.change, abs=1e-9), "the drift cancels"
    assert {change.verdict for change in drifted} == {Verdict.NOISE}


def test_a_yardstick_is_neither_setfuse_nor_itself_nor_struck_out(before: Results, after: Results) -> None:
    found = compare(before, after).changes

    for change in found:
        expected = {ODD, TIED, AHEAD, OTHER} - {change.contender}
        assert change.yardsticks == len(expected)


def test_without_a_yardstick_nothing_is_taken_out_and_it_is_said(before: Results, after: Results) -> None:
    alone = [
        dataclasses.replace(results, rows=tuple(row for row in results.rows if row.contender in OURS), throughput=())
        for results in (before, slower(after, 1.3))
    ]
    found = compare(*alone)

    assert {change.yardsticks for change in found.changes} == {0}
    assert {change.verdict for change in found.changes} == {Verdict.SLOWER}
    assert {change.machine for change in found.changes} == {0.0}
    assert "unknown: no such contender is in both runs" in command.text(found)


def test_less_than_a_fiftieth_is_noise_however_sure() -> None:
    quiet = [short(make_results(seed=seed, noise=1e-4)) for seed in (0, 1)]

    found = compare(quiet[0], slower(quiet[1], 1.015, ["setfuse fp32"])).changes
    (change, *_) = by_contender(found, "setfuse fp32")

    assert change.low is not None
    assert change.low > 0
    assert change.verdict == Verdict.NOISE


def test_one_round_has_no_interval_and_proves_nothing() -> None:
    found = compare(short(make_results(rounds=1)), slower(short(make_results(rounds=1, seed=1)), 2.0, OURS))

    assert {change.verdict for change in found.changes} == {Verdict.NOISE}
    assert {(change.low, change.high) for change in found.changes} == {(None, None)}
    assert "too few rounds" in command.text(found)


def test_the_same_runs_give_the_same_comparison(before: Results, after: Results) -> None:
    assert compare(before, after) == compare(before, after)


def test_rows_of_one_run_alone_are_listed(before: Results, after: Results) -> None:
    fewer = dataclasses.replace(after, rows=after.rows[1:], throughput=())

    found = compare(before, fewer)
    back = compare(fewer, before)

    missing = {
        f"setfuse fp32, {before.rows[0].case}",
        *(f"{r.contender}, throughput, 1 thread" for r in before.throughput),
    }
    assert set(found.only_before) == set(back.only_after) == missing
    assert found.only_after == back.only_before == ()


def test_other_answers_fates_versions_and_sizes_are_listed(before: Results, after: Results) -> None:
    contenders = list(after.contenders[:-1])
    contenders[0] = dataclasses.replace(contenders[0], accuracy=0.91, label_agreement=0.99, versions={"numpy": "2.5.0"})
    contenders[2] = dataclasses.replace(contenders[2], status=Status.FAILED, reason="died")
    footprint = (dataclasses.replace(after.footprint[0], cold_start_s=1.5, install_mb=None), *after.footprint[1:])
    environment = {**after.environment, "versions": {**after.environment["versions"], "torch": "2.14.0"}}
    changed = dataclasses.replace(after, contenders=tuple(contenders), footprint=footprint, environment=environment)

    others = compare(before, changed).others

    assert set(others) == {
        "setfuse fp32: label agreement 1.0000, then 0.9900",
        "setfuse fp32: accuracy 0.8704, then 0.9100",
        "setfuse fp32: version of numpy 2.4.6, then 2.5.0",
        "setfuse fp32: version of a<b 1|2, then none",
        "setfuse fp32: install_mb 200.4000, then none",
        "setfuse fp32: cold_start_s 0.5, then 1.5",
        f"{ODD}: status measured, then failed",
        f"{ODD}: reason none, then died",
        f"{OTHER}: gone",
        "environment: version of torch 2.13.0+cpu, then 2.14.0",
    }
    assert compare(before, after).others == ()
    assert f"{OTHER}: new, measured" in compare(changed, before).others


def test_runs_of_other_machines_or_settings_are_warned_of(before: Results, after: Results) -> None:
    changed = dataclasses.replace(
        after,
        environment={**after.environment, "cpu": "another"},
        settings={**after.settings, "threads": 4, "quick": True},
        model={**after.model, "provenance": {}},
        warnings=(),
    )

    assert compare(before, changed).warnings == (
        "different processors: AMD EPYC 9B45 <128-Core>, then another",
        "different numbers of threads: 1, then 4",
        "different kinds of run (quick): False, then True",
        "the models are not of one export: provenance differs",
        "of the first run: the load was 1.7 while measuring: <other> programs ran | beside it",
    )


def test_another_work_of_the_same_name_is_not_compared(before: Results, after: Results) -> None:
    rows = tuple(dataclasses.replace(row, tokens=99.0) if row.case == "1 x 16" else row for row in after.rows)

    found = compare(before, dataclasses.replace(after, rows=rows))

    assert "1 x 16" not in {change.case for change in found.changes}
    assert "setfuse fp32, 1 x 16: (1, 16.0) then (1, 99.0) (texts, tokens): other work, not compared" in found.warnings


def test_runs_of_models_with_other_labels_are_refused(before: Results, after: Results) -> None:
    with pytest.raises(BenchmarkError, match="one of the labels negative, positive and one of a, b; compare runs of"):
        compare(before, dataclasses.replace(after, model={"labels": ["a", "b"], "provenance": {}}))


def test_runs_with_nothing_in_common_are_told_so(before: Results, after: Results) -> None:
    empty = dataclasses.replace(after, rows=(), throughput=(), footprint=())

    assert "no time and no rate is in both runs" in command.text(compare(before, empty))


def files(tmp_path: Path, *runs: Results) -> list[str]:
    paths = [tmp_path / f"{number}.json" for number in range(len(runs))]
    for path, run in zip(paths, runs, strict=True):
        run.write(path)
    return [str(path) for path in paths]


def test_the_command_prints_every_change(
    before: Results, after: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = command.main(files(tmp_path, before, slower(after, 1.2, ["setfuse fp32"])))

    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert (status, printed.err) == (0, "")
    (line,) = [line for line in lines if line.startswith("1 x 16") and "setfuse fp32" in line]
    assert line.endswith("(4)  SLOWER")
    assert sum(line.endswith(("  noise", "  SLOWER", "  FASTER")) for line in lines) == 7 * 4
    assert not [line for line in lines if HANGS in line]


def test_the_command_prints_json(
    before: Results, after: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([*files(tmp_path, before, after), "--json"]) == 0

    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert len(found["changes"]) == 7 * 4
    assert set(found["changes"][0]) == {field.name for field in dataclasses.fields(Change)}
    assert {change["verdict"] for change in found["changes"]} <= set(Verdict)


def test_bad_files_are_one_line_and_bad_usage_is_two(
    before: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (good,) = files(tmp_path, before)
    old = tmp_path / "old.json"
    old.write_text('{"schema_version": 1}', encoding="utf-8")

    for bad, said in ((tmp_path / "none", "no such file"), (old, "found 1; measure again")):
        assert command.main([good, str(bad)]) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith(f"benchmarks.compare: {bad}: ")
        assert said in printed.err
        assert printed.err.count("\n") == 1
    with pytest.raises(SystemExit) as stopped:
        command.main([good])
    assert stopped.value.code == 2


def test_every_contender_of_the_fixture_that_ran_is_compared(before: Results, after: Results) -> None:
    assert {change.contender for change in compare(before, after).changes} == {name for name, *_ in SMALL} - {HANGS}
