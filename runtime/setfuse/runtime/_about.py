"""What a classifier runs on, told to people and programs."""

import sys
from dataclasses import dataclass

from ._choice import BF16_FLAGS, VNNI_FLAGS, Choice
from ._cpus import available_cpus
from ._engine import Engine

TOLD_FLAGS = {"avx2", "avx512f", "avx_vnni_int8", "amx_tile", *BF16_FLAGS, *VNNI_FLAGS}
"""What of a processor matters to the engines' kernels."""

_PACKAGES = {Engine.ONNXRUNTIME: ("onnxruntime", "onnxruntime-gpu"), Engine.OPENVINO: ("openvino",)}
"""The distributions that bring an engine."""


@dataclass(frozen=True, slots=True)
class About:
    """What runs, and why it was chosen. `json.dumps(dataclasses.asdict(about))` works.

    Attributes:
        engine: `onnxruntime` or `openvino`.
        engine_version: Its version; empty where it is not installed.
        precision: What the matrix products are computed in: `fp32`, `int8`, `fp16`, or `bf16`.
        target: The kind of device: `cpu` or `cuda`.
        file: The graph's file in the bundle.
        threads: Threads at work for one call.
        processor: What of the processor's abilities matters, as /proc/cpuinfo names them; none where not known.
        reason: Why, in one sentence.
    """

    engine: str
    engine_version: str
    precision: str
    target: str
    file: str
    threads: int
    processor: tuple[str, ...]
    reason: str

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
            target=str(choice.variant.target),
            file=choice.variant.file.file,
            threads=threads or available_cpus(),
            processor=tuple(sorted(TOLD_FLAGS & flags)),
            reason=choice.reason,
        )

    def __str__(self) -> str:
        version = self.engine_version or "(not installed)"
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        processor = ", ".join(self.processor) or "not known"
        return (
            f"{self.precision}/{self.target} ({self.file}) in {self.engine} {version}, {threads}; "
            f"processor: {processor}; {self.reason}"
        )


def _version(engine: Engine) -> str:
    loaded = sys.modules.get(engine)
    if loaded is not None:
        return str(loaded.__version__).partition("-")[0]  # OpenVINO tells its commit, too
    from importlib import metadata

    for package in _PACKAGES[engine]:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return ""
