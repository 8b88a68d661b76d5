"""Everyone who is timed on a GPU: a line each, in the order of the tables, those last that take long to load."""

from ._system import HEAD, GpuContender

RUNTIME = "setfuse"
CAPTURED = "setfuse graph captured"
PLAIN = "setfuse graph"

REFERENCES = (RUNTIME, CAPTURED, PLAIN)
"""Whom all others are compared with: the first of them that was measured."""

_FP16 = "bundle/model.fp16.onnx"
_TORCH = ("checkpoint", f"inputs/{HEAD}")

_ALL = [
    GpuContender(
        name=RUNTIME,
        description="our runtime, CUDA graphs over its buckets of shapes",
        system="_runtime:Runtime",
        arithmetic="fp16",
        reads=(_FP16,),
        options={"graphs": "yes"},
        ours=True,
        engine=False,
    ),
    GpuContender(
        name="setfuse without CUDA graphs",
        description="our runtime, every kernel launched by the processor",
        system="_runtime:Runtime",
        arithmetic="fp16",
        reads=(_FP16,),
        options={"graphs": "no"},
        ours=True,
        engine=False,
    ),
    GpuContender(
        name=CAPTURED,
        description="the bundle's fp16 graph in bare onnxruntime, a CUDA graph a shape",
        system="_session:Graph",
        arithmetic="fp16",
        reads=(_FP16,),
        options={"file": _FP16, "graphs": "yes"},
        ours=True,
    ),
    GpuContender(
        name=PLAIN,
        description="the bundle's fp16 graph in bare onnxruntime",
        system="_session:Graph",
        arithmetic="fp16",
        reads=(_FP16,),
        options={"file": _FP16},
        ours=True,
    ),
    GpuContender(
        name="setfuse packed",
        description="the padding-free fp16 graph in bare onnxruntime",
        system="_packing:Packed",
        arithmetic="fp16",
        reads=("inputs/packed.fp16.onnx",),
        options={"file": "inputs/packed.fp16.onnx"},
        ours=True,
    ),
    GpuContender(
        name="onnxruntime traced",
        description="the checkpoint as torch traces it, fp32, in bare onnxruntime",
        system="_session:Graph",
        arithmetic="fp32",
        reads=("inputs/traced.onnx",),
        options={"file": "inputs/traced.onnx"},
    ),
    GpuContender(
        name="onnxruntime traced fp16",
        description="the same after onnxruntime's own fusions and fp16, as optimum's O4 has it",
        system="_session:Graph",
        arithmetic="fp16",
        reads=("inputs/traced.fp16.onnx",),
        options={"file": "inputs/traced.fp16.onnx"},
    ),
    GpuContender(
        name="torch fp16",
        description="sentence-transformers in fp16, eager",
        system="_torch:Torch",
        arithmetic="fp16",
        reads=_TORCH,
    ),
    GpuContender(
        name="torch fp16 flash",
        description="the same, attention by torch's flash kernel, or by its efficient one where there is padding",
        system="_torch:Torch",
        arithmetic="fp16",
        reads=_TORCH,
        options={"attention": "flash"},
    ),
    GpuContender(
        name="torch fp16 compile",
        description='the same with torch.compile(mode="reduce-overhead"), which captures CUDA graphs',
        system="_torch:Torch",
        arithmetic="fp16",
        reads=_TORCH,
        options={"compile": "yes"},
    ),
    GpuContender(
        name="setfuse TensorRT",
        description="our runtime, the fp32 graph in onnxruntime's TensorRT provider, in its fp16 mode",
        system="_runtime:Runtime",
        arithmetic="fp16",
        reads=("bundle/model.onnx",),
        options={"engine": "tensorrt"},
        ours=True,
        engine=False,
    ),
]

GPU_CONTENDERS: dict[str, GpuContender] = {contender.name: contender for contender in _ALL}
