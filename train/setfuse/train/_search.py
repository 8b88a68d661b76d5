"""Hyperparameter search: train with other arguments again and again, and keep the best."""

import dataclasses
import logging
import math
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from setfuse.runtime import UsageError, require_extra

from ._arguments import TrainingArguments
from ._checks import check_evaluation, check_rows, check_types, make_head_settings
from ._data import read_data
from ._data_checks import label_values
from ._describe import describe
from ._errors import OutOfMemory, SearchFailed, TrainingDiverged
from ._head_settings import DIFFERENTIABLE, LOGISTIC
from ._metrics import MetricOf, metric_of, rehearse
from ._result import TrainingResult
from ._sources import Data
from ._train import train

if TYPE_CHECKING:
    import optuna
    from transformers import TrainerCallback

logger = logging.getLogger("setfuse.train")

Space = Callable[["optuna.Trial"], Mapping[str, Any]]
"""Asks a trial for values, and gives fields of TrainingArguments, and `head_params`, by name."""

HEAD_PARAMS = "head_params"


@dataclass(frozen=True, slots=True)
class SearchTrial:
    """One training of a search.

    Attributes:
        number: From 0.
        values: What the space gave.
        score: Of the metric on the held-out rows; None if the training failed.
        failure: Why it failed, in one sentence; empty if it did not.
        seconds: Wall time of both phases; None if the training failed.
    """

    number: int
    values: Mapping[str, Any]
    score: float | None
    failure: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Attributes:
        arguments: The best hyperparameters, to give to `train`.
        head_params: The best parameters of the head, to give to `train`, too.
        objective: The metric that was compared.
        score: Its best value.
        trials: All of them, in their order.
    """

    arguments: TrainingArguments
    head_params: Mapping[str, Any]
    objective: str
    score: float
    trials: tuple[SearchTrial, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the result as `json.dump` takes it."""
        return {
            "arguments": self.arguments.to_json(),
            "head_params": describe(self.head_params),
            "objective": self.objective,
            "score": self.score,
            "trials": [describe(dataclasses.asdict(trial)) for trial in self.trials],
        }


def default_space(head: Any = LOGISTIC, settled: Collection[str] = ()) -> Space:
    """Give the space that is searched if none is given.

    Args:
        head: Which head. LogisticRegression has its regularisation searched, the differentiable one its learning rate.
        settled: Names of what is not to be searched: fields of TrainingArguments, or `C`.

    Returns:
        `body_learning_rate` from 1e-6 to 1e-4 and C from 0.01 to 100 (`head_learning_rate` from 1e-3 to 1e-1) on a
        logarithmic scale; `num_epochs` from 1 to 5; `batch_size` 4, 8, 16, 32 or 64; `seed` from 1 to 40. Where a
        differentiable head has a second value, it is the default.
    """
    differentiable = isinstance(head, str) and head == DIFFERENTIABLE
    suggested: dict[str, Callable[[optuna.Trial], Any]] = {
        "body_learning_rate": lambda trial: trial.suggest_float("body_learning_rate", 1e-6, 1e-4, log=True),
        "num_epochs": lambda trial: trial.suggest_int("num_epochs", 1, 5),
        "batch_size": lambda trial: trial.suggest_categorical("batch_size", [4, 8, 16, 32, 64]),
        "seed": lambda trial: trial.suggest_int("seed", 1, 40),
    }
    if differentiable:
        suggested["head_learning_rate"] = lambda trial: trial.suggest_float("head_learning_rate", 1e-3, 1e-1, log=True)

    def space(trial: "optuna.Trial") -> Mapping[str, Any]:
        values = {name: suggest(trial) for name, suggest in suggested.items() if name not in settled}
        if differentiable:
            values |= {name: (values[name], second) for name, second in _SECOND.items() if name in values}
        if isinstance(head, str) and head == LOGISTIC and "C" not in settled:
            values[HEAD_PARAMS] = {"C": trial.suggest_float("C", 1e-2, 1e2, log=True)}
        return values

    return space


