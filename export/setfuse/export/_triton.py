"""Write a bundle's graph as a model of a Triton model repository, for Triton's onnxruntime backend."""

from collections.abc import Collection, Sequence
from pathlib import Path

from setfuse.runtime import (
    Manifest,
    OutputExists,
    Precision,
    Scores,
    Target,
    Tensor,
    UsageError,
    Variant,
    VariantNotFound,
    new_folder,
)

from ._errors import ExportError

MAX_BATCH_SIZE = 8
"""Texts that Triton may put into one run: about 256 tokens of short texts, from where larger batches gain nothing on a
CPU and only take memory."""

MAX_QUEUE_DELAY_MICROSECONDS = 100
"""How long Triton may hold a request back to wait for others: little beside the milliseconds of a run."""

VERSION = "1"
MODEL_FILE = "model.onnx"
LABELS_FILE = "labels.txt"

# The manifest admits no other types.
_DATA_TYPES = {"int64": "TYPE_INT64", "int32": "TYPE_INT32", "float": "TYPE_FP32"}
_INSTANCE_KINDS = {Target.CPU: "KIND_CPU", Target.CUDA: "KIND_GPU"}


def write_triton_repository(
    bundle: str | Path,
    out: str | Path,
    *,
    name: str | None = None,
    precision: str | None = None,
    max_batch_size: int = MAX_BATCH_SIZE,
    max_queue_delay_microseconds: int = MAX_QUEUE_DELAY_MICROSECONDS,
    overwrite: bool = False,
) -> Path:
    """Write one graph of a bundle as a model that Triton Inference Server can load.

    The model takes token ids; tokenizing stays with the caller, with the bundle's `tokenizer.json`. Triton joins only
    requests whose inputs have the same shape. With a mask, callers may pad to common lengths so that more are joined;
    a graph without one (int8) must be given every text at its own length.

    Args:
        bundle: The bundle folder.
        out: The model repository. Other models in it stay as they are.
        name: The model's name, which is its folder's in the repository; None for the bundle folder's.
        precision: Which graph; None for fp32, which takes padded batches, or what the bundle has instead.
        max_batch_size: Most texts in one run, 1 or more.
        max_queue_delay_microseconds: How long a request may wait for others, 0 or more.
        overwrite: Replace an existing model of that name, whole.

    Returns:
        The model's folder, `out/name`.

    Raises:
        UsageError: `name`, `precision`, `max_batch_size` or `max_queue_delay_microseconds` is out of its range.
        OutputExists: The model exists and `overwrite` is false, or it must not be replaced.
        BundleError: The folder is no bundle, is damaged, or has no such graph.
        ExportError: A label has a line break, which Triton's file of labels cannot hold.
    """
    source = Path(bundle)
    for option, value, least in (
        ("max_batch_size", max_batch_size, 1),
        ("max_queue_delay_microseconds", max_queue_delay_microseconds, 0),
    ):
        if not isinstance(value, int) or value < least:
            raise UsageError(f"{option}: expected a whole number of {least} or more, got {value!r}")
    model_name = source.resolve().name if name is None else name
    if Path(model_name).name != model_name or not model_name.isprintable() or model_name.strip() in {"", ".."}:
        raise UsageError(f"name: expected the name of a folder in the repository, got {model_name!r}")
    manifest = Manifest.read(source)
    variant = _variant(manifest, precision)
    labels = _labels_file(manifest.labels)
    config = _config(model_name, variant, max_batch_size, max_queue_delay_microseconds)
    model = Path(out) / model_name
    with new_folder(model, overwrite=overwrite, keep=(bundle,)) as staging:
        (staging / VERSION).mkdir()
        (staging / VERSION / MODEL_FILE).write_bytes(variant.file.read(source))
        (staging / LABELS_FILE).write_text(labels, encoding="utf-8")
        (staging / "config.pbtxt").write_text(config, encoding="utf-8")
    return model


