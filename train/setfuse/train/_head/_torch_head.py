"""The differentiable head: SetFit's `SetFitHead`, a linear layer with a temperature."""

import numpy as np
import numpy.typing as npt
import torch


class DifferentiableHead(torch.nn.Module):
    """Logits of a linear layer, divided by a temperature.

    Several labels a text are a sigmoid each; else there is a softmax, over two labels too.

    Attributes:
        linear: From (rows, width) to (rows, labels); weights start as Glorot's uniform ones, the bias at 0.01.
        temperature: What the logits are divided by.
        eps: Added to it, as SetFit does.
        multi_label: Whether a text has any number of labels.
    """

    def __init__(
        self,
        width: int,
        labels: int,
        *,
        multi_label: bool = False,
        temperature: float = 1.0,
        eps: float = 1e-5,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(width, labels, bias=bias)
        self.temperature, self.eps = temperature, eps
        self.multi_label = multi_label
        torch.nn.init.xavier_uniform_(self.linear.weight)
        if bias:
            torch.nn.init.constant_(self.linear.bias, 1e-2)

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Give logits, (rows, labels), of embeddings, (rows, width)."""
        logits: torch.Tensor = self.linear(embeddings) / (self.temperature + self.eps)
        return logits

    def loss(self, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Give the mean cross entropy of the rows, or of each row's labels.

        Args:
            logits: (rows, labels).
            targets: int64 (rows,), or multi-label int64 (rows, labels) of 0 and 1.
            weights: As of `label_weights`; None for 1.
        """
        if self.multi_label:
            each = None if weights is None else torch.where(targets > 0, weights[1], weights[0])
            return torch.nn.functional.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), weight=each)
        # torch's own mean divides by the weights of the batch: they would be without effect in a batch of one label.
        return torch.nn.functional.cross_entropy(logits, targets, weight=weights, reduction="none").mean()

    @torch.no_grad()
    def predict_proba(self, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Give probabilities, float64 (rows, labels), of embeddings, float32 (rows, width)."""
        logits = self(torch.from_numpy(embeddings).to(self.linear.weight))
        answers = torch.sigmoid(logits) if self.multi_label else torch.softmax(logits, dim=-1)
        numbers: npt.NDArray[np.float64] = answers.double().cpu().numpy()
        return numbers
