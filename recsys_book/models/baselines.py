"""Baselines that every ranking table of the book contains."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from recsys_book.arguments import check_ids, check_positive
from recsys_book.data.interactions import Interactions


class Popularity:
    """Rank by how often an item was chosen: the same list for everyone.

    "TopPopular" in Ferrari Dacrema et al., A Troubling Analysis of Reproducibility and Progress in
    Recommender Systems Research. TOIS 39 (2), 2021, https://doi.org/10.1145/3434185.

    Args:
        train: the interactions to count.
    """

    def __init__(self, train: Interactions) -> None:
        self.n_users, self.n_items = train.n_users, train.n_items
        self.counts = train.item_counts()  # [N]

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        """Counts `[B]` of items `[B]`; users `[B]` change nothing."""
        check_ids("users", users, self.n_users)
        check_ids("items", items, self.n_items)
        return self.counts.to(items.device)[items].double()

    def score(self, users: Tensor) -> Tensor:
        """Counts `[U, N]` of the whole catalogue, one equal row per user in users `[U]`."""
        check_ids("users", users, self.n_users)
        row = self.counts.to(users.device).to(torch.float64)
        return row.expand(len(users), -1)


class _ScoresUsers:
    """Pair scores from whole rows: `model(users [B], items [B])` -> `[B]`."""

    n_users: int
    n_items: int

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores `[B]` of pairs."""
        check_ids("items", items, self.n_items)
        distinct, row = users.unique(return_inverse=True)
        return self.score(distinct)[row, items]

    def score(self, users: Tensor) -> Tensor:
        """Scores `[U, N]` of the whole catalogue for users `[U]`."""
        raise NotImplementedError


class ItemKNN(_ScoresUsers):
    """Rank films by their likeness to what the user has chosen.

    Sarwar, Karypis, Konstan, Riedl: Item-Based Collaborative Filtering Recommendation Algorithms.
    WWW 2001, https://doi.org/10.1145/371920.372071. Likeness is the cosine of two columns of the
    user-by-item matrix, with a shrinkage h that distrusts pairs with few users in common:

        s_ij = (x_i · x_j) / (|x_i| |x_j| + h)

    Each item keeps its k most similar ones. Before that, each user's row may be weighed down by its
    length (`damping`): somebody who chose everything says little about what goes with what.

    Args:
        train: what each user chose.
        k: neighbours kept per item.
        shrinkage: h, at least 0.
        damping: exponent a; user u counts 1 / (items of u)^a. 0 counts everybody alike.
        block: items whose similarities stand in memory at once.
    """

    def __init__(
        self,
        train: Interactions,
        k: int = 100,
        shrinkage: float = 10.0,
        damping: float = 0.5,
        block: int = 1_024,
    ) -> None:
        check_positive("k", k)
        if shrinkage < 0:
            raise ValueError(f"shrinkage is {shrinkage}; it must be at least 0")
        self.n_users, self.n_items = train.n_users, train.n_items
        self.chosen = choices(train)  # [U, N] sparse
        length = np.asarray(self.chosen.sum(axis=1)).ravel()
        weight = np.maximum(length, 1) ** (-damping / 2)
        x = (sparse.diags(weight) @ self.chosen).tocsc()
        norm = np.sqrt(np.asarray(x.multiply(x).sum(axis=0)).ravel())
        columns = []
        for first in range(0, self.n_items, block):
            together = (x.T @ x[:, first : first + block]).tocoo()  # [N, block]
            row, column = together.row, together.col
            value = together.data / (norm[row] * norm[column + first] + shrinkage)
            value[row == column + first] = 0  # an item is no neighbour of itself
            columns.append(_top_per_column(row, column, value, together.shape, k))
        self.similarity = sparse.hstack(columns).tocsr()  # [N, N], column j: neighbours of j

    def score(self, users: Tensor) -> Tensor:
        """Summed similarities `[U, N]` of every item to what users `[U]` chose."""
        check_ids("users", users, self.n_users)
        rows = self.chosen[users.cpu().numpy()] @ self.similarity
        return torch.from_numpy(rows.toarray()).to(users.device)

    def neighbours(self, item: int, n: int = 5) -> list[tuple[int, float]]:
        """The n most similar items to one item, with their similarities."""
        column = self.similarity[:, item].toarray().ravel()
        order = np.argsort(-column, kind="stable")[:n]
        return [(int(i), float(column[i])) for i in order if column[i] > 0]


def choices(train: Interactions) -> sparse.csr_matrix:
    """`[U, N]` float64, 1 where the user chose the item, however often."""
    users, items = train.user.cpu().numpy(), train.item.cpu().numpy()
    ones = np.ones(len(users))
    table = sparse.csr_matrix((ones, (users, items)), shape=(train.n_users, train.n_items))
    table.data[:] = 1  # repeated pairs were summed
    return table