def check_triton_output(
    bundle: str | Path, out: str | Path, *, overwrite: bool, keep: Collection[str | Path] = ()
) -> None:
    """Refuse what `write_triton_repository` would refuse, before the minutes that an export can take.

    Args:
        bundle: The bundle folder that is going to be written.
        out: The model repository.
        overwrite: Whether an existing model of the bundle's name may be replaced.
        keep: What the export reads from: the model may be none of it and contain none of it.

    Raises:
        OutputExists: The model exists and `overwrite` is false, or it would replace the bundle or what is to be kept.
    """
    source = Path(bundle).expanduser().resolve()
    model = Path(out).expanduser().resolve() / source.name
    for kept in (source, *keep):
        if Path(kept).expanduser().resolve().is_relative_to(model):
            raise OutputExists(f"{model}: the model there would replace {kept}; choose another model repository")
    if model.exists() and not overwrite:
        raise OutputExists(f"{model}: the model exists; pass --overwrite to replace it whole")


def _variant(manifest: Manifest, precision: str | None) -> Variant:
    # Triton's onnxruntime has no operators of onnxruntime-extensions.
    variants = [variant for variant in manifest.variants if not variant.takes_strings]
    if precision is None and variants:
        return min(variants, key=lambda variant: variant.precision is not Precision.FP32)
    if precision is not None and precision not in list(Precision):
        raise UsageError(f"precision: expected one of {', '.join(Precision)}, got {precision!r}")
    found = [variant for variant in variants if variant.precision == precision]
    if not found:
        has = ", ".join(str(variant) for variant in manifest.variants)
        raise VariantNotFound(
            f"the bundle has no {precision or 'such'} graph for Triton (has: {has}); ask for one of these, or export it"
        )
    return found[0]


def _labels_file(labels: Sequence[str]) -> str:
    """Write the labels, one a line.

    Raises:
        ExportError: One has a line break.
    """
    for label in labels:
        if "\n" in label:
            raise ExportError(
                f"labels: expected labels of one line, as Triton's {LABELS_FILE} holds them, got {label!r}"
            )
    return "".join(f"{label}\n" for label in labels)


def _config(name: str, variant: Variant, max_batch_size: int, max_queue_delay_microseconds: int) -> str:
    """Write the text of `config.pbtxt`: a ModelConfig message in protobuf's text format."""
    masked = len(variant.inputs) > 1
    batching = (
        "Requests of equal shape are joined. Shorter texts may be padded, with 0 in attention_mask at the padding."
        if masked
        else "Requests of equal shape are joined. There is no mask: never pad, send each text at its own length."
    )
    inputs = ",\n".join(_tensor(tensor) for tensor in variant.inputs)
    outputs = ",\n".join(_tensor(tensor) for tensor in variant.outputs)
    # Triton's documentation advises against preferred batch sizes unless some size is much faster, and none is here.
    return f"""\
name: {_quoted(name)}
backend: "onnxruntime"
max_batch_size: {max_batch_size}
input [
{inputs}
]
output [
{outputs}
]
# {batching}
dynamic_batching {{
  max_queue_delay_microseconds: {max_queue_delay_microseconds}
}}
instance_group [
  {{
    count: 1
    kind: {_INSTANCE_KINDS[variant.target]}
  }}
]
# Threads inside one run; 0 for as many as there are cores. With more instances, divide the cores among them.
parameters {{
  key: "intra_op_thread_count"
  value {{ string_value: "0" }}
}}
"""


def _tensor(tensor: Tensor) -> str:
    """Write an input or output; Triton puts the batch axis before `dims` itself."""
    dims = ", ".join(str(size) if isinstance(size, int) else "-1" for size in tensor.shape[1:])
    lines = [f"name: {_quoted(tensor.name)}", f"data_type: {_DATA_TYPES[tensor.dtype]}", f"dims: [ {dims} ]"]
    if tensor.name in list(Scores):
        lines.append(f'label_filename: "{LABELS_FILE}"')
    return "  {\n" + "".join(f"    {line}\n" for line in lines) + "  }"


def _quoted(text: str) -> str:
    """Write a string of protobuf's text format; any bytes but these two and control characters stand for themselves."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
