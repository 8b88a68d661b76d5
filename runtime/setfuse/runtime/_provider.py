"""What runs a graph on a GPU in onnxruntime: its provider for CUDA, with its settings."""

from dataclasses import dataclass
from typing import Self

from ._cuda_options import CudaOptions
from ._driver import Gpu
from ._gpu import CUDA

SDPA_KERNELS: dict[tuple[int, int], int] = {}
"""Which attention kernels were fastest, as the bits of `sdpa_kernel`, by compute capability.

What `python -m benchmarks.gpu` records is entered here. Nothing has been measured yet: onnxruntime chooses.
"""


@dataclass(frozen=True, slots=True)
class Provider:
    """Of onnxruntime's providers, what runs a graph on a GPU.

    Attributes:
        chain: As `InferenceSession` takes them, each with its options, the one that matters first.
        captures: Whether it replays runs that gave the id of a graph.
    """

    chain: tuple[tuple[str, dict[str, str]], ...]
    captures: bool

    @property
    def name(self) -> str:
        """Of the one that matters."""
        return self.chain[0][0]

    @classmethod
    def cuda(cls, gpu: Gpu, options: CudaOptions) -> Self:
        """Run the graph in onnxruntime's CUDA provider."""
        chosen = options.attention if options.attention is not None else SDPA_KERNELS.get(gpu.capability, 0)
        settings = {
            "arena_extend_strategy": "kSameAsRequested",
            "enable_cuda_graph": str(int(options.graphs)),
            "sdpa_kernel": str(chosen),
            "use_tf32": "0",  # what is float32 in the graph is float32
        }
        if gpu.index:  # of the first one release 1.31 warns, on stderr, that no plugin has it
            settings["device_id"] = str(gpu.index)
        if options.memory_mb is not None:
            settings["gpu_mem_limit"] = str(options.memory_mb * 2**20)
        return cls(((CUDA, settings),), captures=options.graphs)
