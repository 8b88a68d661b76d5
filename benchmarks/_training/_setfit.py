"""Train the card's recipe with SetFit, in its environment."""

import importlib.metadata
import json
import time

import numpy as np
import torch
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments  # type: ignore[import-not-found] # not of our environment

from ._run import BATCH_SIZE, LOGGED, NUM_EPOCHS, PROBABILITIES, Order, TrainingRun, Who
from ._watch import Watch


def run(order: Order) -> TrainingRun:
    """Train and measure."""
    torch.set_num_threads(order.threads)
    rows, held_out = (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in (order.train, order.texts)
    )
    watch = Watch()
    model = SetFitModel.from_pretrained(order.base, local_files_only=True)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(order.out),
            batch_size=BATCH_SIZE,
            num_epochs=NUM_EPOCHS,
            seed=order.seed,
            report_to="none",
            save_strategy="no",
            logging_steps=1 if order.each_step else LOGGED,
        ),
        train_dataset=Dataset.from_list(rows),
        callbacks=[watch],
    )
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    step_1, mean = watch.losses()
    probabilities = np.asarray(model.predict_proba([row["text"] for row in held_out], as_numpy=True))
    labels = [model.model_head.classes_[column] for column in probabilities.argmax(axis=1)]
    return TrainingRun(
        who=Who.SETFIT,
        seed=order.seed,
        threads=order.threads,
        seconds=seconds,
        peak_mb=watch.peak_mb,
        step_1=step_1,
        mean_2_to_50=mean,
        right=sum(label == row["label"] for label, row in zip(labels, held_out, strict=True)),
        texts=len(held_out),
        steps=watch.steps() if order.each_step else {},
        probabilities=probabilities[:PROBABILITIES].tolist(),
        versions={name: importlib.metadata.version(name) for name in ("setfit", "torch", "transformers")},
    )
