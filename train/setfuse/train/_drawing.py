"""Pairs of the training or of the held-out texts, as the hyperparameters ask for them."""

import dataclasses

from setfuse.runtime import DatasetError

from ._arguments import TrainingArguments
from ._label_groups import Labels
from ._pairs import Pairs, make_pairs
from ._ranges import SamplingStrategy


def draw_training_pairs(labels: Labels, args: TrainingArguments) -> Pairs:
    """Pair the training texts; with `max_steps`, from no more different pairs than so many steps take, as SetFit does.

    Args:
        labels: Of each row.
        args: The hyperparameters.

    Raises:
        DatasetError: The rows make no pairs.
    """
    each = args.embedding_batch_size * args.gradient_accumulation_steps
    return _draw(labels, args, None if args.max_steps == -1 else args.max_steps * each)


def draw_held_out_pairs(labels: Labels, args: TrainingArguments) -> Pairs:
    """Pair the held-out texts.

    Args:
        labels: Of each row. If they make pairs of one kind only, every pair is taken once.
        args: The hyperparameters.

    Raises:
        DatasetError: The rows make no pairs.
    """
    most = None if args.eval_max_steps == -1 else args.eval_max_steps * args.embedding_batch_size
    try:
        return _draw(labels, args, most)
    except DatasetError:
        args = dataclasses.replace(args, sampling_strategy=SamplingStrategy.UNIQUE, num_iterations=None)
    try:
        return _draw(labels, args, most)
    except DatasetError as error:
        raise DatasetError(
            f"eval_rows: expected rows that make pairs, to take the loss of while training, found {len(labels)} that "
            'make none; add rows, or train with eval_strategy="no"'
        ) from error


def _draw(labels: Labels, args: TrainingArguments, most: int | None) -> Pairs:
    return make_pairs(
        labels,
        args.sampling_strategy,
        args.num_iterations,
        max_pairs=most,
        self_pairs=args.self_pairs,
        seed=args.seed if args.pair_seed is None else args.pair_seed,
    )
