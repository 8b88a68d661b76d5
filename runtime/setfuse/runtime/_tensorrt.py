"""Run the fp32 graph in TensorRT, which knows standard operators only, and rewrites them for one GPU."""

import hashlib
import os
from pathlib import Path

from ._buckets import BATCH_SIZES, length_buckets
from ._cuda_options import CudaOptions
from ._driver import Gpu
from ._errors import UsageError
from ._gpu import TENSORRT
from ._provider import Provider
from ._variant import Precision, Variant


def cache_folder(variant: Variant, gpu: Gpu) -> Path:
    """Give the folder where TensorRT keeps what it built, minutes of work, for the next process.

    Args:
        variant: The graph.
        gpu: What it was built for.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    key = hashlib.sha256(f"{variant.file.sha256} {gpu.name} {gpu.capability}".encode()).hexdigest()
    return home / "setfuse" / "tensorrt" / key[:16]


def profiles(variant: Variant, longest: int, max_tokens: int) -> dict[str, str]:
    """Write the shapes that will come, one profile a batch size, as onnxruntime takes them.

    Args:
        variant: The graph.
        longest: Tokens of the longest text.
        max_tokens: Upper bound on texts x padded tokens in one run; a longer text is a run of its own.
    """
    widths = length_buckets(longest)
    shapes = []
    for rows in BATCH_SIZES:
        fitting = [width for width in widths if rows == 1 or rows * width <= max_tokens]
        if fitting:
            shapes.append((rows, fitting[0], fitting[len(fitting) // 2], fitting[-1]))
    return {
        f"trt_profile_{kind}_shapes": ",".join(
            f"{tensor.name}:{shape[0]}x{shape[place]}" for shape in shapes for tensor in variant.inputs
        )
        for place, kind in enumerate(("min", "opt", "max"), start=1)
    }


def tensorrt(
    variant: Variant, gpu: Gpu, options: CudaOptions, precision: Precision, *, longest: int, max_tokens: int
) -> Provider:
    """Say how onnxruntime runs a graph in TensorRT.

    Args:
        variant: A graph of standard operators.
        gpu: Where.
        options: Of the GPU.
        precision: `fp16`, with the normalisations in fp32, or `fp32`.
        longest: As of `profiles`.
        max_tokens: As of `profiles`.

    Raises:
        UsageError: The folder of the cache cannot be made.
    """
    folder = cache_folder(variant, gpu)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UsageError(
            f"{folder}: expected a folder that TensorRT can keep its engines in: {error.strerror}; "
            "name another in XDG_CACHE_HOME"
        ) from error
    settings = {
        "trt_fp16_enable": str(int(precision is Precision.FP16)),
        "trt_layer_norm_fp32_fallback": "1",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        **profiles(variant, longest, max_tokens),
    }
    if gpu.index:
        settings["device_id"] = str(gpu.index)
    rest = Provider.cuda(gpu, options).chain  # what TensorRT leaves
    (name, cuda) = rest[0]
    return Provider(((TENSORRT, settings), (name, {**cuda, "enable_cuda_graph": "0"})), captures=False)
