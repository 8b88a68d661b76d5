"""What a classifier runs on, told to people and programs."""

import sys
from dataclasses import dataclass

from ._choice import BF16_FLAGS, VNNI_FLAGS, Choice
from ._cpus import available_cpus
from ._engine import Engine

TOLD_FLAGS = {"avx2", "avx512f", "avx_vnni_int8", "amx_tile", *BF16_FLAGS, *VNNI_FLAGS}
"""What of a processor matters to the engines' kernels."""

_PACKAGES = {"onnxruntime": ("onnxruntime", "onnxruntime-gpu"), "openvino": ("openvino",)}
"""The distributions that bring a package."""


@dataclass(frozen=True, slots=True)
class About:
    """What runs, and why it was chosen. `json.dumps(dataclasses.asdict(about))` works.

    Attributes:
        engine: `onnxruntime`, `openvino`, or `tensorrt`, which is in onnxruntime.
        engine_version: The package's version; empty where it is not installed.
        precision: What the matrix products are computed in: `fp32`, `int8`, `fp16`, or `bf16`.
        target: The kind of device: `cpu` or `cuda`.
        file: The graph's file in the bundle.
        threads: Threads at work for one call; 1 on a GPU.
        processor: What of the processor's abilities matters, as /proc/cpuinfo names them; none where not known.
        reason: Why, in one sentence.
        gpu: The GPU, as its driver names it; empty for the CPU.
    """

    engine: str
    engine_version: str
    precision: str
    target: str
    file: str
    threads: int
    processor: tuple[str, ...]
    reason: str
    gpu: str = ""

    @classmethod
    def of(cls, choice: Choice, threads: int | None, flags: frozenset[str]) -> "About":
        """Describe a choice.

        Args:
            choice: What runs.
            threads: At work for one call; None for as many as this process may use.
            flags: What the processor can do.
        """
        return cls(
            engine=str(choice.engine),
            engine_version=_version(choice.engine),
            precision=choice.precision,
            target=str(choice.target),
            file=choice.variant.file.file,
            threads=(threads or available_cpus()) if choice.gpu is None else 1,
            processor=tuple(sorted(TOLD_FLAGS & flags)),
            reason=choice.reason,
            gpu="" if choice.gpu is None else str(choice.gpu),
        )

    def __str__(self) -> str:
        version = self.engine_version or "(not installed)"
        engine = "tensorrt, in onnxruntime" if self.engine == Engine.TENSORRT else self.engine
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        processor = ", ".join(self.processor) or "not known"
        where = f"on {self.gpu}" if self.gpu else f"{threads}; processor: {processor}"
        return f"{self.precision}/{self.target} ({self.file}) in {engine} {version}, {where}; {self.reason}"


def _version(engine: Engine) -> str:
    loaded = sys.modules.get(engine.package)
    if loaded is not None:
        return str(loaded.__version__).partition("-")[0]  # OpenVINO tells its commit, too
    from importlib import metadata

    for package in _PACKAGES[engine.package]:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return ""