_SECOND = {
    field.name: field.default[1] for field in dataclasses.fields(TrainingArguments) if isinstance(field.default, tuple)
}
"""Of the arguments that may be pairs, the default for the differentiable head."""


def search(
    rows: Data,
    *,
    base: str | Path,
    eval_rows: Data,
    space: Space | None = None,
    n_trials: int = 10,
    objective: str | None = None,
    direction: Literal["maximize", "minimize"] = "maximize",
    search_seed: int = 42,
    args: TrainingArguments | None = None,
    columns: Mapping[str, str] | None = None,
    label_names: Sequence[str] | None = None,
    head: Any = LOGISTIC,
    head_params: Mapping[str, Any] | None = None,
    multi_target_strategy: str | None = None,
    freeze: str | None = None,
    metric: MetricOf = "accuracy",
    metric_kwargs: Mapping[str, Any] | None = None,
    callbacks: Sequence["TrainerCallback"] = (),
    progress: bool = False,
) -> SearchResult:
    """Search hyperparameters with Optuna, by its tree-structured Parzen estimator.

    Each trial trains anew, into a temporary folder that is removed: nothing else is written. A trial that diverges,
    runs out of memory or has a value out of its range has failed, the logger `setfuse.train` is told why, and the
    search goes on. The same seeds give the same trials.

    The held-out rows choose the hyperparameters, so the best score flatters: measure once more on rows that neither
    training nor search has seen.

    Args:
        rows: Labelled texts, as `train` takes them.
        base: The base model, as `train` takes it.
        eval_rows: Held-out rows, whose metric is compared.
        space: Asks a trial for values and gives them by name: fields of TrainingArguments, and `head_params`. None for
            `default_space`, without what `args` or `head_params` give a value of its own.
        n_trials: How many trainings.
        objective: The name of the value to compare, where a metric of your own gives several; None for the metric's.
        direction: `maximize` or `minimize`.
        search_seed: Of the search itself.
        args: The hyperparameters that the space does not give; None for SetFit's defaults.
        columns: As `train` takes them.
        label_names: As `train` takes them.
        head: As `train` takes it.
        head_params: The head's parameters that the space does not give.
        multi_target_strategy: As `train` takes it.
        freeze: As `train` takes it.
        metric: As `train` takes it.
        metric_kwargs: As `train` takes them.
        callbacks: As `train` takes them; the same ones in every trial.
        progress: Show the progress bars of each training on stderr.

    Returns:
        The best arguments and what every trial came to.

    Raises:
        MissingExtra: Optuna is not installed.
        UsageError: An argument contradicts another, the rows or the machine, or the space gives a name that is no
            hyperparameter.
        DatasetError: The rows cannot be read or trained on.
        BaseModelNotFound: There is no such base model.
        SearchFailed: Every trial failed.
    """
    require_extra("search", needed_by="setfuse.train.search")
    if n_trials < 1:
        raise UsageError(f"n_trials: expected 1 or more, got {n_trials}")
    if direction not in {"maximize", "minimize"}:
        raise UsageError(f"direction: expected maximize or minimize, got {direction!r}")
    start = TrainingArguments() if args is None else args
    check_types(start, base=base)
    name = objective or (metric if isinstance(metric, str) else "metric")
    settings, _ = make_head_settings(start, head, head_params, multi_target_strategy, freeze)
    settled = {field.name for field in dataclasses.fields(start) if getattr(start, field.name) != field.default}
    ask = space or default_space(head, settled | set(head_params or {}))
    training_rows = read_data(rows, columns=columns, label_names=label_names)
    held_out_rows = read_data(eval_rows, columns=columns, label_names=label_names)
    # What no value of the space could mend is refused once, not by every trial.
    check_rows(training_rows, held_out_rows, start)
    check_evaluation(start, metric, metric_kwargs, held_out_rows)
    from ._head import check_head  # with torch, as all below
    from ._recipe import check_machine

    check_machine(start)
    check_head(settings, label_values(training_rows), tuple(training_rows.numbers))
    measured = rehearse(metric_of(training_rows, metric, metric_kwargs or {}), label_values(held_out_rows))
    if name not in measured:
        raise UsageError(f"objective: expected one of {', '.join(measured)}, which the metric gives, got {name!r}")

    def run(values: Mapping[str, Any], folder: Path) -> TrainingResult:
        fields = {field: value for field, value in values.items() if field != HEAD_PARAMS}
        return train(
            training_rows,
            base=base,
            out=folder / "checkpoint",
            args=dataclasses.replace(start, **{**fields, "output_dir": str(folder / "run")}),
            eval_rows=held_out_rows,
            head=head,
            head_params={**(head_params or {}), **values.get(HEAD_PARAMS, {})},
            multi_target_strategy=multi_target_strategy,
            freeze=freeze,
            metric=metric,
            metric_kwargs=metric_kwargs,
            callbacks=callbacks,
            progress=progress,
        )

    trials: list[SearchTrial] = []
    with _quiet_optuna():
        import optuna

        study = optuna.create_study(direction=direction, sampler=optuna.samplers.TPESampler(seed=search_seed))
        for number in range(n_trials):
            asked = study.ask()
            values = dict(ask(asked))
            _check_names(values)
            trial = _judge(run, number, values, name)
            trials.append(trial)
            study.tell(asked, trial.score, state=None if trial.score is not None else optuna.trial.TrialState.FAIL)
            _tell(trial, n_trials, name)
    return _best(trials, name, direction, start, head_params or {})


