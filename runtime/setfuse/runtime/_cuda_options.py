"""How a GPU is used: the argument `cuda` of `Classifier.load`."""

from dataclasses import dataclass

from ._errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaOptions:
    """How a GPU is used. TensorRT, which has settings of its own, goes by `streams` alone.

    Attributes:
        graphs: Whether runs of the usual shapes are captured as CUDA graphs when the classifier is loaded: a captured
            run starts all its kernels at once, which is most of the time of a short one.
        graph_memory_mb: MiB of the GPU's memory that capturing may take; what does not fit runs uncaptured.
        streams: How many runs may be on the GPU at once, each with its own copy of the weights.
        memory_mb: MiB of the GPU's memory that onnxruntime may take for each stream's weights and what is between the
            layers; None for all there is. CUDA's own libraries take theirs besides.
        attention: Which kernels may compute the attention, as the bits of onnxruntime's `sdpa_kernel`; None for what
            was measured on GPUs of this compute capability, or, where nothing was, onnxruntime's own choice.

    Raises:
        UsageError: A value is out of its range; raised on construction.
    """

    graphs: bool = True
    graph_memory_mb: int = 512
    streams: int = 2
    memory_mb: int | None = None
    attention: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.graphs, bool):
            raise UsageError(f"graphs: expected True or False, got {self.graphs!r:.60}")
        for name, least in (("graph_memory_mb", 0), ("streams", 1), ("memory_mb", 1), ("attention", 0)):
            value: object = getattr(self, name)
            if value is None and name in {"memory_mb", "attention"}:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UsageError(f"{name}: expected a whole number from {least}, got {value!r:.60}")
