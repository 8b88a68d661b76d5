"""Write `data/cuda_kernels.json`: which operators onnxruntime's CUDA provider has kernels for, and of which types.

`python -m tests.export.read_cuda_kernels`, with onnxruntime-gpu and the libraries of CUDA, cuDNN and TensorRT: 1.31.1
crashes where TensorRT's are missing. It asks the package itself, as the script does that writes onnxruntime's own
docs/OperatorKernels.md.
"""

import json
from pathlib import Path

from onnxruntime import __version__
from onnxruntime.capi.onnxruntime_pybind11_state import get_all_opkernel_def

PATH = Path(__file__).parent / "data" / "cuda_kernels.json"
OPSET = 20
"""That of the fp16 graphs: kernels for older or newer versions of an operator are left out."""
NEWEST = 2**31 - 1
"""How onnxruntime says that a kernel is for all versions to come."""
OPERATORS = {
    "": """
        Add ArgMax Cast Clip Concat CumSum Div Elu Equal Exp Gather GatherND Gelu Gemm Greater Identity
        LayerNormalization LeakyRelu Log MatMul Max Mul Neg Pow ReduceL2 ReduceLogSumExp ReduceMax ReduceSum
        Relu Reshape Shape Sigmoid Slice Softmax Softplus Split Sqrt Squeeze Sub Sum Tanh Transpose Unsqueeze
        Where
    """,
    "com.microsoft": """
        Attention BiasGelu EmbedLayerNormalization FastGelu PackedMultiHeadAttention QuickGelu RestorePadding
        SkipLayerNormalization
    """,
}
"""What a graph for CUDA may be made of, by domain, as written and as onnxruntime fuses it at load (QuickGelu)."""


def main() -> None:
    """Ask onnxruntime and write the file, a kernel a line."""
    wanted = {(domain, operator) for domain, names in OPERATORS.items() for operator in names.split()}
    kernels = [
        {
            "domain": kernel.domain,
            "operator": kernel.op_name,
            "versions": [
                kernel.version_range[0],
                None if kernel.version_range[1] == NEWEST else kernel.version_range[1],
            ],
            "types": {name: sorted(types) for name, types in sorted(kernel.type_constraints.items())},
        }
        for kernel in get_all_opkernel_def()
        if kernel.provider == "CUDAExecutionProvider"
        and (kernel.domain, kernel.op_name) in wanted
        and (kernel.domain or kernel.version_range[0] <= OPSET)
        and (kernel.version_range[1] == NEWEST or kernel.version_range[1] >= OPSET)
    ]
    if not kernels:
        raise SystemExit("onnxruntime lists no CUDA kernels: expected onnxruntime-gpu and the CUDA libraries it needs")
    lines = sorted(json.dumps(kernel) for kernel in kernels)
    source = (
        f"get_all_opkernel_def() of onnxruntime-gpu {__version__}, which its docs/OperatorKernels.md is written from"
    )
    body = ",\n".join(f"  {line}" for line in lines)
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(f'{{\n "source": {json.dumps(source)},\n "opset": {OPSET},\n "kernels": [\n{body}\n ]\n}}\n')


if __name__ == "__main__":
    main()