def _check_names(values: Mapping[str, Any]) -> None:
    known = {field.name for field in dataclasses.fields(TrainingArguments)} - {"output_dir"} | {HEAD_PARAMS}
    if unknown := sorted(values.keys() - known):
        raise UsageError(
            f"space: expected fields of TrainingArguments (but output_dir) and {HEAD_PARAMS}, got {unknown[0]!r}"
        )


def _judge(
    run: Callable[[Mapping[str, Any], Path], TrainingResult], number: int, values: Mapping[str, Any], name: str
) -> SearchTrial:
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = run(values, Path(folder))
        except (TrainingDiverged, OutOfMemory, UsageError) as error:
            return SearchTrial(number, values, None, str(error), None)
    score = result.metrics[name]
    if math.isnan(score):
        return SearchTrial(number, values, None, f"{name}: expected a number, got NaN", None)
    return SearchTrial(number, values, score, "", result.seconds)


def _tell(trial: SearchTrial, of: int, name: str) -> None:
    values = ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in trial.values.items()
    )
    if trial.score is None:
        logger.warning("trial %d of %d with %s failed: %s", trial.number + 1, of, values, trial.failure)
    else:
        logger.info("trial %d of %d: %s %.4f with %s", trial.number + 1, of, name, trial.score, values)


def _best(
    trials: Sequence[SearchTrial], name: str, direction: str, start: TrainingArguments, head_params: Mapping[str, Any]
) -> SearchResult:
    """Give the best trial; of equal ones the first.

    Raises:
        SearchFailed: There is none.
    """
    scored = [trial for trial in trials if trial.score is not None]
    if not scored:
        raise SearchFailed(
            f"expected one of {len(trials)} trials to succeed, all failed, the last since {trials[-1].failure}"
        )
    sign = 1 if direction == "maximize" else -1
    best = max(scored, key=lambda trial: sign * (trial.score or 0.0))
    fields = {field: value for field, value in best.values.items() if field != HEAD_PARAMS}
    return SearchResult(
        arguments=dataclasses.replace(start, **fields),
        head_params={**head_params, **best.values.get(HEAD_PARAMS, {})},
        objective=name,
        score=best.score or 0.0,
        trials=tuple(trials),
    )


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Keep its own lines from stderr while the block runs."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
