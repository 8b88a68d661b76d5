"""The bundle's README: what it is, how it compares with the checkpoint, how to use it."""

from collections.abc import Sequence

from setfuse.runtime import Manifest, Parity, Precision, Variant


def bundle_card(manifest: Manifest) -> str:
    """Write the card of a bundle in Markdown."""
    training = manifest.provenance.get("training")
    base = training.get("base_model", "unknown") if isinstance(training, dict) else "unknown"
    labels = "\n".join(f"- `{' '.join(label.split())}`" for label in manifest.labels)
    rows = "\n".join(_row(variant) for variant in manifest.variants)
    notes = _notes(manifest.variants)
    return f"""\
---
tags:
- setfuse
- setfit
- onnx
- text-classification
pipeline_tag: text-classification
library_name: setfuse
---

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
{notes}{_strings_in(manifest)}"""


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
    cells += [_checked_on(parity), difference, agreement, *accuracies]
    return f"| {' | '.join(cells)} |"


def _checked_on(parity: Parity) -> str:
    if parity.checked_on in {"built-in texts", "texts of the caller"}:
        return f"{parity.texts} {parity.checked_on}"
    return f"{parity.texts} {'texts' if parity.texts > 1 else 'text'} of {parity.checked_on}"


def _notes(variants: Sequence[Variant]) -> str:
    """Say what was allowed and what else there is to say, a line each; strings in has a section for its own note."""
    notes = [(variant, variant.note) for variant in variants if not variant.takes_strings]
    notes += [
        (variant, f"allowed: {variant.parity.allowed_mismatch}")
        for variant in variants
        if variant.parity and variant.parity.allowed_mismatch
    ]
    return "".join(f"\n`{variant.file.file}`: {note}\n" for variant, note in notes if note)


_EXACT_INT8 = '# On x86 without VNNI: options.add_session_config_entry("session.x64quantprecision", "1")\n'


def _strings_in(manifest: Manifest) -> str:
    """Write the section on the graph that takes strings; nothing where there is none."""
    variant = next((variant for variant in manifest.variants if variant.takes_strings), None)
    report = manifest.provenance.get("strings_in")
    if variant is None or not isinstance(report, dict):
        return ""
    outputs = ", ".join(f"`{output.name}`" for output in variant.outputs)
    exact = _EXACT_INT8 if variant.precision is Precision.INT8 else ""
    return f"""
## Strings in: `{variant.file.file}`
The same classifier with the tokenizer inside (the operator `BertTokenizer` of onnxruntime-extensions), for programs in
Python, C#, Java and C++: `text`, strings (batch,), in; {outputs} out.
```python
import numpy as np
import onnxruntime
import onnxruntime_extensions

options = onnxruntime.SessionOptions()
options.register_custom_ops_library(onnxruntime_extensions.get_library_path())
{exact}session = onnxruntime.InferenceSession("path/to/this/folder/{variant.file.file}", options)
print(session.run(["label"], {{"text": np.array(["a text"], dtype=object)}}))
```
It {variant.note}. Where they differ, so may the answers. Ordinary English, in printable ASCII, gets the
tokenizer's own: the export stops otherwise. A sample of each other kind was compared.
- Equal: {"; ".join(report["kinds_equal"])}.
- Not equal: {"; ".join(report["kinds_differ"])}.
"""
