"""What `benchmarks.gpu_inputs` leaves for the machine with the GPU, and how it is read there."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks._errors import BenchmarkError
from benchmarks._files import read_json, write_json

ANSWERS = "answers.json"


@dataclass(frozen=True, slots=True)
class Reference:
    """Torch's answers, in fp32 on the CPU.

    Attributes:
        source: Where the texts come from.
        labels: The model's, in the order of the columns.
        texts: The texts.
        answers: The label of each.
        probabilities: float64 (texts, labels).
    """

    source: str
    labels: tuple[str, ...]
    texts: tuple[str, ...]
    answers: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]

    def write(self, folder: Path) -> None:
        """Write `answers.json`, whole or not at all; probabilities to seven digits, as float32 has them."""
        rounded = [[float(f"{share:.7g}") for share in row] for row in self.probabilities.tolist()]
        write_json(folder / ANSWERS, {**asdict(self), "probabilities": rounded})

    @classmethod
    def read(cls, folder: Path, labels: Sequence[str]) -> "Reference":
        """Read what `write` wrote.

        Args:
            folder: The inputs.
            labels: The bundle's.

        Raises:
            BenchmarkError: There is no such file, it is damaged, or it is of another model.
        """
        path = folder / ANSWERS
        try:
            found = read_json(path)
            texts, answers = tuple(map(str, found["texts"])), tuple(map(str, found["answers"]))
            probabilities = np.asarray(found["probabilities"], dtype=np.float64)
            known, source = tuple(map(str, found["labels"])), str(found["source"])
        except FileNotFoundError as error:
            raise BenchmarkError(
                f"{path}: expected torch's answers, found none; benchmarks.gpu_inputs writes them"
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BenchmarkError(f"{path}: expected torch's answers in JSON: {error!r}; write them again") from error
        if known != tuple(labels):
            raise BenchmarkError(
                f"{path}: expected answers of the bundle's labels, {', '.join(labels):.80}, found "
                f"{', '.join(known):.80}: are they of this model?"
            )
        if not texts or len(answers) != len(texts) or probabilities.shape != (len(texts), len(known)):
            raise BenchmarkError(
                f"{path}: expected a label and {len(known)} probabilities a text, found {len(texts)} texts, "
                f"{len(answers)} labels, probabilities {probabilities.shape}; write them again"
            )
        return cls(source, known, texts, answers, probabilities)
