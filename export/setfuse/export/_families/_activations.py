"""The feed-forward activations that the graph's writer knows, by transformers' names."""

EXACT_GELU = ("gelu", "gelu_python")
TANH_GELU = ("gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh")
SILU = ("silu", "swish")
RELU = ("relu",)
ACTIVATIONS = (*EXACT_GELU, *TANH_GELU, *SILU, *RELU)
