"""The head: a classifier on the body's embeddings; fitted, or trained with the body, and stored without pickle."""

from ._fit import check_head, fit_head
from ._fitted import FittedHead
from ._pickled import pickle_head
from ._store import FORMAT_VERSION, save_head
from ._torch_head import DifferentiableHead
from ._train_head import train_head

__all__ = [
    "FORMAT_VERSION",
    "DifferentiableHead",
    "FittedHead",
    "check_head",
    "fit_head",
    "pickle_head",
    "save_head",
    "train_head",
]