def _top_per_column(row, column, value, shape, k) -> sparse.csc_matrix:
    """The k largest positive values of each column; of equals, the item with the lower id."""
    order = np.lexsort((row, -value, column))
    row, column, value = row[order], column[order], value[order]
    start = np.searchsorted(column, np.arange(shape[1]))
    keep = (np.arange(len(column)) - start[column] < k) & (value > 0)
    return sparse.csc_matrix((value[keep], (row[keep], column[keep])), shape=shape)


class EASE(_ScoresUsers):
    """A linear model from items to items, solved in closed form.

    Steck: Embarrassingly Shallow Autoencoders for Sparse Data. WWW 2019,
    https://doi.org/10.1145/3308558.3313710, equation 8: predict each item from all others, with
    squared error, L2 and a zero diagonal. With G = X'X and P = (G + l2 I)^-1,

        B_ij = −P_ij / P_jj, and 0 on the diagonal; score = X B

    Where there are fewer users than items, the same scores come from the U x U inverse
    K = (XX' + l2 I)^-1 (Woodbury's identity: P = (I − X' K X) / l2), and no N x N table is made.

    Args:
        train: what each user chose.
        l2: strength of the regularization, above 0. The one thing to tune.

    Raises:
        ValueError: l2 not above 0, or a table that would not fit: of items by the fewer of users
            and items, with more places than 30,000 by 30,000.
    """

    def __init__(self, train: Interactions, l2: float = 500.0) -> None:
        if not l2 > 0:
            raise ValueError(f"l2 is {l2}; it must be above 0, or the inverse may not exist")
        if min(train.n_items, train.n_users) * train.n_items > 30_000**2:
            raise ValueError(
                f"train has {train.n_items:,} items and {train.n_users:,} users; EASE needs a "
                "table of the items by the fewer of both and takes at most 30,000 by 30,000. Drop "
                "rare items first (k_core)"
            )
        self.n_users, self.n_items, self.l2 = train.n_users, train.n_items, l2
        self.chosen = choices(train)  # [U, N]
        self.few_users = self.n_users < self.n_items
        x = self.chosen.T if self.few_users else self.chosen
        gram = torch.from_numpy((x.T @ x).toarray())  # [N, N] or, of the users, [U, U]
        gram.diagonal().add_(l2)
        inverse = torch.linalg.inv(gram)
        if self.few_users:
            dense = torch.from_numpy(self.chosen.toarray())  # X, [U, N]
            self._kx = inverse @ dense  # K X, [U, N]
            self._diagonal = (1 - (dense * self._kx).sum(0)) / l2  # of P, [N]
        else:
            self._weights = inverse.div_(-inverse.diagonal())  # [N, N]
            self._weights.fill_diagonal_(0)

    @property
    def weights(self) -> Tensor:
        """B `[N, N]`: column j predicts item j."""
        if not self.few_users:
            return self._weights
        p = torch.from_numpy(self.chosen.T @ self._kx.numpy()) / -self.l2
        return (p / -self._diagonal).fill_diagonal_(0)

    def score(self, users: Tensor) -> Tensor:
        """Predictions `[U, N]` for users `[U]`."""
        check_ids("users", users, self.n_users)
        rows = self.chosen[users.cpu().numpy()]
        if not self.few_users:
            return torch.from_numpy(rows @ self._weights.numpy()).to(users.device)
        own = torch.from_numpy(rows.toarray())  # x, [U, N]
        through = torch.from_numpy((rows @ self.chosen.T) @ self._kx.numpy())  # x X' K X
        # x B = −x P / diag(P), plus what the diagonal of P had put in for the item itself.
        scores = own - (own - through) / self.l2 / self._diagonal
        return scores.to(users.device)

    def neighbours(self, item: int, n: int = 5) -> list[tuple[int, float]]:
        """The n items that count most for predicting one item, with their weights."""
        check_ids("item", torch.tensor([item]), self.n_items)
        value, index = self.weights[:, item].topk(min(n, self.n_items))
        return [(int(i), float(v)) for i, v in zip(index, value, strict=True) if v > 0]


