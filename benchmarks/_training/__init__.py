"""The training of a published model card, ours and SetFit's: each run in a process of its own, and compared."""

from ._card import Card, CardFigures, StepwiseFigures, read_card
from ._compare import Against, Stepwise, compare_runs, compare_steps
from ._processes import Order, Who, run_training
from ._run import TrainingRun
from ._table import training_table

__all__ = [
    "Against",
    "Card",
    "CardFigures",
    "Order",
    "Stepwise",
    "StepwiseFigures",
    "TrainingRun",
    "Who",
    "compare_runs",
    "compare_steps",
    "read_card",
    "run_training",
    "training_table",
]
