"""What `check` finds out."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._roles import InputRole, OutputRole

ROUNDING = frozenset({"int8", "dynamic_int8", "float16"})
"""Names of the reasons that are no fault, but what a precision costs."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a graph answers differently.

    Attributes:
        name: One word, for programs; stable.
        sentence: For people.
    """

    name: str
    sentence: str


@dataclass(frozen=True, slots=True)
class CheckedOutput:
    """How one output of the graph compares with the checkpoint.

    Attributes:
        name: The output's name.
        role: What it holds.
        equal: Whether it is the checkpoint's, within the tolerance.
        tolerance: Largest difference that counts as equal.
        unit: What the `tolerance` of `check` is a share of: 1 of probabilities; of decision scores and embeddings
            their size, where it is more.
        on_own_embedding: Whether the checkpoint's head was asked about the graph's own embedding, because it jumps at
            tiny changes of it; otherwise about torch's.
        max_difference: Largest absolute difference of a number; infinite where the graph failed on a text. Of labels 1
            where a text has other ones.
        mean_difference: Mean absolute difference, of the texts by themselves.
        alone_difference: The largest when each text is run by itself.
        batch_difference: The largest in batches: padded ones where the graph takes a mask.
        label_agreement: Share of the texts that get the same label, or the same set of labels, as from torch, 0 to 1;
            from an embedding, by the checkpoint's head; None where an embedding does not fit that, and of scores of
            another number of labels.
        worst_text: The text with the largest difference.
        reasons: What explains the difference; empty if there is none, and of labels that follow the graph's own scores.
    """

    name: str
    role: OutputRole
    equal: bool
    tolerance: float
    unit: float
    on_own_embedding: bool
    max_difference: float
    mean_difference: float
    alone_difference: float
    batch_difference: float
    label_agreement: float | None
    worst_text: str
    reasons: tuple[Reason, ...]

    @property
    def fitting_tolerance(self) -> float:
        """The least tolerance, of one digit, that takes this output for equal."""
        least = self.max_difference / self.unit
        if not 0 < least < math.inf:
            return least
        digit = 10.0 ** math.floor(math.log10(least))
        return float(f"{math.ceil(least / digit) * digit:.0e}")


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Whether a graph is right.

    Attributes:
        model: The ONNX file.
        against: The checkpoint.
        texts: How many texts were compared.
        inputs: What each input was fed with.
        inputs_by_name: Whether the inputs' names said so; if not, it was tried out.
        outputs: Each output that was compared.
        notes: What is worth knowing and no fault.
    """

    model: str
    against: str
    texts: int
    inputs: Mapping[str, InputRole]
    inputs_by_name: bool
    outputs: tuple[CheckedOutput, ...]
    notes: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether every output that was compared is the checkpoint's."""
        return all(output.equal for output in self.outputs)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The reasons of all outputs, each once."""
        return tuple(dict.fromkeys(reason for output in self.outputs for reason in output.reasons))

    @property
    def fitting_tolerance(self) -> float | None:
        """The least tolerance, of one digit, that takes the graph for equal, where rounding is all that differs."""
        if not self.reasons or any(reason.name not in ROUNDING for reason in self.reasons):
            return None
        fitting = [output.fitting_tolerance for output in self.outputs if output.role is not OutputRole.LABELS]
        return max(fitting, default=None)

    def to_json(self) -> dict[str, Any]:
        """Give the report as `json.dump` takes it; infinite differences are null."""
        value = dataclasses.asdict(self)
        for output in value["outputs"]:
            for key, number in output.items():
                if isinstance(number, float) and not math.isfinite(number):
                    output[key] = None
        found = {"equal": self.equal, "fitting_tolerance": self.fitting_tolerance}
        return {**found, "reasons": [dataclasses.asdict(one) for one in self.reasons], **value}
