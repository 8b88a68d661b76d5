"""Hyperparameter search: what is tried, what is kept, and what is told of trials that fail."""

import dataclasses
import json
import logging
import math
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest

from setfuse.runtime import MissingExtra, UsageError
from setfuse.runtime.__main__ import main
from setfuse.train import SearchFailed, TrainingArguments, TrainingDiverged, TrainingResult, default_space, search
from setfuse.train import _search as search_module
from tests.models import write_rows

ROWS = [{"text": f"{word} {n}", "label": word} for word in ("late", "lost") for n in range(3)]
QUICK = TrainingArguments(max_steps=1, batch_size=4)


def space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "body_learning_rate": trial.suggest_float("body_learning_rate", 1e-5, 1e-3, log=True),
        "head_params": {"C": trial.suggest_float("C", 0.1, 10)},
    }


def result_of(accuracy: float = 1.0) -> TrainingResult:
    return TrainingResult(Path(), 1.0, 1, 1, {}, (0.1,), {"accuracy": accuracy, "f1": -1.0}, (), None)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """Trainings whose accuracy is told by a function of their arguments; gives what each was called with."""

    def put(score: Callable[..., float]) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []

        def train(rows: Any, **given: Any) -> TrainingResult:
            calls.append({"rows": rows, **given})
            return result_of(score(**given))

        monkeypatch.setattr(search_module, "train", train)
        return calls

    return put


def test_three_trainings_give_the_best_of_three_and_leave_nothing(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    before = set(tmp_path.rglob("*"))

    result = search(ROWS, base=tiny_base, eval_rows=ROWS, args=QUICK, space=space, n_trials=3)

    assert set(tmp_path.rglob("*")) == before
    assert [trial.number for trial in result.trials] == [0, 1, 2]
    scores = [trial.score for trial in result.trials]
    best = result.trials[scores.index(max(score for score in scores if score is not None))]
    assert (result.score, result.objective) == (best.score, "accuracy")
    assert result.arguments.body_learning_rate == best.values["body_learning_rate"]
    assert result.arguments.max_steps == 1
    assert result.arguments.output_dir == QUICK.output_dir
    assert result.head_params == best.values["head_params"]
    assert all(trial.seconds is not None and trial.seconds > 0 for trial in result.trials)


def test_the_same_seed_tries_the_same(stand_in: Callable[..., list[dict[str, Any]]]) -> None:
    stand_in(lambda args, **_: args.body_learning_rate)

    def tried(seed: int) -> list[Mapping[str, Any]]:
        found = search(ROWS, base="b", eval_rows=ROWS, n_trials=12, search_seed=seed)
        return [trial.values for trial in found.trials]

    assert tried(1) == tried(1)
    assert tried(1) != tried(2)


def test_the_best_is_the_most_or_the_least_and_of_equal_ones_the_first(
    stand_in: Callable[..., list[dict[str, Any]]],
) -> None:
    calls = stand_in(lambda args, **_: float(args.num_epochs))

    def epochs(trial: optuna.Trial) -> dict[str, Any]:
        return {"num_epochs": [2, 3, 1, 3][trial.number], "seed": trial.number}

    given: dict[str, Any] = {"base": "b", "eval_rows": ROWS, "n_trials": 4, "space": epochs}
    most, least = search(ROWS, **given), search(ROWS, direction="minimize", **given)

    assert (most.score, most.arguments.num_epochs, most.arguments.seed) == (3.0, 3, 1)
    assert (least.score, least.arguments.num_epochs) == (1.0, 1)
    folders = [Path(call["args"].output_dir) for call in calls]
    assert len(set(folders)) == len(calls)  # each trial has its own, which goes with it
    assert not any(folder.parent.exists() for folder in folders)


def test_trials_that_fail_are_told_and_the_search_goes_on(
    stand_in: Callable[..., list[dict[str, Any]]], caplog: pytest.LogCaptureFixture
) -> None:
    def score(args: TrainingArguments, **_: Any) -> float:
        if args.seed == 0:
            raise TrainingDiverged("step 3 of 9: expected a finite loss, found nan")
        return 0.5

    def seeds(trial: optuna.Trial) -> dict[str, Any]:
        return {"seed": trial.number} if trial.number < 2 else {"batch_size": -1}

    stand_in(score)
    with caplog.at_level(logging.INFO, "setfuse.train"):
        result = search(ROWS, base="b", eval_rows=ROWS, n_trials=3, space=seeds)

    assert [trial.score for trial in result.trials] == [None, 0.5, None]
    assert "found nan" in result.trials[0].failure
    assert "batch_size: expected a positive whole number" in result.trials[2].failure
    assert result.arguments.seed == 1
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "trial 1 of 3 with seed 0 failed: step 3 of 9: expected a finite loss, found nan"
    assert said[1] == "trial 2 of 3: accuracy 0.5000 with seed 1"


def test_a_search_of_which_all_trials_fail_says_why(stand_in: Callable[..., list[dict[str, Any]]]) -> None:
    stand_in(lambda **_: 1.0)

    with pytest.raises(SearchFailed, match=r"expected one of 2 trials to succeed, all failed, the last since seed: "):
        search(ROWS, base="b", eval_rows=ROWS, n_trials=2, space=lambda _: {"seed": -1})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_trials": 0}, "n_trials: expected 1 or more, got 0"),
        ({"direction": "up"}, "direction: expected maximize or minimize, got 'up'"),
        ({"space": lambda _: {"learning_rate": 1e-5}}, "space: expected fields of .*, got 'learning_rate'"),
        ({"space": lambda _: {"output_dir": "x"}}, "space: expected fields of .*, got 'output_dir'"),
        ({"objective": "loss"}, "objective: expected one of accuracy, which the metric gives, got 'loss'"),
        ({"metric": lambda *_: {"a": 1, "b": 2}}, "objective: expected one of accuracy, a, b, .*, got 'metric'"),
        ({"metric": "bleu"}, "metric: expected one of accuracy, "),
        ({"metric_kwargs": {"avrage": "micro"}, "metric": "f1"}, "metric: expected one that can be taken of"),
        ({"head_params": [1]}, "head_params: expected arguments by name"),
        ({"freeze": "body"}, "freeze: expected with head='differentiable'"),
        ({"head_params": {"D": 1}}, "head_params: expected arguments of LogisticRegression, .*'D'"),
        ({"args": TrainingArguments(class_weight={"no": 2.0})}, "class_weight: expected labels of .*, got 'no'"),
        ({"args": TrainingArguments(report_to="the press")}, "report_to: expected none, all, or some of"),
    ],
)
def test_bad_usage(given: dict[str, Any], message: str, stand_in: Callable[..., list[dict[str, Any]]]) -> None:
    calls = stand_in(lambda **_: 1.0)

    with pytest.raises(UsageError, match=message):
        search(ROWS, base="b", eval_rows=ROWS, **given)
    assert not calls  # before any training


