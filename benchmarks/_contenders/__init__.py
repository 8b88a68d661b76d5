"""Everyone a user could pick: a line each, in the order of the tables."""

from ._contender import Batching, Contender, Device, Models, Preparation, Quality, System
from ._head import Head

__all__ = [
    "CONTENDERS",
    "ORACLE",
    "PREPARATIONS",
    "Batching",
    "Contender",
    "Device",
    "Head",
    "Models",
    "Preparation",
    "Quality",
    "System",
]

ORACLE = "sentence-transformers"
"""The contender whose labels are torch's: all others are compared with it."""

_ALL = [
    Contender(
        name="setfuse fp32",
        description="our runtime, the checkpoint's own arithmetic",
        environment="setfuse",
        system="_setfuse:Setfuse",
        options={"precision": "fp32"},
        quality=Quality.SAME,
        arithmetic="fp32",
        batching=Batching.EQUAL,
        loads=("bundle/model.onnx", "bundle/tokenizer.json", "bundle/bundle.json"),
    ),
    Contender(
        name="setfuse int8",
        description="our runtime, the graph that it takes on processors with VNNI",
        environment="setfuse",
        system="_setfuse:Setfuse",
        options={"precision": "int8"},
        quality=Quality.ROUNDED,
        arithmetic="int8",
        batching=Batching.EQUAL,
        loads=("bundle/model.int8.onnx", "bundle/tokenizer.json", "bundle/bundle.json"),
    ),
    Contender(
        name=ORACLE,
        description="sentence-transformers on torch, eager, and the head: the path that trained the model",
        environment="sentence-transformers",
        system="_sentence_transformers:SentenceTransformersTorch",
        quality=Quality.SAME,
        arithmetic="fp32",
        batching=Batching.SORTED,
        loads=("checkpoint/**/*",),
    ),
]

CONTENDERS: dict[str, Contender] = {contender.name: contender for contender in _ALL}
PREPARATIONS: dict[str, Preparation] = {}