class IALS(_ScoresUsers):
    """Matrix factorization of implicit feedback by alternating least squares.

    Hu, Koren, Volinsky: Collaborative Filtering for Implicit Feedback Datasets. ICDM 2008,
    https://doi.org/10.1109/ICDM.2008.22, in the form of Rendle, Krichene, Zhang, Koren: Revisiting
    the Performance of iALS on Item Recommendation Benchmarks. RecSys 2022,
    https://doi.org/10.1145/3523227.3548486: every chosen pair should score 1, every pair at all
    should score 0 with the small weight a, and the L2 of a vector grows with how often it occurs:

        sum over chosen (p_u · q_i − 1)^2 + a · sum over all (p_u · q_i)^2
        + l2 · (sum_u (n_u + a N)^v |p_u|^2 + sum_i (n_i + a U)^v |q_i|^2)

    With the items fixed, each user's vector is the solution of a D x D system, and the other way
    round. All systems of a block are solved in one call.

    Args:
        train: what each user chose.
        dim: D.
        unobserved_weight: a, above 0.
        l2: strength of the regularization, above 0.
        frequency_exponent: v, 0 (the same for everybody) to 1 (in proportion to frequency).
        sweeps: how often users and items are solved for in turn.
        seed: of the items' start.
        block: largest number of chosen pairs whose vectors stand in memory at once.
    """

    def __init__(
        self,
        train: Interactions,
        dim: int = 64,
        unobserved_weight: float = 0.1,
        l2: float = 0.003,
        frequency_exponent: float = 1.0,
        sweeps: int = 12,
        seed: int = 0,
        block: int = 200_000,
    ) -> None:
        check_positive("dim", dim)
        check_positive("sweeps", sweeps)
        for name, value in (("unobserved_weight", unobserved_weight), ("l2", l2)):
            if not value > 0:
                raise ValueError(f"{name} is {value}; it must be above 0")
        self.n_users, self.n_items, self.dim = train.n_users, train.n_items, dim
        chosen = choices(train)
        by_user, by_item = _Lists(chosen, block), _Lists(chosen.T.tocsr(), block)
        a = unobserved_weight
        user_l2 = l2 * (by_user.count + a * self.n_items) ** frequency_exponent  # [U]
        item_l2 = l2 * (by_item.count + a * self.n_users) ** frequency_exponent  # [N]
        generator = torch.Generator().manual_seed(seed)
        self.item_vectors = torch.randn(self.n_items, dim, generator=generator) * 0.1 / dim**0.5
        for _ in range(sweeps):
            self.user_vectors = by_user.solve(self.item_vectors, a, user_l2)  # [U, D]
            self.item_vectors = by_item.solve(self.user_vectors, a, item_l2)  # [N, D]

    def score(self, users: Tensor) -> Tensor:
        """Dot products `[U, N]` for users `[U]`."""
        check_ids("users", users, self.n_users)
        return (self.user_vectors[users.cpu()] @ self.item_vectors.T).to(users.device)


class _Lists:
    """Who chose what, as padded lists: rows of like length stand together, R rows in all."""

    def __init__(self, chosen: sparse.csr_matrix, block: int) -> None:
        self.count = torch.from_numpy(np.diff(chosen.indptr)).float()  # [R]
        self.blocks = []  # (rows [b], ids [b, L], mask [b, L])
        start = torch.from_numpy(chosen.indptr[:-1].astype(np.int64))
        flat = torch.from_numpy(chosen.indices.astype(np.int64))
        order = self.count.argsort(stable=True)
        lengths = self.count[order].long()
        first = 0
        while first < len(order):
            # The longest of a block is its last row: take as many as fit when padded to it.
            last = min(first + max(block // max(int(lengths[first]), 1), 1), len(order))
            while last - first > 1 and (last - first) * int(lengths[last - 1]) > block:
                last = first + (last - first + 1) // 2
            rows = order[first:last]
            place = torch.arange(max(int(lengths[last - 1]), 1))
            mask = place < self.count[rows][:, None]
            position = (start[rows][:, None] + place).clamp(max=max(len(flat) - 1, 0))
            ids = flat[position] if len(flat) else torch.zeros_like(position)
            self.blocks.append((rows, ids * mask, mask))
            first = last

    def solve(self, other: Tensor, unobserved_weight: float, l2: Tensor) -> Tensor:
        """`[R, D]`: the best vectors for the rows, given the other side's `[., D]`."""
        dim = other.shape[1]
        everything = unobserved_weight * other.T @ other  # [D, D]
        solved = torch.empty(len(self.count), dim)
        for rows, ids, mask in self.blocks:
            vectors = other[ids] * mask.unsqueeze(-1)  # [b, L, D]
            system = everything + vectors.transpose(1, 2) @ vectors  # [b, D, D]
            system += l2[rows][:, None, None] * torch.eye(dim)
            target = vectors.sum(dim=1).unsqueeze(-1)  # [b, D, 1]
            factor = torch.linalg.cholesky(system)
            solved[rows] = torch.cholesky_solve(target, factor).squeeze(-1)
        return solved
