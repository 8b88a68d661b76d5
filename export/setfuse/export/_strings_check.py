"""Prove that a graph with the tokenizer inside answers as torch does, and find the texts that it cuts otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import tokenizers

from setfuse.runtime import Parity, Precision

from ._checkpoint import Checkpoint
from ._errors import ParityError
from ._strings import TOKENIZER_NOTE, run_strings, strings_session, tokenizer_graph
from ._validate import Answers, Reference, compare

SAMPLES = {
    "German": "Überweisung bestätigt, größere Straße",
    "French": "Où est passé l'œuvre déjà payée, ça alors",
    "Spanish": "¿Cuándo llegará el niño mañana?",
    "Portuguese": "não há solução às três",
    "Swedish": "får jag pengarna åter på söndag",
    "Polish": "gdzie jest moja przesyłka, proszę się pośpieszyć",
    "Czech": "kde je můj balík, prosím řekněte",
    "Hungarian": "mikor érkezik meg az őszi küldemény",
    "Romanian": "unde este coletul și plata aceasta, vă rog țineți",
    "Turkish": "İadem nerede, çok geç oldu, öğrenmek istiyorum",
    "Vietnamese": "gói hàng của tôi đang ở đâu",
    "Greek": "πού είναι το δέμα μου",
    "Russian": "отмените мой вчерашний заказ, пожалуйста",
    "Ukrainian": "де моє замовлення, їй потрібна відповідь",
    "Arabic": "أين طلبي لقد مر أسبوع",
    "Hebrew": "איפה החבילה שלי",
    "Hindi": "मेरा ऑर्डर कहाँ है",
    "Thai": "พัสดุของฉันอยู่ที่ไหน",
    "Chinese": "我想把收货地址改成公司",
    "Japanese": "パスワードを忘れました",
    "Korean": "환불은 언제 되나요",
    "emoji": "thank you 🎉 ❤️ 👍🏽",
    "emoji right after a word": "thanks👍 great🎉",
    "signs right after a word": "49€ or 20° for 5m²",
    "typographic punctuation": "“quoted” — only 49.99 € … ½ price",
    "accents as characters of their own": "cafe\u0301 a la cre\u0300me",
    "zero-width characters": "zero\u200bwidth\u200d and soft\u00adhyphen",
    "control characters": "bell\x07 and escape\x1b[0m",
    "NUL characters": "before\x00after",
    "replacement characters": "broken\ufffdbytes",
    "private-use characters": "icon\ue000font",
    "line separators": "one\u2028two",
}
"""What texts beside ordinary English may hold, a sample each: the card says for which of them the ids are equal."""

SHOWN = 60
"""Characters of a text that differs which a bundle keeps."""


@dataclass(frozen=True, slots=True)
class StringsReport:
    """How a graph with the tokenizer inside compares with tokenizers and torch.

    Attributes:
        parity: Compared with torch on the texts whose ids are equal.
        texts: How many texts' ids were compared.
        ids_differ: Those whose ids differ.
        kinds_equal: What the ids of the samples are equal for.
        kinds_differ: What they differ for.
    """

    parity: Parity
    texts: int
    ids_differ: tuple[str, ...]
    kinds_equal: tuple[str, ...]
    kinds_differ: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Give what a bundle keeps beside the parity; long texts are cut."""
        return {
            "tokenizer": TOKENIZER_NOTE,
            "texts": self.texts,
            "ids_differ": [text[:SHOWN] for text in self.ids_differ],
            "kinds_equal": list(self.kinds_equal),
            "kinds_differ": list(self.kinds_differ),
        }


def compare_ids(checkpoint: Checkpoint, texts: Sequence[str]) -> list[str]:
    """Find the texts that the operator cuts into other tokens than `tokenizers`.

    Args:
        checkpoint: Prompt and tokenizer.
        texts: Any strings.

    Returns:
        Those of the texts whose ids differ, in their order.

    Raises:
        MissingExtra: onnxruntime-extensions is not installed.
        UnsupportedCheckpoint: The tokenizer is not of BERT's kind.
    """
    session = strings_session(tokenizer_graph(checkpoint))
    tokenizer = tokenizers.Tokenizer.from_str(checkpoint.tokenizer)
    expected = tokenizer.encode_batch_fast([checkpoint.prompt + text for text in texts])
    different = []
    for text, encoding in zip(texts, expected, strict=True):
        (found,) = session.run(["input_ids"], {"text": np.asarray([text], dtype=np.object_)})
        if found.tolist() != encoding.ids:
            different.append(text)
    return different


def check_strings(
    checkpoint: Checkpoint, model: onnx.ModelProto, precision: Precision, reference: Reference, *, allow_mismatch: bool
) -> StringsReport:
    """Compare ids with `tokenizers`, and answers with torch's on the texts whose ids are equal.

    Args:
        checkpoint: What the graph was made of.
        model: The graph, as `fuse_with_tokenizer` writes it.
        precision: The graph's.
        reference: Torch's answers.
        allow_mismatch: As of `compare`.

    Raises:
        ParityError: The ids of ordinary English differ, or an answer is further off than the precision explains.
    """
    texts = reference.checks.texts
    different = compare_ids(checkpoint, texts)
    special = _special_tokens(checkpoint)
    ordinary = next((text for text in different if _is_ordinary(text, special)), None)
    if ordinary is not None:
        raise ParityError(
            f"the tokenizer inside the graph: expected the token ids of tokenizers for {ordinary!r:.60}, found others; "
            "no bundle was written: export without strings in"
        )
    equal = [number for number, text in enumerate(texts) if text not in different]
    if not equal:
        raise ParityError(
            "the tokenizer inside the graph: expected the token ids of tokenizers for some of "
            f"{reference.checks.name}, found others for all; no bundle was written: export without strings in, or "
            "check on other texts"
        )
    session = strings_session(model)
    alone = [run_strings(session, [texts[number]]) for number in equal]
    together = run_strings(session, [texts[number] for number in equal])
    scores, embeddings = together[str(reference.scores)], together["sentence_embedding"]
    if "label" in together:
        best = [checkpoint.labels[number] for number in scores.argmax(axis=1)]
        found = together["label"].tolist()
        if found != best:
            raise ParityError(f"the strings-in graph's labels: expected {best}, the best, found {found}")
    ways = [
        Answers(scores, embeddings),
        Answers(
            np.concatenate([one[str(reference.scores)] for one in alone]),
            np.concatenate([one["sentence_embedding"] for one in alone]),
        ),
    ]
    parity = compare(precision, ways, reference.only(equal), allow_mismatch=allow_mismatch)
    samples = SAMPLES | {f"the tokenizer's own {token}, spelled out": token for token in special[:1]}
    odd = set(compare_ids(checkpoint, list(samples.values())))
    return StringsReport(
        parity=parity,
        texts=len(texts),
        ids_differ=tuple(different),
        kinds_equal=tuple(kind for kind, text in samples.items() if text not in odd),
        kinds_differ=tuple(kind for kind, text in samples.items() if text in odd),
    )


def _special_tokens(checkpoint: Checkpoint) -> list[str]:
    tokenizer = tokenizers.Tokenizer.from_str(checkpoint.tokenizer)
    return [token.content for token in tokenizer.get_added_tokens_decoder().values()]


def _is_ordinary(text: str, special: Sequence[str]) -> bool:
    """Whether a text is printable ASCII in lines, without the tokenizer's own words."""
    plain = all(" " <= character <= "~" or character in "\t\r\n" for character in text)
    return plain and not any(token in text for token in special)
