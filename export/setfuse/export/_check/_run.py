"""Is this ONNX file right? Compare any graph with the checkpoint it was made from, and say what is wrong with it."""

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from setfuse.export._check_texts import CHECK_TEXTS
from setfuse.export._checkpoint import Checkpoint, read_checkpoint
from setfuse.export._encoder import Encoder
from setfuse.export._errors import GraphError
from setfuse.runtime import Manifest, SetfuseError, UsageError

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
    prompt: str | None = None,
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
        tolerance: Largest difference of a probability that counts as equal, of an embedding relative to its largest
            number, of decision scores relative to their mean size; None for 1e-5, or ten times what torch differs from
            itself between batch sizes.
        tokenizer: The `tokenizer.json` that the graph is used with; None for the checkpoint's.
        max_length: Where texts are cut for the graph; None for what the tokenizer file, the graph's metadata or the
            checkpoint says, in this order.
        prompt: What is put before each text for the graph; None for what the bundle says that the graph lies in, or the
            checkpoint's own.
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
    put_before = _prompt(graph, checkpoint) if prompt is None else prompt
    maker = _maker(graph, checkpoint, tokenizer, max_length, put_before)
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
    graph: ForeignGraph, checkpoint: Checkpoint, tokenizer: str | Path | None, max_length: int | None, prompt: str
) -> BatchMaker:
    make = functools.partial(
        BatchMaker, prompt=prompt, padding_id=_padding_id(checkpoint), fixed_length=graph.fixed_length
    )
    promised = graph.metadata.get("setfuse.max_length", "")
    is_number = promised.isdecimal() and len(promised) < _DIGITS and int(promised)
    usual = int(promised) if is_number else checkpoint.max_length
    if tokenizer is None:
        return make(checkpoint.tokenizer, max_length or usual, str(checkpoint.folder))
    try:
        definition = Path(tokenizer).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise GraphError(f"{tokenizer}: expected a tokenizers file, but it cannot be read: {error}") from error
    maker = make(definition, max_length, str(tokenizer))
    return maker if maker.truncates else make(definition, usual, str(tokenizer))


def _padding_id(checkpoint: Checkpoint) -> int | None:
    encoder = checkpoint.encoder
    return encoder.padding_id if isinstance(encoder, Encoder) else None


def _prompt(graph: ForeignGraph, checkpoint: Checkpoint) -> str:
    """Take the prompt of the bundle that a graph lies in, which its users' texts get; else the checkpoint's."""
    try:
        manifest = Manifest.read(graph.path.parent)
    except SetfuseError:  # no bundle, or none that anybody could use
        return checkpoint.prompt
    is_inside = graph.path.name in {variant.file.file for variant in manifest.variants}
    return manifest.prompt if is_inside else checkpoint.prompt


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
    if maker.prompt:
        notes.append(f"{maker.prompt!r} was put before each text for the graph")
    if any(one.on_own_embedding for one in outputs):
        notes.append(
            "the head jumps at tiny changes of the embedding: its answers to the graph's own embedding are expected"
        )
    elif checkpoint.head.has_steps and any(one.role is OutputRole.SCORES for one in outputs):
        notes.append(
            "the head jumps at tiny changes of the embedding, and the graph gives none to ask it about: a few texts "
            "may differ by rounding alone"
        )
    if all(one.role is OutputRole.TOKENS for one in outputs):
        notes.append(
            "the graph puts out token embeddings: the checkpoint's own pooling and what follows it were applied to them"
        )
    elif all(one.role in {OutputRole.TOKENS, OutputRole.EMBEDDING} for one in outputs):
        notes.append("the graph has no head: judged on its embedding; labels are those of the checkpoint's head")
    return notes
