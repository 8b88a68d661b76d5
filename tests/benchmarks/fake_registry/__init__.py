"""Preparations of known behaviour."""

from benchmarks._contenders import Preparation

_ALL = [
    Preparation("good", "", "_make:good"),
    Preparation("reader", "", "_make:read", needs=("good",)),
    Preparation("bad", "", "_make:fail"),
    Preparation("unlucky", "", "_make:read", needs=("bad",)),
    Preparation("endless", "", "_make:hang"),
    Preparation("trainer", "", "_make:use_train"),
]
PREPARATIONS = {preparation.name: preparation for preparation in _ALL}