def test_a_score_that_is_no_number_is_a_failure(stand_in: Callable[..., list[dict[str, Any]]]) -> None:
    scores = iter([math.nan, 0.25, math.nan])
    stand_in(lambda **_: next(scores))

    result = search(ROWS, base="b", eval_rows=ROWS, n_trials=3)

    assert [trial.score for trial in result.trials] == [None, 0.25, None]
    assert result.trials[0].failure == "accuracy: expected a number, got NaN"
    assert result.score == 0.25
    json.dumps(result.to_json(), allow_nan=False)


def test_what_is_given_is_not_searched(stand_in: Callable[..., list[dict[str, Any]]]) -> None:
    calls = stand_in(lambda **_: 1.0)
    args = TrainingArguments(num_epochs=7, seed=3)

    search(ROWS, base="b", eval_rows=ROWS, n_trials=4, args=args, head_params={"C": 2.0})

    assert {(call["args"].num_epochs, call["args"].seed, call["head_params"]["C"]) for call in calls} == {(7, 3, 2.0)}
    assert len({call["args"].body_learning_rate for call in calls}) == 4


def test_a_differentiable_head_keeps_its_own_values(stand_in: Callable[..., list[dict[str, Any]]]) -> None:
    calls = stand_in(lambda **_: 1.0)
    stop = object()

    search(ROWS, base="b", eval_rows=ROWS, n_trials=2, head="differentiable", freeze="body", callbacks=[stop])

    for call in calls:
        args, default = call["args"], TrainingArguments()
        assert args.classifier_num_epochs == default.classifier_num_epochs
        assert args.classifier_batch_size == default.classifier_batch_size
        assert args.body_classifier_learning_rate == default.body_classifier_learning_rate
        assert (call["freeze"], call["callbacks"]) == ("body", [stop])


def test_without_optuna_one_sentence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(extra: str, needed_by: str) -> None:
        raise MissingExtra(f"{needed_by} needs {extra}")

    monkeypatch.setattr(search_module, "require_extra", missing)

    with pytest.raises(MissingExtra, match=r"setfuse\.train\.search needs search"):
        search(ROWS, base="b", eval_rows=ROWS)


