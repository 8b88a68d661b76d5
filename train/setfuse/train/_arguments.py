"""The hyperparameters, under SetFit's names and with SetFit's defaults."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from setfuse.runtime import UsageError

from ._describe import describe
from ._loss_names import (
    DEFAULT_DISTANCE,
    DEFAULT_MARGIN,
    DISTANCE_METRICS,
    LOSSES,
    check_loss_arguments,
    known_name,
)
from ._ranges import DEVICES, EMBEDDING_LOSS, RANGES, SCHEDULERS, Interval, SamplingStrategy

_Value = TypeVar("_Value")


def _help(text: str) -> dict[str, str]:
    return {"help": text}


def _choice(text: str, choices: Sequence[str]) -> dict[str, Any]:
    return {"help": text, "choices": tuple(choices)}


@dataclass(frozen=True, kw_only=True)
class TrainingArguments:
    """How to train; the field names are on every SetFit model card.

    `batch_size`, `num_epochs` and `body_learning_rate` are a number or, as SetFit has it, a pair: the first for the
    contrastive phase, the second for a differentiable head. A single number is for both.

    The defaults are SetFit's, but for two: `report_to`, which there is "all", so that whatever is installed starts to
    report, Weights & Biases by asking for a login; and `greater_is_better`, which there is False, so that the best
    accuracy would be the lowest.

    Attributes:
        output_dir: Folder for the checkpoints of the run, one `checkpoint-STEP` each: body, head, and what resuming
            needs. It is made with the first save: a run of fewer steps than `save_steps` leaves none.
        batch_size: Pairs a step of the contrastive phase (texts, for a loss on labels); texts a step of a
            differentiable head.
        num_epochs: Passes over the pairs; passes over the texts of a differentiable head.
        max_steps: Stop the contrastive phase after that many steps, however many epochs that takes; -1: `num_epochs`
            decides.
        sampling_strategy: `oversampling` repeats the scarcer of positive and negative pairs, `undersampling` cuts the
            more frequent, `unique` leaves both as they are. Like everything about pairs, refused with a loss on labels.
        num_iterations: That many pairs of each kind a text, instead of a sampling strategy.
        body_learning_rate: Highest learning rate of the body in the contrastive phase; in training a differentiable
            head with `end_to_end`.
        head_learning_rate: Of a differentiable head.
        loss: Name of a loss, `CosineSimilarityLoss` or `CosineSimilarity` for short, or a loss class; the class
            of one that has a name here becomes its name.
        loss_kwargs: Further arguments of the loss's constructor, by name.
        distance_metric: Of triplet losses: `cosine_distance`, `euclidean_distance`, or a function of embeddings
            (texts, dim) that gives the distances (texts, texts).
        margin: Of triplet losses: how much nearer a text of the same label must be than one of another.
        end_to_end: Train the body together with a differentiable head.
        use_amp: float16 arithmetic in the contrastive phase where it is safe, with scaled losses; needs a GPU.
        warmup_proportion: Share of the steps in which the learning rate rises, 0 to 1, rounded up to whole steps.
        l2_weight: Weight decay of AdamW, in both phases; None for none. LogisticRegression has its own.
        max_length: Cut texts at that many tokens; None for the body's own.
        seed: Of the batches' order and of dropout.
        report_to: Where to report to: "none", "all" that is installed, or names of transformers' integrations such
            as "tensorboard", "wandb", "mlflow".
        run_name: What the run is called there.
        logging_dir: Folder for TensorBoard; None for its own choice below `output_dir`.
        logging_strategy: When to log: "no", "steps" or "epoch".
        logging_first_step: Log the first step, too.
        logging_steps: Steps from one log line to the next.
        eval_strategy: When to evaluate on the held-out rows while training: "no", "steps" or "epoch".
        eval_steps: Steps from one evaluation to the next; None for `logging_steps`. Given alone, it means "steps".
        eval_delay: Steps (epochs, where they decide) before the first evaluation.
        eval_max_steps: Batches of held-out pairs to take the contrastive loss over; -1 for all of them, whose number
            grows with the square of the rows.
        save_strategy: When to save: "no", "steps" or "epoch".
        save_steps: Steps from one save to the next.
        save_total_limit: Keep that many checkpoints, the newest, and the best; None for all.
        load_best_model_at_end: Go on with the best checkpoint, not the last.
        metric_for_best_model: What is best: "embedding_loss", the contrastive loss on the held-out rows, or a metric
            of the classifier such as "accuracy".
        greater_is_better: Whether more of it is better; None: unless its name ends in "loss".
        gradient_accumulation_steps: Batches whose gradients are averaged to one step of the optimizer.
        device: "cpu" or "cuda"; None for the GPU where torch has one. Which of several: CUDA_VISIBLE_DEVICES.
        bf16: bfloat16 arithmetic in the contrastive phase where it is safe.
        lr_scheduler_type: How the learning rate goes on after the warm-up, one of transformers' schedules.
        class_weight: Of the labels of LogisticRegression or the differentiable head: "balanced", or a weight a label;
            scikit-learn's meaning.
        pair_seed: Of the order of the pairs, 42 in SetFit whatever the seed; None for `seed`.
        self_pairs: Pair each text also with itself, as SetFit does.
        distinct_batches: Embed each distinct text of a batch once; False embeds both sides of every pair apart, as
            SetFit does, in two to three times the time.

    Raises:
        UsageError: A value is out of its range, or two contradict each other; raised on construction, before anything
            is loaded.
    """

    output_dir: str = field(default="checkpoints", metadata=_help("folder for the checkpoints of the run"))
    batch_size: int | tuple[int, int] = field(default=(16, 2), metadata=_help("pairs a training step"))
    num_epochs: int | tuple[int, int] = field(default=(1, 16), metadata=_help("passes over the pairs"))
    max_steps: int = field(default=-1, metadata=_help("stop after that many steps; -1: num_epochs decides"))
    sampling_strategy: str = field(
        default="oversampling",
        metadata=_choice("of positive and negative pairs", list(SamplingStrategy)),
    )
    num_iterations: int | None = field(
        default=None, metadata=_help("pairs of each kind a text, instead of a sampling strategy")
    )
    body_learning_rate: float | tuple[float, float] = field(
        default=(2e-5, 1e-5), metadata=_help("highest learning rate of the body")
    )
    head_learning_rate: float = field(default=1e-2, metadata=_help("learning rate of a differentiable head"))
    loss: str | type = field(default="CosineSimilarityLoss", metadata=_choice("contrastive loss", LOSSES))
    loss_kwargs: Mapping[str, Any] | None = field(
        default=None, metadata=_help("further arguments of the loss, a JSON object")
    )
    distance_metric: str | Callable[..., Any] = field(
        default=DEFAULT_DISTANCE, metadata=_choice("distance of triplet losses", DISTANCE_METRICS)
    )
    margin: float = field(default=DEFAULT_MARGIN, metadata=_help("margin of triplet losses"))
    end_to_end: bool = field(default=False, metadata=_help("train the body together with a differentiable head"))
    use_amp: bool = field(default=False, metadata=_help("float16 arithmetic where it is safe, on a GPU"))
    warmup_proportion: float = field(default=0.1, metadata=_help("share of the steps in which the rate rises"))
    l2_weight: float | None = field(default=0.01, metadata=_help("weight decay of the optimizer; none: 0"))
    max_length: int | None = field(default=None, metadata=_help("cut texts at that many tokens; default: the body's"))
    seed: int = field(default=42, metadata=_help("of the batches' order and of dropout"))
    report_to: str | Sequence[str] = field(
        default="none", metadata=_help("none, all, or integrations such as tensorboard,wandb,mlflow")
    )
    run_name: str | None = field(default=None, metadata=_help("what the run is called where it is reported"))
    logging_dir: str | None = field(default=None, metadata=_help("folder for TensorBoard"))
    logging_strategy: str = field(default="steps", metadata=_choice("when to log", list(Interval)))
    logging_first_step: bool = field(default=True, metadata=_help("log the first step, too"))
    logging_steps: int = field(default=50, metadata=_help("steps from one log line to the next"))
    eval_strategy: str = field(default="no", metadata=_choice("when to evaluate while training", list(Interval)))
    eval_steps: int | None = field(
        default=None, metadata=_help("steps from one evaluation to the next; default: logging_steps")
    )
    eval_delay: float = field(default=0, metadata=_help("steps or epochs before the first evaluation"))
    eval_max_steps: int = field(
        default=-1, metadata=_help("batches of held-out pairs to take the contrastive loss over; -1: all")
    )
    save_strategy: str = field(default="steps", metadata=_choice("when to save", list(Interval)))
    save_steps: int = field(default=500, metadata=_help("steps from one save to the next"))
    save_total_limit: int | None = field(default=1, metadata=_help("checkpoints to keep; none: all"))
    load_best_model_at_end: bool = field(default=False, metadata=_help("go on with the best checkpoint, not the last"))
    metric_for_best_model: str = field(
        default=EMBEDDING_LOSS, metadata=_help("what is best: embedding_loss, or the classifier's metric")
    )
    greater_is_better: bool | None = field(
        default=None, metadata=_help("whether more of it is better; default: unless it is a loss")
    )
    gradient_accumulation_steps: int = field(default=1, metadata=_help("batches to one step of the optimizer"))
    device: str | None = field(
        default=None, metadata=_choice("where to train; default: a GPU if there is one", DEVICES)
    )
    bf16: bool = field(default=False, metadata=_help("bfloat16 arithmetic where it is safe"))
    lr_scheduler_type: str = field(
        default="linear", metadata=_choice("how the learning rate goes on after the warm-up", SCHEDULERS)
    )
    class_weight: str | Mapping[str, float] | None = field(
        default=None, metadata=_help("of the head's labels: balanced, or LABEL=WEIGHT,LABEL=WEIGHT")
    )
    pair_seed: int | None = field(default=42, metadata=_help("of the order of the pairs; none: the seed"))
    self_pairs: bool = field(default=True, metadata=_help("pair each text also with itself"))
    distinct_batches: bool = field(default=True, metadata=_help("embed each distinct text of a batch once"))

    def __post_init__(self) -> None:
        for name, (holds, expected) in RANGES.items():
            value = getattr(self, name)
            _expect(holds(value), name, expected, value)
        if (known := known_name(self.loss)) is not None:
            object.__setattr__(self, "loss", known)
        if self.eval_steps is not None and self.eval_strategy == Interval.NO:
            object.__setattr__(self, "eval_strategy", Interval.STEPS.value)  # SetFit's reading
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
        _agree(
            not (self.use_amp and self.device == "cpu"),
            'use_amp: expected a GPU for float16 arithmetic, got device "cpu"; leave one out',
        )
        _agree(not (self.bf16 and self.use_amp), "bf16 and use_amp: expected one of them, got both; leave one out")
        changed = {name: value for name, default in _DEFAULTS.items() if (value := getattr(self, name)) != default}
        if getattr(self.distance_metric, "__name__", None) == DEFAULT_DISTANCE:
            del changed["distance_metric"]  # SetFit's default is the function of that name
        check_loss_arguments(self.loss, changed)
        if not self.load_best_model_at_end:
            return
        _agree(
            self.eval_strategy != Interval.NO,
            'load_best_model_at_end: expected with an evaluation, got eval_strategy "no"; '
            'say eval_strategy="steps" or "epoch"',
        )
        _agree(
            self.save_strategy == self.eval_strategy,
            f"load_best_model_at_end: expected save_strategy to be eval_strategy, got {self.save_strategy!r} and "
            f"{self.eval_strategy!r}; give both the same",
        )
        every = self.eval_steps or self.logging_steps
        _agree(
            self.eval_strategy != Interval.STEPS or self.save_steps % every == 0,
            f"load_best_model_at_end: expected save_steps to be a multiple of the steps between evaluations, got "
            f"{self.save_steps} and {every}; change one of them",
        )

    @property
    def embedding_batch_size(self) -> int:
        """Pairs a batch of the contrastive phase."""
        return _first(self.batch_size)

    @property
    def classifier_batch_size(self) -> int:
        """Texts a batch of a differentiable head."""
        return _last(self.batch_size)

    @property
    def embedding_num_epochs(self) -> int:
        """Passes over the pairs in the contrastive phase."""
        return _first(self.num_epochs)

    @property
    def classifier_num_epochs(self) -> int:
        """Passes over the texts of a differentiable head."""
        return _last(self.num_epochs)

    @property
    def body_embedding_learning_rate(self) -> float:
        """Highest learning rate of the body in the contrastive phase."""
        return _first(self.body_learning_rate)

    @property
    def body_classifier_learning_rate(self) -> float:
        """Learning rate of the body in training a differentiable head with `end_to_end`."""
        return _last(self.body_learning_rate)

    @property
    def better_is_greater(self) -> bool:
        """Whether more of `metric_for_best_model` is better."""
        if self.greater_is_better is None:
            return not self.metric_for_best_model.endswith("loss")
        return self.greater_is_better

    def to_json(self) -> dict[str, Any]:
        """Give the arguments as `json.dump` takes them; a class or function by its name."""
        return {item.name: describe(getattr(self, item.name)) for item in fields(self)}


def _first(value: _Value | tuple[_Value, _Value]) -> _Value:
    return value[0] if isinstance(value, tuple | list) else value


def _last(value: _Value | tuple[_Value, _Value]) -> _Value:
    return value[1] if isinstance(value, tuple | list) else value


_DEFAULTS = {item.name: item.default for item in fields(TrainingArguments)}


def _expect(holds: bool, name: str, expected: str, got: object) -> None:
    if not holds:
        raise UsageError(f"{name}: expected {expected}, got {got!r}")


def _agree(holds: bool, message: str) -> None:
    if not holds:
        raise UsageError(message)
