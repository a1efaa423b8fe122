"""Neural collaborative filtering: GMF, MLP and NeuMF.

He, Liao, Zhang, Nie, Hu, Chua: Neural Collaborative Filtering. WWW 2017,
https://doi.org/10.1145/3038912.3052569. With user vector p and item vector q:

    GMF    h · (p ∘ q)                                      equations 8 and 9
    MLP    h · ReLU(W … ReLU(W [p; q] + b) … + b)           equation 10
    NeuMF  h · [p ∘ q; ReLU(W … [p'; q'] … + b)]            equation 12, p' and q' of their own

"Predictive factors" is the paper's name for the width of what enters h (in NeuMF: of each of the
two parts). The output is a logit; the paper puts a sigmoid on it (equation 8), the loss does here.

Departures from the paper's text, all of them in the official code as well: the output has a bias,
and only the vectors start with standard deviation .01. The weights of the tower and h start at the
usual random size: at .01 each layer would shrink what passes through it about tenfold.

Two things make training quick, and change no result. Ids may come in any shapes that broadcast:
users `[B, 1]` against items `[B, 5]` fetches each user's vector once for its five items. And as
W [p; q] = W_p p + W_q q, the first layer is applied to users and items apart, before they are
paired, and where pairs outnumber users (items), once per user (item).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recsys_book.arguments import check_ids, check_positive
from recsys_book.layers import QuickEmbedding, look_up


class GMF(nn.Module):
    """Generalized matrix factorization: a weighted dot product (equations 8 and 9).

    With h = 1 and no bias it is matrix factorization without biases.

    Args:
        n_users: U.
        n_items: N.
        factors: D, length of the vectors.
        bias: whether the output has one.
        init_std: standard deviation of the vectors at the start.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        factors: int = 8,
        bias: bool = True,
        init_std: float = 0.01,
    ) -> None:
        super().__init__()
        check_positive("factors", factors)
        self.n_users, self.n_items, self.factors = n_users, n_items, factors
        self.user_vectors = _table("n_users", n_users, factors, init_std)  # [U, D]
        self.item_vectors = _table("n_items", n_items, factors, init_std)  # [N, D]
        self.output = _output(factors, bias)  # h

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Logits `[B]` for users `[B]` and items `[B]`, or of any shapes that broadcast."""
        _check_pairs(self, users, items)
        product = self.user_vectors(users) * self.item_vectors(items)  # p ∘ q, [B, D]
        return self.output(product).squeeze(-1)

    def score(self, users: Tensor) -> Tensor:
        """Logits `[U, N]` of the whole catalogue for users `[U]`."""
        check_ids("users", users, self.n_users)
        weighted = self.user_vectors(users) * self.output.weight  # h ∘ p, [U, D]
        logits = weighted @ self.item_vectors.weight.T
        return logits if self.output.bias is None else logits + self.output.bias


class NCFMLP(nn.Module):
    """The paper's MLP: a tower over two concatenated vectors (equation 10).

    Args:
        n_users: U.
        n_items: N.
        mlp_dim: D, length of each vector; the tower's input is 2 D wide.
        hidden: widths of the hidden layers; the last is the number of predictive factors. `()` is
            the paper's MLP-0, an additive model: it ranks the same items first for everyone.
        init_std: standard deviation of the vectors at the start.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        mlp_dim: int = 16,
        hidden: Sequence[int] = (32, 16, 8),
        init_std: float = 0.01,
    ) -> None:
        super().__init__()
        check_positive("mlp_dim", mlp_dim)
        self.n_users, self.n_items, self.mlp_dim = n_users, n_items, mlp_dim
        self.hidden = tuple(hidden)
        self.user_vectors = _table("n_users", n_users, mlp_dim, init_std)  # [U, D]
        self.item_vectors = _table("n_items", n_items, mlp_dim, init_std)  # [N, D]
        widths = [2 * mlp_dim, *hidden]
        self.tower = nn.ModuleList(_layer(n, m) for n, m in pairwise(widths))
        self.output = _output(widths[-1])  # h

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Logits `[B]` for users `[B]` and items `[B]`, or of any shapes that broadcast."""
        _check_pairs(self, users, items)
        layers: list = [*self.tower, self.output]
        first, *others = layers
        w_p, w_q = first.weight.split(self.mlp_dim, dim=1)  # W [p; q] = W_p p + W_q q
        x = _times(w_q, self.item_vectors, items) + _times(
            w_p, self.user_vectors, users, first.bias
        )
        for layer in others:
            x = layer(x.relu_())
        return x.squeeze(-1)

    def score(self, users: Tensor) -> Tensor:
        """Logits `[U, N]` of the whole catalogue for users `[U]`."""
        items = torch.arange(self.n_items, device=users.device)
        some = users.split(max(1, PAIRS_AT_ONCE // self.n_items))
        return torch.cat([self(u[:, None], items) for u in some])


class NeuMF(nn.Module):
    """GMF and MLP side by side, each with vectors of its own, under one h (equation 12).

    h · [a; b] is h_1 · a + h_2 · b. So the logit is that of a GMF plus that of an MLP, and this is
    how it is written here; what makes it one model is that both are trained on the one loss.

    Args:
        n_users: U.
        n_items: N.
        factors: length of GMF's vectors.
        mlp_dim: length of the tower's vectors.
        hidden: widths of the tower. In the paper the last one equals `factors`.
        init_std: standard deviation of the vectors at the start.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        factors: int = 8,
        mlp_dim: int = 16,
        hidden: Sequence[int] = (32, 16, 8),
        init_std: float = 0.01,
    ) -> None:
        super().__init__()
        self.n_users, self.n_items = n_users, n_items
        self.gmf = GMF(n_users, n_items, factors, bias=False, init_std=init_std)
        self.mlp = NCFMLP(n_users, n_items, mlp_dim, hidden, init_std)
        # The one h spans both parts, and starts at the size that its whole width asks for.
        width = factors + self.mlp.output.in_features
        for part in (self.gmf, self.mlp):
            nn.init.normal_(part.output.weight, std=width**-0.5)

    @classmethod
    def from_pretrained(cls, gmf: GMF, mlp: NCFMLP, alpha: float = 0.5) -> NeuMF:
        """Start from a trained GMF and a trained MLP (section 3.4.1).

        h becomes [alpha h_GMF; (1 − alpha) h_MLP], and its bias is mixed in the same way: the
        logit is then exactly alpha times GMF's plus (1 − alpha) times the MLP's. The paper goes on
        with plain SGD, as Adam's moments are not carried over.

        Args:
            gmf: trained.
            mlp: trained, for the same users and items.
            alpha: weight of GMF, 0 to 1.
        """
        if (gmf.n_users, gmf.n_items) != (mlp.n_users, mlp.n_items):
            raise ValueError(
                f"gmf is for {gmf.n_users} users and {gmf.n_items} items, mlp for {mlp.n_users} "
                f"and {mlp.n_items}; they must be for the same"
            )
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1")
        model = cls(gmf.n_users, gmf.n_items, gmf.factors, mlp.mlp_dim, mlp.hidden)
        with torch.no_grad():
            model.gmf.user_vectors.weight.copy_(gmf.user_vectors.weight)
            model.gmf.item_vectors.weight.copy_(gmf.item_vectors.weight)
            model.gmf.output.weight.copy_(alpha * gmf.output.weight)
            model.mlp.load_state_dict(mlp.state_dict())
            model.mlp.output.weight.mul_(1 - alpha)
            model.mlp.output.bias.mul_(1 - alpha)
            if gmf.output.bias is not None:
                model.mlp.output.bias.add_(alpha * gmf.output.bias)
        return model.to(gmf.output.weight.device)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Logits `[B]` for users `[B]` and items `[B]`, or of any shapes that broadcast."""
        return self.gmf(users, items) + self.mlp(users, items)

    def score(self, users: Tensor) -> Tensor:
        """Logits `[U, N]` of the whole catalogue for users `[U]`."""
        return self.gmf.score(users) + self.mlp.score(users)


#: Pairs whose hidden layers stand in memory at once when a catalogue is scored.
PAIRS_AT_ONCE = 100_000


def _table(name: str, n: int, dim: int, std: float) -> QuickEmbedding:
    check_positive(name, n)
    table = QuickEmbedding(n, dim)
    nn.init.normal_(table.weight, std=std)
    return table


def _layer(n_in: int, n_out: int) -> nn.Linear:
    check_positive("hidden", n_out)
    layer = nn.Linear(n_in, n_out)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _output(width: int, bias: bool = True) -> nn.Linear:
    """h: one weight a factor, with standard deviation 1 / sqrt(width), and a bias of 0."""
    layer = nn.Linear(width, 1, bias)
    nn.init.normal_(layer.weight, std=width**-0.5)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def _times(
    weight: Tensor, table: QuickEmbedding, ids: Tensor, bias: Tensor | None = None
) -> Tensor:
    """`weight` times the vector of each id; where ids outnumber the table's rows, once a row."""
    if ids.numel() > table.num_embeddings:
        return look_up(F.linear(table.weight, weight, bias), ids)
    return F.linear(table(ids), weight, bias)


def _check_pairs(model: nn.Module, users: Tensor, items: Tensor) -> None:
    check_ids("users", users, model.n_users)
    check_ids("items", items, model.n_items)