@pytest.mark.parametrize(
    ("head", "own"),
    [("LogisticRegression", "head_params"), (object(), None)],
    ids=["logistic", "own"],
)
def test_the_default_space_gives_fields_that_exist(head: Any, own: str | None) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(50):
        values = dict(default_space(head)(study.ask()))
        params = values.pop("head_params", {"C": 1.0})
        assert 1e-2 <= params["C"] <= 1e2
        arguments = TrainingArguments(**values)
        assert isinstance(arguments.body_learning_rate, float)
        assert 1e-6 <= arguments.body_learning_rate <= 1e-4
    assert set(values) - {own} == {"body_learning_rate", "num_epochs", "batch_size", "seed"}


def test_optunas_own_lines_are_kept_quiet_and_its_level_put_back(
    stand_in: Callable[..., list[dict[str, Any]]], capfd: pytest.CaptureFixture[str]
) -> None:
    stand_in(lambda **_: 1.0)
    level = optuna.logging.get_verbosity()

    search(ROWS, base="b", eval_rows=ROWS, n_trials=1)

    assert optuna.logging.get_verbosity() == level
    assert capfd.readouterr().err == ""


def test_the_command_prints_the_training_that_comes_next(
    stand_in: Callable[..., list[dict[str, Any]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = stand_in(lambda args, **_: 1.0 if args.seed > 20 else 0.5)
    (tmp_path / "data").mkdir()
    path = write_rows(tmp_path / "data" / "rows.jsonl", [(row["text"], row["label"]) for row in ROWS])
    command = ["search", str(path), "--base", "b", "--eval", str(path), "--trials", "3", "--max-steps", "7"]
    command += ["--loss", "AnglE", "--pair-seed", "none", "--run-name", "my run"]

    assert main(command) == 0

    first, second = capsys.readouterr().out.splitlines()
    assert first == "best of 3 trials (0 failed): accuracy 1.0000"
    assert second.startswith("next: setfuse train ")
    taken: dict[str, Any] = {}
    monkeypatch.setattr("setfuse.train.cli.train", lambda rows, **given: taken.update(given, rows=rows) or result_of())
    assert main(shlex.split(second)[2:]) == 0
    capsys.readouterr()
    best = max(calls, key=lambda call: call["args"].seed > 20)
    assert (taken["rows"], taken["base"], taken["head_params"]) == (str(path), "b", best["head_params"])
    assert taken["args"] == dataclasses.replace(best["args"], output_dir="checkpoints")
    assert [call["args"].max_steps for call in calls] == [7, 7, 7]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["score"], len(found["trials"]), found["arguments"]["max_steps"]) == (1.0, 3, 7)


def test_a_flag_that_says_the_default_is_not_searched(
    stand_in: Callable[..., list[dict[str, Any]]], tmp_path: Path
) -> None:
    calls = stand_in(lambda **_: 1.0)
    path = write_rows(tmp_path / "rows.jsonl", [(row["text"], row["label"]) for row in ROWS])
    flags = ["--seed", "42", "--num-epochs", "1,16", "--head-params", '{"C": 1.0}']

    assert main(["search", str(path), "--base", "b", "--eval", str(path), "--trials", "4", *flags]) == 0

    found = {(call["args"].seed, call["args"].num_epochs, call["head_params"]["C"]) for call in calls}
    assert found == {(42, (1, 16), 1.0)}
    assert len({call["args"].body_learning_rate for call in calls}) == 4


def test_the_command_has_the_rows_that_its_evaluation_takes(
    stand_in: Callable[..., list[dict[str, Any]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand_in(lambda **_: 1.0)
    path = write_rows(tmp_path / "rows.jsonl", [(row["text"], row["label"]) for row in ROWS])
    kwargs = '{"zero_division": 0.0}'
    flags = ["--eval-steps", "2", "--metric", "precision", "--metric-kwargs", kwargs]
    monkeypatch.setattr(
        search_module,
        "train",
        lambda *_, **__: dataclasses.replace(result_of(), metrics={"accuracy": 1.0, "precision": 1.0}),
    )

    assert main(["search", str(path), "--base", "b", "--eval", str(path), "--trials", "1", *flags]) == 0

    _, second = capsys.readouterr().out.splitlines()
    taken: dict[str, Any] = {}
    monkeypatch.setattr("setfuse.train.cli.train", lambda rows, **given: taken.update(given, rows=rows) or result_of())
    assert main(shlex.split(second)[2:]) == 0
    assert (taken["eval_rows"], taken["metric"], taken["metric_kwargs"]) == (str(path), "precision", json.loads(kwargs))
