"""The checkpoint's README: a model card of what was trained on what, and how."""

import json
from collections.abc import Mapping
from typing import Any


def checkpoint_card(training: Mapping[str, Any]) -> str:
    """Write the card of a checkpoint in Markdown.

    Args:
        training: The content of `training.json`.
    """
    examples = "\n".join(f"| `{label}` | {count} |" for label, count in training["rows"].items())
    arguments = "\n".join(f"- {name}: {value}" for name, value in training["arguments"].items())
    texts = f"{sum(training['rows'].values())} labelled texts"
    if training.get("teacher"):
        texts = f"{sum(training['rows'].values())} texts, labelled by {training['teacher']}"
    accuracy = training.get("accuracy")
    evaluation = (
        f"Accuracy on {training['eval_rows']} held-out texts: {accuracy:.4f}" if accuracy is not None else "None."
    )
    versions = "\n".join(f"- {name}: {version}" for name, version in training["versions"].items())
    return f"""\
---
tags:
- setfuse
- setfit
- sentence-transformers
- text-classification
pipeline_tag: text-classification
library_name: setfuse
base_model: {json.dumps(training["base_model"])}
---

# {training["base_model"]}, fine-tuned on {texts}

A few-shot text classifier: the sentence-transformers body was fine-tuned contrastively, then a LogisticRegression was
fitted on its embeddings ([SetFit](https://arxiv.org/abs/2209.11055)). The body loads in sentence-transformers; body and
head become one ONNX graph with `setfuse export`.

## Labels
| label | training texts |
|---|---|
{examples}

## Evaluation
{evaluation}

## Training hyperparameters
{arguments}

Training took {training["seconds"]:.0f} s for {training["steps"]} steps over {training["pairs"]} pairs.

## Framework versions
{versions}
"""
