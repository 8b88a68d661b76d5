"""Train the card's recipe with setfuse."""

import importlib.metadata
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer

from setfuse.runtime import read_rows
from setfuse.train import TrainingArguments, train

from ._run import BATCH_SIZE, LOGGED, NUM_EPOCHS, PROBABILITIES, Order, TrainingRun, Who
from ._watch import Watch


def run(order: Order) -> TrainingRun:
    """Train and measure."""
    torch.set_num_threads(order.threads)
    watch = Watch()
    arguments = TrainingArguments(
        batch_size=BATCH_SIZE,
        num_epochs=NUM_EPOCHS,
        seed=order.seed,
        save_strategy="no",
        distinct_batches=not order.both_sides,
        logging_steps=1 if order.each_step else LOGGED,
    )
    result = train(
        order.train,
        base=order.base,
        out=order.out,
        args=arguments,
        eval_rows=order.texts,
        callbacks=[watch],
        overwrite=True,
    )
    step_1, mean = watch.losses()
    rows = read_rows(order.texts)
    return TrainingRun(
        who=Who.SETFUSE,
        seed=order.seed,
        threads=order.threads,
        seconds=result.seconds,
        peak_mb=watch.peak_mb,
        step_1=step_1,
        mean_2_to_50=mean,
        right=round((result.accuracy or 0.0) * len(rows)),
        texts=len(rows),
        steps=watch.steps() if order.each_step else {},
        probabilities=_probabilities(order.out, [row.text for row in rows[:PROBABILITIES]]),
        versions={name: importlib.metadata.version(name) for name in ("setfuse", "torch", "transformers")},
    )


def _probabilities(checkpoint: Path, texts: list[str]) -> list[list[float]]:
    """Ask what was written, not what was trained."""
    from setfuse.export import read_checkpoint  # here: onnx is none of the memory that training needs

    body = SentenceTransformer(str(checkpoint), device="cpu", local_files_only=True)
    answers: list[list[float]] = read_checkpoint(checkpoint).head.answer(body.encode(texts)).tolist()
    return answers
