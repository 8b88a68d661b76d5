"""BERT's tokenizer as one operator of onnxruntime-extensions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._errors import UnsupportedCheckpoint
from ._graph import GraphBuilder

DOMAIN = "ai.onnx.contrib"
LONGEST_WORD = 100
"""Characters of the longest word that the operator cuts into pieces; not to be chosen there."""


@dataclass(frozen=True, slots=True)
class WordPiece:
    """What the operator must know of a tokenizer.

    Attributes:
        vocabulary: The tokens; a token's id is its place.
        unknown: The token for a word that has no pieces.
        start: The token before each text.
        end: The token after it.
        continuation: What pieces inside a word begin with.
        lowercase: Whether texts are put into lower case.
        strip_accents: Whether accents are taken off.
        split_chinese: Whether each Chinese character is a word.
    """

    vocabulary: tuple[str, ...]
    unknown: str
    start: str
    end: str
    continuation: str
    lowercase: bool
    strip_accents: bool
    split_chinese: bool


def read_word_piece(definition: str) -> WordPiece:
    """Read what the operator must know from a `tokenizers` definition.

    Raises:
        UnsupportedCheckpoint: The tokenizer is not of BERT's kind, or has something that the operator does not; the
            message says what.
    """
    tokenizer = json.loads(definition)
    model = tokenizer["model"]
    _expect("a WordPiece model", model["type"], found_it=model["type"] == "WordPiece")
    longest = model["max_input_chars_per_word"]
    _expect(f"words of at most {LONGEST_WORD} characters", longest, found_it=longest == LONGEST_WORD)
    split = _kind(tokenizer["pre_tokenizer"])
    _expect("a BertPreTokenizer", split, found_it=split == "BertPreTokenizer")
    lowercase, strip_accents, split_chinese = _normalizer(tokenizer["normalizer"])
    start, end = _special_tokens(tokenizer["post_processor"])
    added = [token["content"] for token in tokenizer["added_tokens"] if not token["special"]]
    _expect("no tokens added to the vocabulary", f"{added[:5]}", found_it=not added)
    ids = model["vocab"] | {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    return WordPiece(
        vocabulary=_vocabulary(ids),
        unknown=model["unk_token"],
        start=start,
        end=end,
        continuation=model["continuing_subword_prefix"],
        lowercase=lowercase,
        strip_accents=strip_accents,
        split_chinese=split_chinese,
    )


def add_word_piece(graph: GraphBuilder, tokenizer: WordPiece, text: str, max_length: int, output: str) -> str:
    """Add the operator.

    Args:
        graph: Where to add it.
        tokenizer: As `read_word_piece` gives it.
        text: One string, (1,); the operator takes no more.
        max_length: Tokens of the longest text, special tokens included; the last one stays when a text is cut.
        output: Name of the token ids, int64 (tokens,), special tokens included.
    """
    graph.use_domain(DOMAIN, 1)
    # The operator gives token types and a mask as well, and it must find tokens for padding and masking.
    outputs = [output, f"{output}.types", f"{output}.mask"]
    return graph.node_with_outputs(
        "BertTokenizer",
        [text],
        outputs,
        domain=DOMAIN,
        vocab_file="\n".join(tokenizer.vocabulary),
        do_lower_case=int(tokenizer.lowercase),
        strip_accents=int(tokenizer.strip_accents),
        tokenize_chinese_chars=int(tokenizer.split_chinese),
        suffix_indicator=tokenizer.continuation,
        unk_token=tokenizer.unknown,
        cls_token=tokenizer.start,
        sep_token=tokenizer.end,
        pad_token=tokenizer.unknown,
        mask_token=tokenizer.unknown,
        max_length=max_length,
    )[0]


def _normalizer(normalizer: Mapping[str, Any] | None) -> tuple[bool, bool, bool]:
    """Give whether to put into lower case, to strip accents and to split Chinese characters."""
    steps: list[Any] = normalizer["normalizers"] if normalizer and normalizer["type"] == "Sequence" else [normalizer]
    kinds = [_kind(step) for step in steps]
    known = kinds in (["BertNormalizer"], ["Lowercase", "BertNormalizer"])
    _expect("a BertNormalizer", " and ".join(kinds), found_it=known)
    bert = steps[-1]
    strip_accents = bert["lowercase"] if bert["strip_accents"] is None else bert["strip_accents"]
    return bert["lowercase"] or len(steps) > 1, strip_accents, bert["handle_chinese_chars"]


def _special_tokens(processor: Mapping[str, Any] | None) -> tuple[str, str]:
    """Give the tokens before and after a text."""
    expected = "one special token before and one after a text"
    if processor and processor["type"] in {"BertProcessing", "RobertaProcessing"}:
        return processor["cls"][0], processor["sep"][0]
    _expect(expected, _kind(processor), found_it=_kind(processor) == "TemplateProcessing")
    pieces = processor["single"] if processor else []
    kinds = [next(iter(piece)) for piece in pieces]
    _expect(expected, " and ".join(kinds), found_it=kinds == ["SpecialToken", "Sequence", "SpecialToken"])
    return pieces[0]["SpecialToken"]["id"], pieces[-1]["SpecialToken"]["id"]


def _vocabulary(ids: Mapping[str, int]) -> tuple[str, ...]:
    # The operator reads a token a line, leaves empty lines out, and counts.
    vocabulary = sorted(ids, key=lambda token: ids[token])
    gap = next((i for i, token in enumerate(vocabulary) if ids[token] != i), None)
    _expect("an id for every number", f"none for {gap}", found_it=gap is None)
    odd = next((token for token in vocabulary if not token or set(token) & set("\r\n\0")), None)
    _expect("a vocabulary with one token a line", f"the token {odd!r}", found_it=odd is None)
    return tuple(vocabulary)


def _kind(part: Mapping[str, Any] | None) -> str:
    return str(part["type"]) if part else "none"


def _expect(expected: str, found: object, *, found_it: bool) -> None:
    if not found_it:
        raise UnsupportedCheckpoint(
            f"the tokenizer, to be put inside the graph: expected {expected}, as BERT has, found {found}; "
            "export without strings in"
        )
