"""Read a checkpoint's tokenizer, as sentence-transformers would use it."""

import json
from pathlib import Path

import tokenizers
from tokenizers.normalizers import Lowercase, Normalizer, Sequence

from ._errors import CheckpointError
from ._json import read_object

TOKENIZER = "tokenizer.json"
VOCABULARIES = ("vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model")


def read_tokenizer(folder: Path, vocabulary: int, max_length: int) -> tokenizers.Tokenizer:
    """Read the tokenizer of a Transformer module.

    Args:
        folder: With `tokenizer.json`, or with what transformers can make one of.
        vocabulary: Rows of the word embeddings.
        max_length: Where texts are cut, special tokens included.

    Returns:
        A tokenizer that pads nothing, whatever the file says, and cuts at `max_length`.

    Raises:
        CheckpointError: There is none, it is damaged, or it has more tokens than the word embeddings have rows.
    """
    path = folder / TOKENIZER
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path)) if path.is_file() else _converted(folder)
        around = tokenizer.encode("").ids  # may be other numbers than the vocabulary's, too
    except CheckpointError:
        raise
    except Exception as error:  # tokenizers raises bare Exception
        raise CheckpointError(f"{path}: expected a tokenizers file ({error})") from error
    largest = max([*tokenizer.get_vocab(with_added_tokens=True).values(), *around], default=0)
    if largest >= vocabulary:
        raise CheckpointError(
            f"{path}: expected token ids below {vocabulary}, as many as the word embeddings have rows; found {largest}"
        )
    if read_object(folder / "sentence_bert_config.json", optional=True).get("do_lower_case"):
        _lowercase(tokenizer)
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


def count_prompt_tokens(tokenizer: tokenizers.Tokenizer, prompt: str) -> int:
    """Count the tokens that a prompt takes at the beginning of each text, as sentence-transformers does.

    A special token at the prompt's end, which would stand behind the text, does not count.

    Raises:
        CheckpointError: The tokenizer cannot cut it into tokens.
    """
    if not prompt:
        return 0
    try:
        ids = tokenizer.encode(prompt).ids
    except Exception as error:  # tokenizers raises bare Exception, as for a word where there is no unknown token
        raise CheckpointError(
            f"the tokenizer: expected token ids of the prompt {prompt!r:.60}, but: {error}"
        ) from error
    special = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    return len(ids) - (ids[-1] in special) if ids else 0


def _converted(folder: Path) -> tokenizers.Tokenizer:
    # Older checkpoints have a vocabulary only; transformers knows how to make a tokenizers file of most.
    if not any((folder / name).is_file() for name in VOCABULARIES):  # transformers would invent an empty one
        raise CheckpointError(
            f"{folder / TOKENIZER}: expected a tokenizers file, or a vocabulary ({', '.join(VOCABULARIES)}) to make "
            "one of, found neither"
        )
    import transformers

    try:
        fast = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        return tokenizers.Tokenizer.from_str(fast.backend_tokenizer.to_str())
    except Exception as error:  # whatever the tokenizer's own class may raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{folder / TOKENIZER}: expected a tokenizers file, found none, and transformers cannot make one: {reason}"
        ) from error


def _lowercase(tokenizer: tokenizers.Tokenizer) -> None:
    normalizer: Normalizer | None = tokenizer.normalizer
    if normalizer is not None and '"lowercase":true' in json.dumps(_definition(tokenizer), separators=(",", ":")):
        return
    tokenizer.normalizer = Lowercase() if normalizer is None else Sequence([Lowercase(), normalizer])


def _definition(tokenizer: tokenizers.Tokenizer) -> object:
    return json.loads(tokenizer.to_str())["normalizer"]
