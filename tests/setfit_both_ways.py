"""What the real SetFit does, in its own environment: `python -m tests.setfit_both_ways write|read ...`.

`write BASE OUT` trains a model of each kind and saves it to OUT/KIND with its answers; `read FOLDER ...` loads each
with `SetFitModel.from_pretrained` and writes FOLDER/answers.json.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

TEXTS = ["where is my parcel", "it is lost", "refund the money please", "late again", "cancel", "it is late and lost"]
SINGLE = [*(["late", "lost"] * 3)]
THREE = ["late", "lost", "refund"] * 2
SEVERAL = [[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [1, 0, 0]]
NAMES = ["late", "lost", "refund"]
OTHERWISE = ["refund", "late", "lost"]  # in no alphabetical order

KINDS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "two-labels": (SINGLE, {}),
    "three-labels": (THREE, {}),
    "numbers-with-names": ([NAMES.index(label) for label in THREE], {"labels": NAMES}),
    "numbers-named-otherwise": ([OTHERWISE.index(label) for label in THREE], {"labels": OTHERWISE}),
    "numbers-with-a-gap": ([2 * NAMES.index(label) for label in SINGLE], {"labels": NAMES}),
    "numbers": ([5 * NAMES.index(label) for label in THREE], {}),
    "texts-named-otherwise": (SINGLE, {"labels": ["lost", "late"]}),
    "normalized": (SINGLE, {"normalize_embeddings": True}),
    "one-vs-rest": (SEVERAL, {"multi_target_strategy": "one-vs-rest", "labels": NAMES}),
    "multi-output": (SEVERAL, {"multi_target_strategy": "multi-output", "labels": NAMES}),
    "classifier-chain": (SEVERAL, {"multi_target_strategy": "classifier-chain", "labels": NAMES}),
    "classifier-chain-named-otherwise": (
        [[row[NAMES.index(name)] for name in OTHERWISE] for row in SEVERAL],
        {"multi_target_strategy": "classifier-chain", "labels": OTHERWISE},
    ),
    "several-without-names": (SEVERAL, {"multi_target_strategy": "multi-output"}),
    "differentiable-named-otherwise": (
        [OTHERWISE.index(label) for label in THREE],
        {"use_differentiable_head": True, "head_params": {"out_features": 3}, "labels": OTHERWISE},
    ),
    "differentiable-without-names": (
        [NAMES.index(label) for label in SINGLE],
        {"use_differentiable_head": True, "head_params": {"out_features": 2}},
    ),
    "differentiable": (
        [NAMES.index(label) for label in THREE],
        {"use_differentiable_head": True, "head_params": {"out_features": 3, "temperature": 0.5}, "labels": NAMES},
    ),
    "differentiable-several": (
        SEVERAL,
        {
            "use_differentiable_head": True,
            "multi_target_strategy": "multi-output",
            "head_params": {"out_features": 3},
            "labels": NAMES,
        },
    ),
}


def write(base: str, out: Path) -> None:
    """Train one of each kind, as SetFit's users do, and save it."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    for kind, (labels, settings) in KINDS.items():
        model = SetFitModel.from_pretrained(base, device="cpu", **settings)
        arguments = TrainingArguments(
            output_dir=str(out / "runs"), max_steps=2, num_epochs=(1, 4), report_to="none", save_strategy="no"
        )
        Trainer(model, arguments, train_dataset=Dataset.from_dict({"text": TEXTS, "label": labels})).train()
        model.save_pretrained(str(out / kind))
        answer(model, out / kind)


def read(folders: list[Path]) -> None:
    """Load folders that somebody else wrote."""
    from setfit import SetFitModel

    for folder in folders:
        answer(SetFitModel.from_pretrained(str(folder), local_files_only=True, device="cpu"), folder)


def answer(model: Any, folder: Path) -> None:
    """Write what a model says to `TEXTS`."""
    probabilities = np.asarray(model.predict_proba(TEXTS, as_numpy=True))
    if probabilities.ndim == 3:  # no and yes of each label
        probabilities = probabilities[:, :, 1]
    answers = {
        "probabilities": probabilities.tolist(),
        "predictions": np.asarray(model.predict(TEXTS, as_numpy=True)).tolist(),
        "labels": model.labels,
    }
    (folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], Path(sys.argv[3]))
    else:
        read([Path(argument) for argument in sys.argv[2:]])
