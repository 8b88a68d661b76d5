"""Is this ONNX file right? Compare any graph with the checkpoint it was made from, and say what is wrong with it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from setfuse.export._check_texts import CHECK_TEXTS
from setfuse.export._checkpoint import Checkpoint, read_checkpoint
from setfuse.export._errors import GraphError
from setfuse.runtime import UsageError

from ._batches import BatchMaker
from ._foreign import ForeignGraph
from ._report import CheckedOutput, CheckReport
from ._roles import InputRole, OutputRole, input_roles


def check(
    model: str | Path,
    against: str | Path,
    *,
    texts: Sequence[str] = CHECK_TEXTS,
    tolerance: float | None = None,
    tokenizer: str | Path | None = None,
    max_length: int | None = None,
    output: str | None = None,
) -> CheckReport:
    """Compare any ONNX graph with a checkpoint on the same texts, and find out what is wrong with it.

    Each text is run alone and in a batch. Inputs and outputs are recognised by their names and shapes. Where an answer
    differs, the checkpoint is run again with one thing changed at a time (no Normalize, another pooling, ...), and the
    change that gives the graph's answers is the reason.

    Args:
        model: An ONNX file from token ids to probabilities, logits, labels, an embedding or token embeddings.
        against: The checkpoint's folder.
        texts: What to compare on; the more lengths, the more faults show.
        tolerance: Largest difference of a score (of an embedding: relative to its largest number) that counts as equal;
            None for 1e-5, or ten times what torch differs from itself between batch sizes.
        tokenizer: The `tokenizer.json` that the graph is used with; None for the checkpoint's.
        max_length: Where texts are cut for the graph; None for what the tokenizer file, the graph's metadata or the
            checkpoint says, in this order.
        output: The one output to compare; None for one of each kind.

    Returns:
        The report.

    Raises:
        UsageError: An argument is out of its range.
        GraphError: `model` is no ONNX file, or its inputs or outputs cannot be understood.
        CheckpointError: `against` is no checkpoint, or is damaged.
        UnsupportedCheckpoint: It is of a kind that is not supported yet.
    """
    _refuse(texts, tolerance, max_length)
    graph = ForeignGraph(model)
    choices = input_roles([value.name for value in graph.inputs])
    if not choices:
        names = ", ".join(value.name for value in graph.inputs)
        raise GraphError(f"{model}: expected an input of token ids, and at most a mask and token types; found {names}")
    checkpoint = read_checkpoint(against)
    maker = _maker(graph, checkpoint, tokenizer, max_length)
    if maker.max_length > checkpoint.encoder.max_length:
        raise GraphError(
            f"{model}: expected texts of at most {checkpoint.encoder.max_length} tokens, for which the checkpoint has "
            f"positions, found a limit of {maker.max_length}; pass another with --max-length (max_length=)"
        )
    from ._comparison import compare_graph  # seconds of importing torch, after all that can be refused without it

    roles, outputs = compare_graph(graph, checkpoint, maker, choices, tuple(texts), tolerance=tolerance, output=output)
    return CheckReport(
        model=str(model),
        against=str(against),
        texts=len(texts),
        inputs=roles,
        inputs_by_name=len(choices) == 1,
        outputs=outputs,
        notes=tuple(_notes(graph, checkpoint, roles, outputs, maker)),
    )


def _refuse(texts: Sequence[str], tolerance: float | None, max_length: int | None) -> None:
    if isinstance(texts, str) or not texts or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"texts: expected a list of at least one text, got {texts!r:.60}")
    if tolerance is not None and not 0 <= tolerance < math.inf:
        raise UsageError(f"tolerance: expected a number from 0 on, got {tolerance!r}")
    if max_length is not None and max_length < 1:
        raise UsageError(f"max_length: expected a number of tokens from 1 on, got {max_length!r}")


_DIGITS = 10
"""Of a number of tokens; a longer one is damage."""


def _maker(
    graph: ForeignGraph, checkpoint: Checkpoint, tokenizer: str | Path | None, max_length: int | None
) -> BatchMaker:
    promised = graph.metadata.get("setfuse.max_length", "")
    is_number = promised.isdecimal() and len(promised) < _DIGITS and int(promised)
    usual = int(promised) if is_number else checkpoint.max_length
    if tokenizer is None:
        origin = str(checkpoint.folder)
        return BatchMaker(checkpoint.tokenizer, max_length or usual, origin, fixed_length=graph.fixed_length)
    try:
        definition = Path(tokenizer).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise GraphError(f"{tokenizer}: expected a tokenizers file, but it cannot be read: {error}") from error
    maker = BatchMaker(definition, max_length, str(tokenizer), fixed_length=graph.fixed_length)
    return maker if maker.truncates else BatchMaker(definition, usual, str(tokenizer), fixed_length=graph.fixed_length)


def _notes(
    graph: ForeignGraph,
    checkpoint: Checkpoint,
    roles: Mapping[str, InputRole],
    outputs: Sequence[CheckedOutput],
    maker: BatchMaker,
) -> list[str]:
    notes = []
    if InputRole.MASK not in roles.values():
        notes.append("the graph takes no mask: batches of texts of equal length only, and so it was run")
    if graph.fixed_length:
        notes.append(f"the graph takes texts of {graph.fixed_length} tokens only: all were padded to it")
    if maker.max_length != checkpoint.max_length:
        notes.append(
            f"texts were cut at {maker.max_length} tokens for the graph, the checkpoint cuts at {checkpoint.max_length}"
        )
    if all(one.role is OutputRole.TOKENS for one in outputs):
        notes.append(
            "the graph puts out token embeddings: the checkpoint's own pooling and what follows it were applied to them"
        )
    elif all(one.role in {OutputRole.TOKENS, OutputRole.EMBEDDING} for one in outputs):
        notes.append("the graph has no head: judged on its embedding; labels are those of the checkpoint's head")
    return notes
