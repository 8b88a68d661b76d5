"""The checkpoint's README: a model card with SetFit's sections, and how to train the same again."""

import importlib.metadata
import platform
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from setfuse.runtime import MultiLabelRow

from ._arguments import TrainingArguments
from ._data_checks import Rows, labels_of
from ._head import FittedHead
from ._loss_names import items_of
from ._markdown import fenced, literal, one_line, table
from ._ranges import EMBEDDING_LOSS
from ._result import TrainingResult

EXAMPLES = 3
"""Texts of each label, as SetFit shows."""

WIDGETS = 5

LIBRARIES = {
    "setfuse": "setfuse",
    "Sentence Transformers": "sentence-transformers",
    "Transformers": "transformers",
    "PyTorch": "torch",
    "scikit-learn": "scikit-learn",
    "Datasets": "datasets",
    "Tokenizers": "tokenizers",
}

REGULARISATION = ("C", "l1_ratio", "alpha", "shrinkage", "reg_param", "max_depth", "min_samples_leaf", "max_iter")
"""Parameters of scikit-learn's classifiers that keep them from fitting the rows too closely."""

_SCIKIT_LEARN = "https://scikit-learn.org/stable/modules/generated/sklearn.linear_model.LogisticRegression.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a model card tells.

    Attributes:
        base_model: A Hub id, or the name of a folder.
        rows: The training rows.
        head: Fitted on them.
        args: The hyperparameters.
        result: What was measured.
        log: What transformers' trainer logged, a line each.
        eval_rows: How many held-out rows there were.
        max_length: Tokens that the body reads of a text; None for any number.
        parameters: Of the body.
        size: Of the checkpoint's weights, in bytes.
        command: That trains the same again; None where no command line can.
        for_setfit: Whether SetFit can load the checkpoint.
        teacher: What the classifier that labelled the rows is called; None if people did.
    """

    base_model: str
    rows: Rows
    head: FittedHead
    args: TrainingArguments
    result: TrainingResult
    log: Sequence[Mapping[str, float]]
    eval_rows: int
    max_length: int | None
    parameters: int
    size: int
    command: str | None
    for_setfit: bool
    teacher: str | None

    @property
    def title(self) -> str:
        """What the model is called."""
        return f"SetFit with {one_line(self.base_model)}"


def model_card(facts: CardFacts) -> str:
    """Write the card: YAML that huggingface_hub reads, then Markdown.

    Texts and labels are shown as they are; nothing in them becomes markup.

    Args:
        facts: What to tell.
    """
    sections = [
        f"---\n{_metadata(facts).to_yaml()}\n---",
        _introduction(facts),
        _model_details(facts),
        _evaluation(facts),
        _uses(facts),
        _training_details(facts),
        _CITATION,
        _to_be_written("## Glossary", "## Model Card Authors", "## Model Card Contact"),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _metadata(facts: CardFacts) -> ModelCardData:
    step = -(-len(facts.rows) // WIDGETS)
    metrics = facts.result.metrics
    results = [
        EvalResult(
            task_type="text-classification",
            task_name="Text Classification",
            dataset_type="unknown",
            dataset_name="Unknown",
            dataset_split="test",
            metric_type=one_line(name),
            metric_name=_titled(name),
            metric_value=value,
        )
        for name, value in metrics.items()
    ]
    return ModelCardData(
        tags=["setfuse", "setfit", "sentence-transformers", "text-classification"],
        widget=[{"text": one_line(row.text)} for row in facts.rows[::step]],
        metrics=[one_line(name) for name in metrics] or None,
        pipeline_tag="text-classification",
        library_name="setfuse",
        base_model=facts.base_model if "/" in facts.base_model else None,
        model_name=facts.title if results else None,
        eval_results=results or None,
    )


def _introduction(facts: CardFacts) -> str:
    return f"""\
# SetFit with {literal(facts.base_model)}

