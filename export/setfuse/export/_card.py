"""The bundle's README: what it is, how it compares with the checkpoint, how to use it."""

from collections.abc import Sequence

from setfuse.runtime import Manifest, Variant


def bundle_card(manifest: Manifest) -> str:
    """Write the card of a bundle in Markdown."""
    training = manifest.provenance.get("training")
    base = training.get("base_model", "unknown") if isinstance(training, dict) else "unknown"
    labels = "\n".join(f"- `{label}`" for label in manifest.labels)
    rows = "\n".join(_row(variant) for variant in manifest.variants)
    notes = _notes(manifest.variants)
    return f"""\
# A setfuse bundle: {len(manifest.labels)} labels on {base}

One fused graph from token ids to probabilities: the sentence-transformers body and the classifier head together.

## Labels
{labels}

## Use
```python
from setfuse.runtime import Classifier

clf = Classifier.load("path/to/this/folder")
print(clf("a text"))
```
or `setfuse predict path/to/this/folder "a text"`. Needs `pip install "setfuse[cpu]"`, and no torch.

Texts of more than {manifest.max_length} tokens are cut there.

## Graphs, and how they compare with the torch checkpoint
| file | precision | target | MB | compared on | max and mean difference of a score | same label | accuracy | torch's |
|---|---|---|---|---|---|---|---|---|
{rows}
{notes}"""


def _row(variant: Variant) -> str:
    cells = [variant.file.file, str(variant.precision), str(variant.target), f"{variant.file.bytes / 1e6:.1f}"]
    parity = variant.parity
    if parity is None:
        return f"| {' | '.join([*cells, *'-----'])} |"
    accuracies = (
        f"{share:.1%}".replace("%", " %") if share is not None else "-"
        for share in (parity.accuracy, parity.torch_accuracy)
    )
    difference = f"{parity.max_probability_difference:.1e}, {parity.mean_probability_difference:.1e}"
    agreement = f"{parity.label_agreement:.1%}".replace("%", " %")
    cells += [f"{parity.texts} {parity.checked_on}", difference, agreement, *accuracies]
    return f"| {' | '.join(cells)} |"


def _notes(variants: Sequence[Variant]) -> str:
    """Say what was allowed and why weights are there twice, a line each."""
    notes = [(variant, variant.note) for variant in variants]
    notes += [
        (variant, f"allowed: {variant.parity.allowed_mismatch}")
        for variant in variants
        if variant.parity and variant.parity.allowed_mismatch
    ]
    return "".join(f"\n`{variant.file.file}`: {note}\n" for variant, note in notes if note)
