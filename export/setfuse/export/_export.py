"""The export: checkpoint folder in, bundle folder out."""

import dataclasses
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import onnx
import tokenizers
from onnx import TensorProto
from tqdm import tqdm

from setfuse.runtime import (
    FORMAT_VERSION,
    BundleFile,
    Classifier,
    Manifest,
    Precision,
    Target,
    Tensor,
    UsageError,
    Variant,
    new_folder,
)

from ._calibration_texts import CALIBRATION_TEXTS
from ._card import bundle_card
from ._check_texts import CHECK_TEXTS
from ._checkpoint import Checkpoint, read_checkpoint
from ._fuse import FILES, SUPPORTED_PRECISIONS, TARGETS, fuse
from ._strings import STRINGS_FILE, check_strings_in, fuse_with_tokenizer
from ._strings_check import check_strings
from ._validate import Answers, answer_padded, check_interface, compare

BATCH_SIZE = 16
"""Texts a batch of torch's answers and of the padded run: large enough that most rows are padded."""


def export(
    checkpoint: str | Path,
    bundle: str | Path,
    precisions: Sequence[str] = ("fp32",),
    *,
    calibrate_on: Sequence[str] = CALIBRATION_TEXTS,
    strings_in: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> Manifest:
    """Turn a checkpoint into a bundle, and prove that the two answer alike.

    Each graph is compared with torch on texts of mixed lengths and scripts before the bundle gets its name; the
    figures are written into `bundle.json` and the bundle's README.

    Args:
        checkpoint: A folder that `train` wrote.
        bundle: The folder to write.
        precisions: Which graphs to write: `fp32`, `int8`.
        calibrate_on: Texts that show int8 what the activations span, a hundred or so; the more like those to be
            classified, the better. The default are ordinary texts of many kinds.
        strings_in: Also write `model.strings.onnx`, with the tokenizer inside, for programs in Python, C#, Java or C++
            that run it with onnxruntime-extensions. It repeats the int8 graph, or the fp32 graph where there is none.
        overwrite: Replace an existing folder, whole.
        progress: Show a progress bar on stderr.

    Returns:
        The manifest that was written.

    Raises:
        UsageError: A precision that does not exist or is not supported yet, or no text to calibrate on.
        OutputExists: `bundle` exists and `overwrite` is false, or it must not be replaced.
        CheckpointError: `checkpoint` is none, or is damaged.
        UnsupportedCheckpoint: Its architecture, modules or head are not supported yet, or its tokenizer is not of
            BERT's kind and was to be put inside a graph.
        MissingExtra: `strings_in` without onnxruntime-extensions.
        ParityError: A graph does not answer as torch does; nothing was written.
    """
    wanted = _precisions(precisions)
    if isinstance(calibrate_on, str) or not calibrate_on:
        raise UsageError(f"calibrate_on: expected a list of texts, got {calibrate_on!r}")
    with (
        new_folder(bundle, overwrite=overwrite, keep=(checkpoint,)) as staging,
        tqdm(total=2 + 3 * len(wanted) + strings_in, desc="export", disable=not progress, bar_format=_BAR) as bar,
    ):
        bar.set_postfix_str("reading the checkpoint")
        source = read_checkpoint(checkpoint)
        if strings_in:
            check_strings_in(source)
        tokenizer = _write_tokenizer(source, staging)
        bar.update()
        bar.set_postfix_str("asking torch for its answers")
        from ._oracle import TorchOracle  # seconds of importing torch, after all that can be refused without it

        oracle = TorchOracle(source)
        torch_answers = oracle.answer(CHECK_TEXTS, batch_size=BATCH_SIZE)
        torch_again = oracle.answer(CHECK_TEXTS, batch_size=1)
        bar.update()
        variants: list[Variant] = []
        for precision in wanted:
            bar.set_postfix_str(f"writing the {precision} graph")
            variant = _write_variant(source, precision, staging, calibrate_on)
            manifest = _manifest(source, tokenizer, [variant])
            manifest.write(staging)
            bar.update()
            bar.set_postfix_str(f"running the {precision} graph")
            classifier = Classifier.load(staging, precision=precision)
            ways = [Answers(classifier.predict_proba(CHECK_TEXTS), classifier.embed(CHECK_TEXTS))]
            if len(variant.inputs) > 1:  # it takes a mask: other users of the file will pad
                ways.append(answer_padded(staging, manifest, variant, CHECK_TEXTS, BATCH_SIZE))
            bar.update()
            bar.set_postfix_str(f"comparing the {precision} graph with torch")
            parity = compare(precision, ways, torch_answers, torch_again, texts=CHECK_TEXTS, labels=source.labels)
            variants.append(dataclasses.replace(variant, parity=parity))
            bar.update()
        manifest = _manifest(source, tokenizer, variants)
        if strings_in:
            bar.set_postfix_str("putting the tokenizer inside")
            manifest = _with_strings(manifest, source, staging, torch_answers, torch_again)
            bar.update()
        manifest.write(staging)
        (staging / "README.md").write_text(bundle_card(manifest), encoding="utf-8")
        bar.set_postfix_str("")
    return manifest


_BAR = "{desc}: {percentage:3.0f}%|{bar:20}| {elapsed}{postfix}"


def _precisions(precisions: Sequence[str]) -> list[Precision]:
    if isinstance(precisions, str):
        raise UsageError(f'precisions: expected a list such as ("fp32",), got the string {precisions!r}')
    wanted = list(dict.fromkeys(str(precision) for precision in precisions))
    for precision in wanted or [""]:
        if precision not in list(SUPPORTED_PRECISIONS):
            known = "is not supported yet" if precision in list(Precision) else "is none"
            supported = ", ".join(SUPPORTED_PRECISIONS)
            raise UsageError(f"precisions: expected some of {supported}; {precision!r} {known}")
    return [Precision(precision) for precision in wanted]


def _write_tokenizer(source: Checkpoint, folder: Path) -> BundleFile:
    path = folder / "tokenizer.json"
    tokenizers.Tokenizer.from_str(source.tokenizer).save(str(path), pretty=False)
    return BundleFile.of(path)


def _write_variant(source: Checkpoint, precision: Precision, folder: Path, calibrate_on: Sequence[str]) -> Variant:
    model = fuse(source, precision, FORMAT_VERSION, calibrate_on)
    check_interface(model, source.labels, takes_mask=precision is Precision.FP32)
    path = folder / FILES[precision]
    onnx.save(model, path)
    return Variant(
        file=BundleFile.of(path),
        precision=precision,
        target=TARGETS[precision],
        inputs=tuple(_tensor(value) for value in model.graph.input),
        outputs=tuple(_tensor(value) for value in model.graph.output),
    )


def _with_strings(
    manifest: Manifest, source: Checkpoint, folder: Path, torch_answers: Answers, torch_again: Answers
) -> Manifest:
    """Add the graph with the tokenizer inside to a bundle."""
    inner = manifest.variant(precision=None, target=Target.CPU)
    model = fuse_with_tokenizer(source, onnx.load(folder / inner.file.file))
    report = check_strings(source, model, inner.precision, torch_answers, torch_again, texts=CHECK_TEXTS)
    onnx.save(model, folder / STRINGS_FILE)
    variant = Variant(
        file=BundleFile.of(folder / STRINGS_FILE),
        precision=inner.precision,
        target=inner.target,
        inputs=tuple(_tensor(value) for value in model.graph.input),
        outputs=tuple(_tensor(value) for value in model.graph.output),
        parity=report.parity,
        note=(
            f"repeats the weights of {inner.file.file} with the tokenizer inside, for programs that have none; its "
            f"token ids are other than the tokenizer's on {len(report.ids_differ)} of {report.texts} check texts"
        ),
    )
    provenance = {**manifest.provenance, "strings_in": report.to_json()}
    return dataclasses.replace(manifest, variants=(*manifest.variants, variant), provenance=provenance)


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    return Tensor(
        name=value.name,
        dtype=TensorProto.DataType.Name(kind.elem_type).lower(),
        shape=tuple(dim.dim_param or dim.dim_value for dim in kind.shape.dim),
    )


def _manifest(source: Checkpoint, tokenizer: BundleFile, variants: Sequence[Variant]) -> Manifest:
    libraries = ("setfuse", "onnx", "onnxruntime", "torch", "sentence-transformers", "transformers", "scikit-learn")
    return Manifest(
        labels=source.labels,
        max_length=source.max_length,
        embedding_dim=source.width,
        tokenizer=tokenizer,
        variants=tuple(variants),
        prompt=source.prompt,
        provenance={
            "head": "LogisticRegression",
            "family": source.encoder.family,
            "modules": [str(module) for module in (source.pooling, *source.modules)],
            "training": dict(source.training),
            "exported_with": {name: importlib.metadata.version(name) for name in libraries},
        },
    )
