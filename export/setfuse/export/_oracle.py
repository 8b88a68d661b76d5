"""What the torch checkpoint itself answers: sentence-transformers for the body, scikit-learn for the head."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression

from ._checkpoint import Checkpoint, FloatArray, LinearHead
from ._validate import Answers


class TorchOracle:
    """The checkpoint, loaded by the libraries that it comes from; it shares no code with the graph.

    Attributes:
        body: The sentence-transformers pipeline.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Load body and head."""
        self.body = SentenceTransformer(
            str(checkpoint.folder), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32}
        )
        self._normalize = checkpoint.normalize
        self._head = _scikit_learn_head(checkpoint.head)

    def answer(self, texts: Sequence[str], *, batch_size: int) -> Answers:
        """Embed and classify."""
        embeddings: FloatArray = self.body.encode(
            list(texts),
            batch_size=batch_size,
            normalize_embeddings=self._normalize,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return Answers(probabilities=self.classify(embeddings), embeddings=embeddings)

    def classify(self, embeddings: FloatArray) -> npt.NDArray[np.floating]:
        """Run the head alone on embeddings (texts, dim)."""
        probabilities: npt.NDArray[np.floating] = self._head.predict_proba(embeddings)
        return probabilities


def _scikit_learn_head(head: LinearHead) -> LogisticRegression:
    classifier = LogisticRegression()
    classifier.coef_ = head.coef
    classifier.intercept_ = head.intercept
    classifier.classes_ = np.arange(len(head.classes))
    classifier.n_features_in_ = head.coef.shape[1]
    return classifier
