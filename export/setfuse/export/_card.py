"""The bundle's README: what it is, how it compares with the checkpoint, how to use it."""

from setfuse.runtime import Manifest, Variant


def bundle_card(manifest: Manifest) -> str:
    """Write the card of a bundle in Markdown."""
    training = manifest.provenance.get("training")
    base = training.get("base_model", "unknown") if isinstance(training, dict) else "unknown"
    labels = "\n".join(f"- `{label}`" for label in manifest.labels)
    rows = "\n".join(_row(variant) for variant in manifest.variants)
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
| file | precision | target | MB | texts compared | max and mean difference of a probability | same label |
|---|---|---|---|---|---|---|
{rows}
"""


def _row(variant: Variant) -> str:
    size = f"{variant.file.bytes / 1e6:.1f}"
    if variant.parity is None:
        return f"| {variant.file.file} | {variant.precision} | {variant.target} | {size} | - | - | - |"
    parity = variant.parity
    difference = f"{parity.max_probability_difference:.1e}, {parity.mean_probability_difference:.1e}"
    agreement = f"{parity.label_agreement:.1%}"
    cells = (variant.file.file, variant.precision, variant.target, size, str(parity.texts), difference, agreement)
    return f"| {' | '.join(cells)} |"
