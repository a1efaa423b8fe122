"""Matrix factorization whose items are content and id at once.

An item is the sum of what its features say and of what only its id can say, as in LightFM (Kula:
Metadata Embeddings for User and Item Cold-start Recommendations. CBRecSys 2015, arXiv:1507.08439,
where an id is one feature more), both learned in one gradient:

    logit = b + b_u + (b_i + w · c_i) + p_u · (q_i + W c_i)

With id dropout some training examples leave q_i and b_i out, so that content learns to stand alone
(Volkovs, Yu, Poutanen: DropoutNet: Addressing Cold Start in Recommender Systems. NeurIPS 2017,
section 4.2).

Departures from the papers: features may weigh anything (LightFM's are 0 or 1), and users have ids
alone. DropoutNet is a deep network on top of vectors trained before, fitted to reproduce their
scores, and drops users as well; here everything is linear, is learned from the clicks themselves,
and only ids of items are dropped.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recsys_book.arguments import check_finite, check_ids, check_positive
from recsys_book.layers import QuickEmbedding


class ContentFactorization(nn.Module):
    """A user vector times the sum of an item's id vector and its content's vector, plus biases.

    Args:
        n_users: U.
        content: `[N, C]` what is known of every item, such as `recsys_book.content.tfidf`.
        dim: D, length of the vectors.
        id_dropout: chance that a training example goes without its item's id, 0..1; 1 is a model
            of content alone.
        init_std: standard deviation at the start of vectors, and of W, which gives content of unit
            length a vector of the same size. Biases start at 0, w too.

    Raises:
        ValueError: a size or chance out of range, content that is no table of finite numbers.
    """

    def __init__(
        self,
        n_users: int,
        content: Tensor,
        dim: int = 8,
        id_dropout: float = 0.0,
        init_std: float = 0.1,
    ) -> None:
        super().__init__()
        check_positive("n_users", n_users)
        check_positive("dim", dim)
        if content.dim() != 2 or content.numel() == 0:
            raise ValueError(f"content has shape {tuple(content.shape)}; it must be [N, C]")
        check_finite("content", content)
        if not 0 <= id_dropout <= 1:
            raise ValueError(f"id_dropout is {id_dropout!r}; it is a chance, from 0 to 1")
        self.n_users, self.dim, self.id_dropout = n_users, dim, id_dropout
        self.n_items, n_columns = content.shape
        self.register_buffer("content", content.float())
        self.register_buffer("known", torch.ones(self.n_items, dtype=torch.bool))
        self.user_vectors = QuickEmbedding(n_users, dim)  # [U, D]
        self.user_bias = QuickEmbedding(n_users, 1)
        self.id_vectors = QuickEmbedding(self.n_items, dim)  # [N, D]
        self.id_bias = QuickEmbedding(self.n_items, 1)
        self.content_vectors = nn.Linear(n_columns, dim, bias=False)  # W
        self.content_bias = nn.Linear(n_columns, 1, bias=False)  # w
        self.bias = nn.Parameter(torch.zeros(()))
        for part in (self.user_vectors, self.id_vectors, self.content_vectors):
            nn.init.normal_(part.weight, std=init_std)
        for part in (self.user_bias, self.id_bias, self.content_bias):
            nn.init.zeros_(part.weight)

    def set_known(self, known: Tensor) -> None:
        """Say which items have a training example; all have until this is called.

        The others go by content alone: their id vectors are still the random ones of the start.

        Args:
            known: `[N]` bool.

        Raises:
            ValueError: another shape or dtype.
        """
        if known.dtype != torch.bool or known.shape != self.known.shape:
            raise ValueError(
                f"known has shape {tuple(known.shape)} and dtype {known.dtype}; "
                f"it must be [{self.n_items}] bool"
            )
        self.known.copy_(known)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Logits `[B]` for users `[B]` and items `[B]`, or of any shapes that broadcast."""
        check_ids("users", users, self.n_users)
        check_ids("items", items, self.n_items)
        content = self.content[items]  # [B, C]
        with_id = self._with_id(items)[..., None]  # [B, 1]
        item_vectors = with_id * self.id_vectors(items) + self.content_vectors(content)  # [B, D]
        item_bias = with_id * self.id_bias(items) + self.content_bias(content)  # [B, 1]
        logit = self.bias + (self.user_bias(users) + item_bias).squeeze(-1)
        return logit + (self.user_vectors(users) * item_vectors).sum(-1)

    def _with_id(self, items: Tensor) -> Tensor:
        """1.0 where the id has its say, 0.0 where content stands alone."""
        known = self.known[items]
        if self.training and self.id_dropout:
            # Nothing is scaled up for what is dropped: alone, content has to do as it is. The draw
            # is from torch's own stream, as nn.Dropout's, which `fit` seeds.
            known = known & (torch.rand(items.shape, device=items.device) >= self.id_dropout)
        elif self.id_dropout == 1:
            known = torch.zeros_like(known)  # no id was ever trained
        return known.float()

    def item_vectors(self) -> Tensor:
        """`[N, D]`, id and content together, as they are scored: no id is dropped by chance."""
        return self._whole(self.id_vectors, self.content_vectors)

    def item_biases(self) -> Tensor:
        """`[N]`, likewise."""
        return self._whole(self.id_bias, self.content_bias).squeeze(-1)

    def _whole(self, of_id: QuickEmbedding, of_content: nn.Linear) -> Tensor:
        trained = self.known[:, None] & (self.id_dropout < 1)
        return of_content(self.content) + torch.where(trained, of_id.weight, 0.0)

    def score(self, users: Tensor) -> Tensor:
        """Logits `[U, N]` of the whole catalogue for users `[U]`."""
        check_ids("users", users, self.n_users)
        logits = self.bias + self.user_bias(users) + self.item_biases()
        return logits + self.user_vectors(users) @ self.item_vectors().T
