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
    Task,
    Tensor,
    UsageError,
    Variant,
    new_folder,
)

from ._calibration_texts import CALIBRATION_TEXTS
from ._card import bundle_card
from ._check_set import CheckData, CheckSet, read_check_set
from ._checkpoint import Checkpoint, read_checkpoint
from ._fuse import FILES, TARGETS, TRACED_PRECISIONS, fuse
from ._optimum import Via
from ._run_graph import answer, answer_alone, answer_padded
from ._strings import STRINGS_FILE, check_strings_in, fuse_with_tokenizer
from ._strings_check import check_strings
from ._traced import TracedEncoder
from ._validate import Answers, Reference, check_interface, compare

BATCH_SIZE = 16
"""Texts a batch of torch's answers and of the padded run: large enough that most rows are padded."""

DEFAULT_PRECISIONS = (Precision.FP32, Precision.INT8)


def export(
    checkpoint: str | Path,
    bundle: str | Path,
    precisions: Sequence[str] | None = None,
    *,
    check_on: CheckData | None = None,
    calibrate_on: Sequence[str] = CALIBRATION_TEXTS,
    via: str = Via.AUTHORED,
    allow_mismatch: bool = False,
    strings_in: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> Manifest:
    """Turn a checkpoint into a bundle, and prove that the two answer alike.

    Each graph is compared with torch before the bundle gets its name; the figures are written into `bundle.json` and
    the bundle's README.

    Args:
        checkpoint: A folder that `train` or SetFit wrote, a sentence-transformers folder with a head beside it, or the
            name of one on the Hub.
        bundle: The folder to write.
        precisions: Which graphs to write: `fp32`, `int8`, `fp16`; None for the first two, or, via optimum
            and for heads that jump at a small change of the embedding (forests, neighbours), the first.
        check_on: Texts to compare on: a JSON lines file with `text` and perhaps `label`, or labelled rows; with labels,
            the accuracies are measured too. The default are the project's own, of mixed lengths and scripts.
        calibrate_on: Texts that show int8 what the activations span, a hundred or so; the more like those to be
            classified, the better. The default are ordinary texts of many kinds.
        via: `authored` writes the encoder's graph from its weights. `optimum` has optimum's exporter trace it, for
            architectures that are not authored; it runs in an environment of its own, named by
            `SETFUSE_OPTIMUM_PYTHON`, and gives fp32 only.
        allow_mismatch: Write the bundle even if a graph is further off than its precision explains, and note it there.
        strings_in: Also write `model.strings.onnx`, with the tokenizer inside, for programs in Python, C#, Java or C++
            that run it with onnxruntime-extensions. It repeats the int8 graph, or the fp32 graph where there is none.
        overwrite: Replace an existing folder, whole.
        progress: Show a progress bar on stderr.

    Returns:
        The manifest that was written.

    Raises:
        UsageError: A precision or way that does not exist, or no text to calibrate on.
        OutputExists: `bundle` exists and `overwrite` is false, or it must not be replaced.
        DatasetError: `check_on` cannot be read, or has labels that are none of the checkpoint's.
        CheckpointError: `checkpoint` is none, or is damaged.
        UnsupportedCheckpoint: Its architecture, modules or head are not supported, or its tokenizer is not of BERT's
            kind and was to be put inside a graph.
        MissingExtra: It goes through optimum, and there is none, or `strings_in` without onnxruntime-extensions; the
            message says what to install.
        ExportError: optimum failed.
        ParityError: A graph does not answer as torch does; nothing was written.
    """
    way = _way(via)
    wanted = _precisions(precisions, way)
    if isinstance(calibrate_on, str) or not calibrate_on:
        raise UsageError(f"calibrate_on: expected a list of texts, got {calibrate_on!r}")
    if strings_in and not set(wanted) & {Precision.FP32, Precision.INT8}:
        raise UsageError("strings_in: expected fp32 or int8 among the precisions, since it repeats one of these")
    keep = [path for path in (checkpoint, check_on) if isinstance(path, str | Path) and Path(path).exists()]
    with (
        new_folder(bundle, overwrite=overwrite, keep=tuple(keep)) as staging,
        tqdm(total=2 + 2 * len(wanted) + strings_in, desc="export", disable=not progress, bar_format=_BAR) as bar,
    ):
        bar.set_postfix_str("reading the checkpoint")
        source = read_checkpoint(checkpoint, way)
        if strings_in:
            check_strings_in(source)
        if precisions is None and source.head.has_steps:
            wanted = [Precision.FP32]  # where a head jumps, rounding the embedding makes another classifier
        checks = read_check_set(check_on, source)
        tokenizer = _write_tokenizer(source, staging)
        bar.update()
        bar.set_postfix_str("asking torch for its answers")
        reference = _ask_torch(source, checks)
        bar.update()
        variants: list[Variant] = []
        for precision in wanted:
            bar.set_postfix_str(f"writing the {precision} graph")
            variant = _write_variant(source, precision, staging, calibrate_on)
            bar.update()
            bar.set_postfix_str(f"comparing the {precision} graph with torch")
            manifest = _manifest(source, tokenizer, [variant])
            ways = _ask_graph(staging, manifest, variant, checks.texts)
            parity = compare(precision, ways, reference, allow_mismatch=allow_mismatch)
            variants.append(dataclasses.replace(variant, parity=parity))
            bar.update()
        manifest = _manifest(source, tokenizer, variants)
        if strings_in:
            bar.set_postfix_str("putting the tokenizer inside")
            manifest = _with_strings(manifest, source, staging, reference, allow_mismatch=allow_mismatch)
            bar.update()
        manifest.write(staging)
        (staging / "README.md").write_text(bundle_card(manifest), encoding="utf-8")
        bar.set_postfix_str("")
    return manifest


_BAR = "{desc}: {percentage:3.0f}%|{bar:20}| {elapsed}{postfix}"


def _precisions(precisions: Sequence[str] | None, way: Via) -> list[Precision]:
    supported = TRACED_PRECISIONS if way is Via.OPTIMUM else tuple(Precision)
    if precisions is None:
        return [precision for precision in DEFAULT_PRECISIONS if precision in supported]
    if isinstance(precisions, str):
        raise UsageError(f'precisions: expected a list such as ("fp32",), got the string {precisions!r}')
    wanted = list(dict.fromkeys(str(precision) for precision in precisions))
    for precision in wanted or ["nothing"]:
        if precision not in list(supported):
            via = " via optimum" if way is Via.OPTIMUM else ""
            raise UsageError(f"precisions: expected some of {', '.join(supported)}{via}, got {precision!r}")
    return [Precision(precision) for precision in wanted]


def _way(via: str) -> Via:
    if via not in list(Via):
        raise UsageError(f"via: expected one of {', '.join(Via)}; got {via!r}")
    return Via(via)


def _ask_torch(source: Checkpoint, checks: CheckSet) -> Reference:
    from ._oracle import TorchOracle  # seconds of importing torch, after all that can be refused without it

    oracle = TorchOracle(source)
    return Reference(
        checks=checks,
        torch=oracle.answer(checks.texts, batch_size=BATCH_SIZE),
        torch_again=oracle.answer(checks.texts, batch_size=1),
        labels=source.labels,
        multi_label=source.head.multi_label,
        scores=source.head.scores,
        judge=source.head.answer if source.head.has_steps else None,
    )


def _ask_graph(folder: Path, manifest: Manifest, variant: Variant, texts: Sequence[str]) -> list[Answers]:
    """Run a graph in every way that its users may."""
    if variant.target is Target.CUDA:  # on the CPU, which is slow at it, since the machine that exports may have no GPU
        return [answer_padded(folder, manifest, variant, texts, batch_size) for batch_size in (1, BATCH_SIZE)]
    manifest.write(folder)
    classifier = Classifier.load(folder, precision=variant.precision)
    ways = [answer(classifier, texts)]
    if len(variant.inputs) > 1:  # it takes a mask: other users of the file will pad
        ways.append(answer_padded(folder, manifest, variant, texts, BATCH_SIZE))
    else:
        ways.append(answer_alone(classifier, texts))
    return ways


def _write_tokenizer(source: Checkpoint, folder: Path) -> BundleFile:
    path = folder / "tokenizer.json"
    tokenizers.Tokenizer.from_str(source.tokenizer).save(str(path), pretty=False)
    return BundleFile.of(path)


def _write_variant(source: Checkpoint, precision: Precision, folder: Path, calibrate_on: Sequence[str]) -> Variant:
    model = fuse(source, precision, FORMAT_VERSION, calibrate_on)
    takes_mask = precision is not Precision.INT8
    check_interface(model, source.labels, takes_mask=takes_mask, scores=source.head.scores)
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
    manifest: Manifest, source: Checkpoint, folder: Path, reference: Reference, *, allow_mismatch: bool
) -> Manifest:
    """Add the graph with the tokenizer inside to a bundle."""
    inner = manifest.variant(precision=None, target=Target.CPU)
    model = fuse_with_tokenizer(source, onnx.load(folder / inner.file.file))
    report = check_strings(source, model, inner.precision, reference, allow_mismatch=allow_mismatch)
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
        task=Task.MULTI_LABEL if source.head.multi_label else Task.SINGLE_LABEL,
        scores=source.head.scores,
        prompt=source.prompt,
        provenance={
            "encoder": str(Via.OPTIMUM if isinstance(source.encoder, TracedEncoder) else Via.AUTHORED),
            "head": source.head.kind,
            "family": source.encoder.family,
            "modules": [str(module) for module in (source.pooling, *source.modules)],
            "training": dict(source.training),
            "exported_with": {name: importlib.metadata.version(name) for name in libraries},
        },
    )
