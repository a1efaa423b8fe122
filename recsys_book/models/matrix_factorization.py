"""Matrix factorization with biases.

Koren, Bell, Volinsky: Matrix Factorization Techniques for Recommender Systems. Computer 42 (8),
2009, https://doi.org/10.1109/MC.2009.263, equation 4: b + b_u + b_i + p_u · q_i.

Departures from the paper: the output is a logit for implicit feedback (the paper predicts a
rating), trained by whatever loss the caller chooses. `dim=0` drops the product and leaves the
additive model b + b_u + b_i, which ranks the same items first for every user.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recsys_book.arguments import check_ids, check_positive
from recsys_book.layers import QuickEmbedding


class MatrixFactorization(nn.Module):
    """A user vector times an item vector, plus biases.

    Args:
        n_users: U.
        n_items: N.
        dim: D, length of the vectors; 0 is the additive model.
        biases: learn b, b_u and b_i; without them the logit is the dot product alone.
        init_std: standard deviation of the vectors' normal initialization. Biases start at 0.
    """

    def __init__(
        self, n_users: int, n_items: int, dim: int = 8, biases: bool = True, init_std: float = 0.1
    ) -> None:
        super().__init__()
        check_positive("n_users", n_users)
        check_positive("n_items", n_items)
        check_positive("dim", dim, zero_allowed=True)
        if dim == 0 and not biases:
            raise ValueError("dim is 0 and biases is False; nothing would be left to learn")
        self.n_users, self.n_items, self.dim = n_users, n_items, dim
        self.user_vectors = QuickEmbedding(n_users, dim) if dim else None  # [U, D]
        self.item_vectors = QuickEmbedding(n_items, dim) if dim else None  # [N, D]
        self.user_bias = QuickEmbedding(n_users, 1) if biases else None  # [U, 1]
        self.item_bias = QuickEmbedding(n_items, 1) if biases else None  # [N, 1]
        self.bias = nn.Parameter(torch.zeros(())) if biases else None
        for table in (self.user_vectors, self.item_vectors):
            if table is not None:
                nn.init.normal_(table.weight, std=init_std)
        for table in (self.user_bias, self.item_bias):
            if table is not None:
                nn.init.zeros_(table.weight)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Logits `[B]` for users `[B]` and items `[B]`, or of any shapes that broadcast."""
        check_ids("users", users, self.n_users)
        check_ids("items", items, self.n_items)
        logit = 0.0
        if self.user_bias is not None and self.item_bias is not None:
            logit = self.bias + (self.user_bias(users) + self.item_bias(items)).squeeze(-1)  # [B]
        if self.user_vectors is not None and self.item_vectors is not None:
            logit = logit + (self.user_vectors(users) * self.item_vectors(items)).sum(-1)
        return logit

    def score(self, users: Tensor) -> Tensor:
        """Logits `[U, N]` of the whole catalogue for users `[U]`."""
        check_ids("users", users, self.n_users)
        logits = torch.zeros(len(users), self.n_items, device=users.device)
        if self.user_bias is not None and self.item_bias is not None:
            logits = logits + self.bias + self.user_bias(users) + self.item_bias.weight.T
        if self.user_vectors is not None and self.item_vectors is not None:
            logits = logits + self.user_vectors(users) @ self.item_vectors.weight.T
        return logits
