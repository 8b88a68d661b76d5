"""The training of a published model card, ours and SetFit's: each run in a process of its own, and compared."""

from ._card import Card, CardFigures, StepwiseFigures, read_card
from ._compare import Against, Stepwise, compare_runs, compare_steps
from ._processes import run_training
from ._run import Order, TrainingRun, Who
from ._table import losses_table, training_table

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
    "losses_table",
    "read_card",
    "run_training",
    "training_table",
]
