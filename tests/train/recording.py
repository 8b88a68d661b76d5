"""What the tests of training share: a recorder of what is logged, and the contrastive phase without the rest."""

from collections.abc import Callable, Sequence
from typing import Any

from sentence_transformers import SentenceTransformer
from transformers import TrainerCallback

from setfuse.train import TrainingArguments
from setfuse.train._batches import LabelledTexts
from setfuse.train._contrast import Contrast, make_contrast
from setfuse.train._contrastive import FineTuned, fine_tune
from setfuse.train._drawing import draw_training_pairs
from setfuse.train._losses import make_objective


class Recorder(TrainerCallback):
    """Keeps what is logged, and at which steps something is done."""

    def __init__(self) -> None:
        self.logs: list[dict[str, float]] = []
        self.evaluated: list[int] = []
        self.saved: list[int] = []

    def on_log(self, _: Any, state: Any, *__: Any, **given: Any) -> None:
        self.logs.append({"step": state.global_step, **given["logs"]})

    def on_evaluate(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
        self.evaluated.append(state.global_step)

    def on_save(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
        self.saved.append(state.global_step)

    def of_steps(self, name: str) -> list[float]:
        """What was logged of the training under that name, each step if `logging_steps` is 1."""
        return [logs[name] for logs in self.logs if "embedding_loss" in logs]


class AtStep(TrainerCallback):
    """Does something at the end of a step."""

    def __init__(self, step: int, action: Callable[[], object]) -> None:
        self.step = step
        self.action = action

    def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
        if state.global_step == self.step:
            self.action()


def contrasted(
    body: SentenceTransformer, texts: Sequence[str], labels: Sequence[str], args: TrainingArguments
) -> Contrast:
    """Pair texts as `train` does."""
    objective = make_objective(
        args.loss, distance_metric=args.distance_metric, margin=args.margin, loss_kwargs=args.loss_kwargs
    )
    pairs = draw_training_pairs(labels, args)
    data = LabelledTexts(list(texts), list(labels))
    return make_contrast(body, data, pairs, objective, distinct=args.distinct_batches)


def tune(
    body: SentenceTransformer,
    texts: Sequence[str],
    labels: Sequence[str],
    callbacks: Sequence[TrainerCallback] = (),
    **given: Any,
) -> FineTuned:
    """Run the contrastive phase alone, saving nothing."""
    args = TrainingArguments(**{"save_strategy": "no", **given})

    def unexpected(*given: object) -> Any:
        raise AssertionError(given)

    return fine_tune(
        body,
        contrasted(body, texts, labels, args),
        args,
        fit_head=unexpected,
        make_step=unexpected,
        callbacks=callbacks,
    )
