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
    Tensor,
    UsageError,
    Variant,
    new_folder,
)

from ._calibration_texts import CALIBRATION_TEXTS
from ._card import bundle_card
from ._check_texts import CHECK_TEXTS
from ._checkpoint import Checkpoint, read_checkpoint
from ._fuse import FILES, SUPPORTED_PRECISIONS, TARGETS, TRACED_PRECISIONS, fuse
from ._optimum import Via
from ._traced import TracedEncoder
from ._validate import Answers, answer_padded, check_interface, compare

BATCH_SIZE = 16
"""Texts a batch of torch's answers and of the padded run: large enough that most rows are padded."""


def export(
    checkpoint: str | Path,
    bundle: str | Path,
    precisions: Sequence[str] = ("fp32",),
    *,
    calibrate_on: Sequence[str] = CALIBRATION_TEXTS,
    via: str = Via.AUTHORED,
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
        via: `authored` writes the encoder's graph from its weights. `optimum` has optimum's exporter trace it, for
            architectures that are not authored; it runs in an environment of its own, named by
            `SETFUSE_OPTIMUM_PYTHON`, and gives fp32 only.
        overwrite: Replace an existing folder, whole.
        progress: Show a progress bar on stderr.

    Returns:
        The manifest that was written.

    Raises:
        UsageError: A precision or way that does not exist or is not supported yet, or no text to calibrate on.
        OutputExists: `bundle` exists and `overwrite` is false, or it must not be replaced.
        CheckpointError: `checkpoint` is none, or is damaged.
        UnsupportedCheckpoint: Its architecture, modules or head are not supported yet.
        MissingExtra: It goes through optimum, and there is none; the message says what to install.
        ExportError: optimum failed.
        ParityError: A graph does not answer as torch does; nothing was written.
    """
    wanted = _precisions(precisions)
    way = _way(via, wanted)
    if isinstance(calibrate_on, str) or not calibrate_on:
        raise UsageError(f"calibrate_on: expected a list of texts, got {calibrate_on!r}")
    with (
        new_folder(bundle, overwrite=overwrite, keep=(checkpoint,)) as staging,
        tqdm(total=2 + 3 * len(wanted), desc="export", disable=not progress, bar_format=_BAR) as bar,
    ):
        bar.set_postfix_str("reading the checkpoint")
        source = read_checkpoint(checkpoint, way)
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


def _way(via: str, precisions: Sequence[Precision]) -> Via:
    if via not in list(Via):
        raise UsageError(f"via: expected one of {', '.join(Via)}; got {via!r}")
    refused = [precision for precision in precisions if precision not in TRACED_PRECISIONS]
    if via == Via.OPTIMUM and refused:  # here too, before half a minute is spent on tracing
        raise UsageError(
            f"precisions: expected some of {', '.join(TRACED_PRECISIONS)} via optimum, got {refused[0]}: not supported"
        )
    return Via(via)


def _write_tokenizer(source: Checkpoint, folder: Path) -> BundleFile:
    """Write the body's tokenizer with no padding and with its own truncation, whatever the checkpoint's file says."""
    tokenizer = tokenizers.Tokenizer.from_str(source.tokenizer)
    tokenizer.no_padding()
    tokenizer.enable_truncation(source.max_length)
    path = folder / "tokenizer.json"
    tokenizer.save(str(path), pretty=False)
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
        embedding_dim=source.encoder.hidden,
        tokenizer=tokenizer,
        variants=tuple(variants),
        provenance={
            "encoder": str(Via.OPTIMUM if isinstance(source.encoder, TracedEncoder) else Via.AUTHORED),
            "head": "LogisticRegression",
            "pooling": str(source.pooling),
            "normalize": source.normalize,
            "training": dict(source.training),
            "exported_with": {name: importlib.metadata.version(name) for name in libraries},
        },
    )
