"""Store a head as SetFit does, with pickle, for SetFit to load."""

import copy
import pickle
from pathlib import Path

import torch

from ._fitted import FittedHead
from ._torch_head import DifferentiableHead

FILE = "model_head.pkl"

_OURS = f"c{__name__}\nSetFitHead\n".encode()
_SETFITS = b"csetfit.modeling\nSetFitHead\n"
"""How protocol 2 names a class; the later ones write the names' lengths, too."""


_SET = "_non_persistent_buffers_set"
"""torch makes it anew where it is missing. Protocol 2 would write it as a call, which readers of pickles distrust."""


class SetFitHead(torch.nn.Module):
    """What SetFit's class of this name has in its `__dict__`: pickle stores that and the class's name."""

    def __init__(self, head: DifferentiableHead) -> None:
        super().__init__()
        self.linear = copy.deepcopy(head.linear).cpu()  # whoever loads it may have no GPU
        self.in_features, self.out_features = head.linear.in_features, head.linear.out_features
        self.temperature, self.eps = head.temperature, head.eps
        self.bias = head.linear.bias is not None
        self.multitarget = head.multi_label
        self._device = "cpu"
        for module in self.modules():
            del module.__dict__[_SET]


def pickle_head(head: FittedHead, folder: Path) -> None:
    """Write `model_head.pkl`, which `SetFitModel.from_pretrained` loads with joblib.

    SetFit itself need not be installed.

    Args:
        head: Of scikit-learn, or differentiable.
        folder: Where to.
    """
    import joblib

    if not isinstance(head.estimator, DifferentiableHead):
        joblib.dump(head.estimator, folder / FILE)
        return
    content = pickle.dumps(SetFitHead(head.estimator), protocol=2)
    (folder / FILE).write_bytes(content.replace(_OURS, _SETFITS))