A text classifier with {len(facts.head.labels)} labels, trained with setfuse by the recipe of
[SetFit](https://github.com/huggingface/setfit) on {len(facts.rows)} {_labelled(facts)}.
{_body_name(facts)} turns a text into an embedding, {_head_name(facts)} that into a label.

It was trained in two phases:

1. The [Sentence Transformer](https://www.sbert.net) was fine-tuned contrastively: texts of one label came together.
2. The classification head was trained on the embeddings that the fine-tuned body gives."""


def _labelled(facts: CardFacts) -> str:
    return "labelled texts" if facts.teacher is None else f"texts that {literal(facts.teacher)} labelled"


def _body_name(facts: CardFacts) -> str:
    name = literal(facts.base_model)
    return f"[{name}](https://huggingface.co/{facts.base_model})" if "/" in facts.base_model else name


def _head_name(facts: CardFacts) -> str:
    kind = facts.head.kind
    named = f"[{kind}]({_SCIKIT_LEARN})" if kind == "LogisticRegression" else kind
    strategy = f" ({facts.head.strategy})" if facts.head.strategy else ""
    return f"a {named}{strategy}"


def _model_details(facts: CardFacts) -> str:
    length = "any" if facts.max_length is None else f"{facts.max_length} tokens"
    kind = ", of which any number applies to a text" if facts.head.multi_label else ""
    return f"""\
## Model Details

### Model Description
- **Model Type:** SetFit
- **Sentence Transformer body:** {_body_name(facts)}
- **Classification head:** {_head_name(facts)}
- **Regularisation of the head:** {regularisation(facts.head, facts.args)}
- **Maximum Sequence Length:** {length}
- **Number of Classes:** {len(facts.head.labels)} classes{kind}
- **Size:** {facts.parameters / 1e6:.1f} million parameters in the body, {facts.size / 1e6:.1f} MB of weights
<!-- - **Training Dataset:** Unknown -->
<!-- - **Language:** Unknown -->
<!-- - **License:** Unknown -->

### Model Sources

- **Repository:** [SetFit on GitHub](https://github.com/huggingface/setfit)
- **Paper:** [Efficient Few-Shot Learning Without Prompts](https://arxiv.org/abs/2209.11055)
- **Blogpost:** [SetFit: Efficient Few-Shot Learning Without Prompts](https://huggingface.co/blog/setfit)

### Model Labels
{table(("Label", "Examples"), [(literal(label), _examples(facts.rows, label)) for label in facts.head.labels])}"""


def regularisation(head: FittedHead, args: TrainingArguments) -> str:
    """Say what keeps a head from fitting the rows too closely, in the words of its library.

    Args:
        head: Of scikit-learn, possibly one of several outputs or the end of a pipeline; or differentiable.
        args: Have a differentiable head's weight decay.
    """
    inner = head.estimator
    while True:
        parts = inner.get_params(deep=False) if hasattr(inner, "get_params") else {}
        if parts.get("estimator") is not None and not isinstance(parts["estimator"], str):
            inner = parts["estimator"]
        elif "steps" in parts:
            inner = parts["steps"][-1][1]
        else:
            break
    if not parts:
        return f"AdamW with a weight decay of {args.l2_weight or 0.0}"
    named = [f"{name} {parts[name]}" for name in REGULARISATION if parts.get(name) is not None]
    meaning = " (C is the inverse of the strength; l1_ratio 0 is L2)" if "C" in parts and "l1_ratio" in parts else ""
    return f"scikit-learn's {type(inner).__name__} with {literal(', '.join(named) or 'its defaults')}{meaning}"


def _examples(rows: Rows, label: str) -> str:
    of_label = [row.text for row in rows if label in labels_of(row)]
    return f"<ul>{''.join(f'<li>{literal(text)}</li>' for text in of_label[:EXAMPLES])}</ul>"


def _evaluation(facts: CardFacts) -> str:
    metrics = facts.result.metrics
    if not metrics:
        return ""
    columns = ["Label", *(literal(_titled(name)) for name in metrics)]
    return f"""\
## Evaluation

### Metrics
{table(columns, [["**all**", *(f"{value:.4f}" for value in metrics.values())]])}

On {facts.eval_rows} held-out texts."""


def _titled(name: str) -> str:
    return one_line(name).replace("_", " ").title()


def _uses(facts: CardFacts) -> str:
    example = repr(min((one_line(row.text) for row in facts.rows), key=len))
    code = f"""\
from setfuse.export import export
from setfuse.runtime import Classifier

export("CHECKPOINT", "bundle")  # this folder, or its name on the Hub; compared with torch before it is written
classifier = Classifier.load("bundle")  # from here on without torch
print(classifier({example}))"""
    with_setfit = f"""
SetFit loads it, too:

{
        fenced(
            "python",
            f'''from setfit import SetFitModel

model = SetFitModel.from_pretrained("CHECKPOINT")
print(model.predict([{example}]))''',
        )
    }
"""
    return f"""\
## Uses

### Direct Use for Inference

{fenced("bash", 'pip install "setfuse[export,cpu]"')}

{fenced("python", code)}
{with_setfit if facts.for_setfit else ""}
{
        _to_be_written(
            "### Downstream Use",
            "### Out-of-Scope Use",
            "## Bias, Risks and Limitations",
            "### Recommendations",
        )
    }"""


def _to_be_written(*headings: str) -> str:
    """Give sections that only the model's author can write, hidden until then."""
    return "\n\n".join(f"<!--\n{heading}\n-->" for heading in headings)


def _training_details(facts: CardFacts) -> str:
    words = [len(row.text.split()) for row in facts.rows]
    counted = [f"{min(words)}", f"{statistics.median(words):g}", f"{max(words)}"]
    counts = [(literal(label), f"{count}") for label, count in facts.result.labels.items()]
    alone = Counter(len(labels_of(row)) for row in facts.rows)
    several = (
        "\n\nTexts by their number of labels: " + ", ".join(f"{alone[n]} with {n}" for n in sorted(alone)) + "."
        if isinstance(facts.rows[0], MultiLabelRow)
        else ""
    )
    result = facts.result
    return f"""\
## Training Details

### Training Set Metrics
{table(("Training set", "Min", "Median", "Max"), [["Word count", *counted]])}

{table(("Label", "Training Sample Count"), counts)}{several}

### Training Hyperparameters
{_hyperparameters(facts.args)}

### Training Results
{_results(facts)}

### Training Time
{result.seconds:.1f} s for {result.steps} steps and the head, {result.pairs} {items_of(facts.args.loss)} an epoch.

### Reproduction
{_reproduction(facts)}

### Framework Versions
- Python: {platform.python_version()}
{chr(10).join(f"- {name}: {importlib.metadata.version(package)}" for name, package in LIBRARIES.items())}"""


def _hyperparameters(args: TrainingArguments) -> str:
    values: dict[str, Any] = {name: value for name, value in args.to_json().items() if not name.endswith("_dir")}
    values |= {
        "batch_size": (args.embedding_batch_size, args.classifier_batch_size),
        "num_epochs": (args.embedding_num_epochs, args.classifier_num_epochs),
        "body_learning_rate": (args.body_embedding_learning_rate, args.body_classifier_learning_rate),
    }
    return "\n".join(f"- {name}: {literal(f'{value}')}" for name, value in values.items() if value is not None)


def _results(facts: CardFacts) -> str:
    """Give a line for each step that was logged or evaluated; that of the weights that were kept is bold."""
    lines: dict[int, dict[str, float]] = {}
    for entry in facts.log:
        found = {name: entry[name] for name in (EMBEDDING_LOSS, f"eval_{EMBEDDING_LOSS}") if name in entry}
        if found:
            lines.setdefault(int(entry["step"]), {"epoch": entry["epoch"]}).update(found)
    rows = []
    for step, line in sorted(lines.items()):
        cells = [f"{line['epoch']:.4f}", f"{step}", *(_loss(line.get(name)) for name in _LOSSES)]
        rows.append([f"**{cell}**" for cell in cells] if step == facts.result.best_step else cells)
    best = "\n\nThe bold row is the checkpoint that was kept." if facts.result.best_step in lines else ""
    return table(("Epoch", "Step", "Training Loss", "Validation Loss"), rows, align=":---:") + best


_LOSSES = (EMBEDDING_LOSS, f"eval_{EMBEDDING_LOSS}")


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _reproduction(facts: CardFacts) -> str:
    if facts.command is None:
        function = "train" if facts.teacher is None else "distill"
        return f"`setfuse.train.{function}` was called with an object that no command line can name."
    return (
        f"{fenced('bash', facts.command)}\n\n"
        "With the same rows, library versions and number of threads it gives the same weights."
    )


_CITATION = """\
## Citation

### BibTeX
```bibtex
@article{https://doi.org/10.48550/arxiv.2209.11055,
    doi = {10.48550/ARXIV.2209.11055},
    url = {https://arxiv.org/abs/2209.11055},
    author = {Tunstall, Lewis and Reimers, Nils and Jo, Unso Eun Seo and Bates, Luke and Korat, Daniel and Wasserblat, Moshe and Pereg, Oren},
    title = {Efficient Few-Shot Learning Without Prompts},
    publisher = {arXiv},
    year = {2022}
}
```"""  # noqa: E501 - the author's line
