"""Text to label with onnxruntime and onnxruntime-extensions alone: no setfuse, no tokenizer, no torch.

python classify.py BUNDLE/model.strings.onnx "a text" "another text"
"""  # noqa: INP001 - a program of its own, in no package

import sys

import numpy as np
import onnxruntime
import onnxruntime_extensions


def main(model: str, texts: list[str]) -> None:
    """Print a line a text: its label, the label's probability, the text."""
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(onnxruntime_extensions.get_library_path())
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feeds = {"text": np.asarray(texts, dtype=np.object_)}
    labels, probabilities = session.run(["label", "probabilities"], feeds)
    for label, row, text in zip(labels, probabilities, texts, strict=True):
        print(f"{label}\t{row.max():.4f}\t{text}")  # noqa: T201 - what the program is for


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
