"""Train the card's recipe with setfuse: `python -m benchmarks._training._ours`."""

import importlib.metadata
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer

from setfuse.export import read_checkpoint
from setfuse.runtime import read_rows
from setfuse.train import TrainingArguments, train

from ._options import parse
from ._run import BATCH_SIZE, LOGGED, NUM_EPOCHS, PROBABILITIES, TrainingRun
from ._watch import Watch


def main() -> None:
    """Train, measure, and write the result."""
    options = parse()
    torch.set_num_threads(options.threads)
    watch = Watch()
    arguments = TrainingArguments(
        batch_size=BATCH_SIZE,
        num_epochs=NUM_EPOCHS,
        seed=options.seed,
        save_strategy="no",
        distinct_batches=not options.both_sides,
        logging_steps=1 if options.each_step else LOGGED,
    )
    result = train(
        options.train,
        base=options.base,
        out=options.out,
        args=arguments,
        eval_rows=options.texts,
        callbacks=[watch],
        overwrite=True,
    )
    step_1, mean = watch.losses()
    rows = read_rows(options.texts)
    TrainingRun(
        who="setfuse",
        seed=options.seed,
        threads=options.threads,
        seconds=result.seconds,
        peak_mb=watch.peak_mb,
        step_1=step_1,
        mean_2_to_50=mean,
        right=round((result.accuracy or 0.0) * len(rows)),
        texts=len(rows),
        steps=watch.steps() if options.each_step else {},
        probabilities=_probabilities(options.out, [row.text for row in rows[:PROBABILITIES]]),
        versions={name: importlib.metadata.version(name) for name in ("setfuse", "torch", "transformers")},
    ).write(options.result)


def _probabilities(checkpoint: Path, texts: list[str]) -> list[list[float]]:
    """Ask what was written, not what was trained."""
    body = SentenceTransformer(str(checkpoint), device="cpu", local_files_only=True)
    answers: list[list[float]] = read_checkpoint(checkpoint).head.answer(body.encode(texts)).tolist()
    return answers


if __name__ == "__main__":
    main()
