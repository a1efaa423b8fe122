"""The two networks of YouTube's recommender: candidates from a history, then expected watch time.

Covington, Adams, Sargin: Deep Neural Networks for YouTube Recommendations. RecSys 2016,
https://doi.org/10.1145/2959100.2959190. `CandidateGenerator` is section 3 and figure 3,
`WatchTimeRanker` section 4 and figure 7.

Departures: no search tokens and no geography here, any categorical context takes their place; and
widths are the caller's to choose, the paper's being `PAPER_HIDDEN`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recsys_book.arguments import check_finite, check_ids, check_positive
from recsys_book.layers import MLP, FieldEmbedding

#: Widths of the ReLU layers in the paper's sections 3.5 and 4.3, for both networks.
PAPER_HIDDEN = (1024, 512, 256)


class CandidateGenerator(nn.Module):
    """From what somebody watched to a vector whose neighbours are what they watch next (figure 3).

    The vectors of the watched items are averaged, put beside the context and sent through ReLU
    layers; the last of them *is* the user vector u. Item i is watched next with a chance
    proportional to exp(v_i · u), section 3.1. The v_i are the weights of that softmax, not the
    vectors that histories are read with.

    Args:
        n_items: N; also the id that histories are padded with.
        dim: length of the vectors that histories are read with.
        hidden: widths of the ReLU layers, one at least; the last is D, the length of u and v_i.
        cardinalities: how many ids each of the F context fields has, 0 being "unseen".
        context_dim: length of the vector of a context field.
        oldest: the largest example age in training, in any unit; ages are divided by it. None:
            the model is not told ages.
        init_std: standard deviation of all vectors at the start.

    Raises:
        ValueError: no hidden layer, sizes below 1.
    """

    def __init__(
        self,
        n_items: int,
        dim: int = 32,
        hidden: Sequence[int] = (64, 32),
        cardinalities: Sequence[int] = (),
        context_dim: int = 8,
        oldest: float | None = None,
        init_std: float = 0.01,
    ) -> None:
        super().__init__()
        if len(hidden) == 0:
            raise ValueError("hidden is empty; the last hidden layer is the user vector")
        if oldest is not None:
            check_positive("oldest", oldest)
        self.n_items, self.oldest = n_items, oldest
        self.watched = _padded_table(n_items, dim, init_std)  # [N + 1, dim], the last row is 0
        self.context = (
            FieldEmbedding(cardinalities, context_dim, init_std) if cardinalities else None
        )
        n_in = dim + len(cardinalities) * context_dim + (oldest is not None)
        self.tower = MLP(n_in, hidden, n_out=None)
        self.items = nn.Embedding(n_items, hidden[-1])  # v_i, [N, D]
        nn.init.normal_(self.items.weight, std=init_std)

    def forward(
        self, history: Tensor, context: Tensor | None = None, age: Tensor | None = None
    ) -> Tensor:
        """User vectors.

        Args:
            history: `[B, L]` ids of watched items in any order, padded with N. An empty history is
                all padding, and gives the vector of somebody who is not known yet.
            context: `[B, F]` ids, where the model was made for a context.
            age: `[B]` how long before the end of the training log an example happened. Left out
                when serving: everybody then asks at age 0 (section 3.3).

        Returns:
            `[B, D]`, never negative, as a ReLU is the last thing that happens.
        """
        x = pool_history(self.watched, history)  # [B, dim]
        parts = [x]
        _check_given("context", context, self.context is not None)
        _check_rows(len(history), context=context, age=age)
        if self.context is not None:
            parts.append(self.context(context).flatten(1))  # [B, F · context_dim]
        if self.oldest is None:
            _check_given("age", age, False)
        else:
            parts.append(self._scaled(age, history).to(x.dtype)[:, None])  # [B, 1]
        return self.tower(torch.cat(parts, dim=1))

    def item_vectors(self) -> Tensor:
        """`[N, D]`, what an index is made of."""
        return self.items.weight

    def score(self, history: Tensor, context: Tensor | None = None) -> Tensor:
        """Logits `[B, N]` of the whole catalogue, as served: at age 0."""
        return self(history, context) @ self.item_vectors().T

    def _scaled(self, age: Tensor | None, history: Tensor) -> Tensor:
        if age is None:
            return torch.zeros(len(history), device=history.device)
        if age.shape != history.shape[:1]:
            raise ValueError(f"age has shape {tuple(age.shape)}; it must be [{len(history)}]")
        check_finite("age", age)
        scaled = age.double() / self.oldest  # float32 could not tell seconds of half a year apart
        if len(age) and float(scaled.max()) > 1 + 1e-6:
            raise ValueError(
                f"age contains {float(age.max()):.9g}; the oldest in training was {self.oldest:.9g}"
            )
        return scaled


class WatchTimeRanker(nn.Module):
    """Weighted logistic regression on a tower: exp(logit) is the expected watch time (section 4.2).

    The shown item's vector and the mean of the watched items' come from one table (figure 7).
    Continuous inputs enter as x, x² and √x, each x in 0..1 (section 4.1).

    Args:
        n_items: N; also the id that histories are padded with.
        n_continuous: C, number of continuous inputs, such as the time since the last watch of
            something like it and the number of previous impressions.
        cardinalities: how many ids each of the F other fields has, 0 being "unseen".
        dim: length of an item's vector.
        field_dim: length of the vector of another field.
        hidden: widths of the ReLU layers.
        init_std: standard deviation of all vectors at the start.
    """

    def __init__(
        self,
        n_items: int,
        n_continuous: int = 0,
        cardinalities: Sequence[int] = (),
        dim: int = 32,
        field_dim: int = 8,
        hidden: Sequence[int] = (64, 32),
        init_std: float = 0.01,
    ) -> None:
        super().__init__()
        check_positive("n_continuous", n_continuous, zero_allowed=True)
        self.n_items, self.n_continuous = n_items, n_continuous
        self.items = _padded_table(n_items, dim, init_std)  # [N + 1, dim], the last row is 0
        self.fields = FieldEmbedding(cardinalities, field_dim, init_std) if cardinalities else None
        n_in = 2 * dim + len(cardinalities) * field_dim + 3 * n_continuous
        self.mlp = MLP(n_in, hidden)

    def forward(
        self,
        items: Tensor,
        history: Tensor,
        fields: Tensor | None = None,
        continuous: Tensor | None = None,
    ) -> Tensor:
        """Logits `[B]`: the logarithm of the odds that `watch_time_loss` teaches.

        Args:
            items: `[B]` shown items.
            history: `[B, L]` watched items, padded with N.
            fields: `[B, F]` ids of the other fields, such as languages.
            continuous: `[B, C]`, each in 0..1 (quantiles of the training data).

        Raises:
            ValueError: an id out of range, an input the model was not made for or is missing,
                a continuous value outside 0..1.
        """
        check_ids("items", items, self.n_items)
        if items.dim() != 1:
            raise ValueError(f"items has shape {tuple(items.shape)}; it must be [B]")
        _check_rows(len(items), history=history, fields=fields, continuous=continuous)
        parts = [self.items(items), pool_history(self.items, history)]
        _check_given("fields", fields, self.fields is not None)
        _check_given("continuous", continuous, self.n_continuous > 0)
        if self.fields is not None:
            parts.append(self.fields(fields).flatten(1))
        if continuous is not None:
            parts.append(powers(continuous, self.n_continuous))
        return self.mlp(torch.cat(parts, dim=1)).squeeze(-1)

    def predict_watch_time(
        self,
        items: Tensor,
        history: Tensor,
        fields: Tensor | None = None,
        continuous: Tensor | None = None,
        *,
        sampling_rate: float = 1.0,
        click_probability: Tensor | None = None,
    ) -> Tensor:
        """Expected watch time of an impression, in the unit that the loss was given.

        The odds learned are (sum of T over the watched) / (number of the others), that is
        E[T] / (1 − p) with p the chance that an impression is watched at all, T > 0. The paper
        serves them as they are, p being small. Where only a share `sampling_rate` of the others
        was kept in training, the odds are too high by as much, and are multiplied by it. (A click
        watched for no time is one of the others, in the loss, in p and when they are thinned out.)

        Args:
            items, history, fields, continuous: as in `forward`.
            sampling_rate: share kept in training of the impressions that nobody watched, above 0,
                at most 1.
            click_probability: `[B]` p; with it the answer is exact, odds · (1 − p).

        Returns:
            `[B]` float64: exp of a logit of 100 is no number in float32.
        """
        if not 0 < sampling_rate <= 1:
            raise ValueError(f"sampling_rate is {sampling_rate}; it must be above 0 and at most 1")
        odds = self(items, history, fields, continuous).double().exp() * sampling_rate
        if click_probability is None:
            return odds
        if click_probability.shape != odds.shape:
            raise ValueError(
                f"click_probability has shape {tuple(click_probability.shape)}; "
                f"it must be {tuple(odds.shape)}"
            )
        _check_unit("click_probability", click_probability)
        return odds * (1 - click_probability.double())


def pool_history(table: nn.Embedding, history: Tensor) -> Tensor:
    """Mean vector `[B, dim]` of padded histories `[B, L]`; zeros for an empty one.

    The padding id, the table's last, counts neither in the sum nor in the number divided by, and
    gets no gradient. (`recsys_book.layers.masked_mean` of the looked-up vectors gives the same;
    here they are never laid out as `[B, L, dim]`.)
    """
    if history.dim() != 2:
        raise ValueError(f"history has shape {tuple(history.shape)}; it must be [B, L]")
    padding = table.num_embeddings - 1
    check_ids("history", history, padding + 1)
    if history.shape[1] == 0:
        return table.weight.new_zeros(len(history), table.embedding_dim)
    return F.embedding_bag(history, table.weight, mode="mean", padding_idx=padding)


def powers(x: Tensor, n: int) -> Tensor:
    """`[B, 3 C]`: x, x² and √x of continuous inputs `[B, C]` in 0..1 (section 4.1)."""
    if x.dim() != 2 or x.shape[1] != n:
        raise ValueError(f"continuous has shape {tuple(x.shape)}; it must be [B, {n}]")
    _check_unit("continuous", x)
    x = x.to(torch.get_default_dtype())
    return torch.cat([x, x.square(), x.sqrt()], dim=1)


def _padded_table(n_items: int, dim: int, std: float) -> nn.Embedding:
    """`[N + 1, dim]`; the last row is padding: zero, and without a gradient."""
    check_positive("n_items", n_items)
    check_positive("dim", dim)
    table = nn.Embedding(n_items + 1, dim, padding_idx=n_items)
    with torch.no_grad():
        table.weight[:n_items].normal_(std=std)
    return table


def _check_given(name: str, value: Tensor | None, wanted: bool) -> None:
    if (value is not None) != wanted:
        found = "missing" if value is None else "given"
        made = "with" if wanted else "without"
        raise ValueError(f"{name} is {found}; this model was made {made} it")


def _check_unit(name: str, values: Tensor) -> None:
    check_finite(name, values)
    if values.numel() and not (0 <= float(values.min()) and float(values.max()) <= 1):
        raise ValueError(
            f"{name} runs from {float(values.min()):g} to {float(values.max()):g}; "
            "it must lie between 0 and 1"
        )


def _check_rows(n: int, **columns: Tensor | None) -> None:
    for name, column in columns.items():
        if column is not None and (column.dim() == 0 or len(column) != n):
            raise ValueError(f"{name} has shape {tuple(column.shape)}; it must have {n} rows")
