"""Nearest neighbours by dot product: exactly, or approximately and sooner.

The exact index is a matrix product. The others are FAISS's (Johnson, Douze, Jégou: Billion-scale
similarity search with GPUs. IEEE Transactions on Big Data 2021), among them HNSW (Malkov, Yashunin:
Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small World
graphs. IEEE TPAMI 2020, arXiv:1603.09320).
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
import warnings
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from recsys_book.arguments import check_finite, check_k, check_whole
from recsys_book.data.interactions import ABSENT

KINDS = ("exact", "flat", "ivf", "hnsw")
#: How good the default effort is to be: so much of the so many nearest is to be found.
RECALL_WANTED, K_MEASURED = 0.95, 100


class Index:
    """Finds the items whose vectors have the largest dot products with a query. See `build_index`.

    Attributes:
        kind: one of `KINDS`.
        n_items, dim: N and D.
        catalogue: name of the version of the catalogue that the ids belong to.
        normalized: whether items were brought to length 1, so that length (popularity, often) does
            not count.
        made_of: digest of the vectors it was built from.
        expected_recall: what `build_index` measured: the share found of the 100 nearest (of all,
            where there are fewer), at the default effort; 1 for the kinds that look at every item.
    """

    def __init__(
        self,
        kind: str,
        n_items: int,
        dim: int,
        catalogue: str,
        normalized: bool,
        made_of: str,
        store: Any,
        expected_recall: float = 1.0,
    ) -> None:
        self.kind, self.n_items, self.dim = kind, n_items, dim
        self.catalogue, self.normalized, self.made_of = catalogue, normalized, made_of
        self.expected_recall = expected_recall
        self._store = store  # vectors [N, D] of "exact", an index of FAISS of the others

    def search(self, queries: Tensor, k: int, effort: int | None = None) -> tuple[Tensor, Tensor]:
        """The k nearest items of each query.

        Args:
            queries: `[B, D]` user vectors.
            k: at most N.
            effort: how hard to look, for the approximate kinds: lists visited (nprobe) of "ivf",
                length of the candidate list (efSearch, at least k) of "hnsw". None: what
                `build_index` found to be enough, and 1 in 16 lists, or 2 k, at least.

        Returns:
            dot products `[B, k]`, falling, and ids `[B, k]`. Where an approximate index finds fewer
            than k, −inf and −1 stand at the end. No query gets an empty answer, `[0, k]`.

        Raises:
            ValueError: another dimension, NaN, k or effort out of range.
        """
        if queries.dim() != 2 or queries.shape[1] != self.dim:
            raise ValueError(
                f"queries has shape {tuple(queries.shape)}; it must be [B, {self.dim}], as the "
                "index holds vectors of that length"
            )
        check_finite("queries", queries)
        check_k(k, self.n_items)
        if effort is not None:
            if self.kind not in ("ivf", "hnsw"):
                raise ValueError(f"effort is given; a {self.kind!r} index looks at every item")
            check_whole("effort", effort)
            effort = min(int(effort), 2**31 - 1)  # no index holds more
        queries = queries.detach().float().cpu().contiguous()
        check_finite("queries, in float32,", queries)
        if len(queries) == 0:  # FAISS cannot look up the vectors of no ids
            return torch.empty(0, k), torch.empty(0, k, dtype=torch.int64)
        if self.kind == "exact":
            found = (queries @ self._store.T).topk(k, dim=1)
            return found.values, found.indices
        faiss = _faiss()
        more = {}
        # What was found to be enough when the index was built travels in FAISS's own fields.
        if self.kind == "ivf":
            lists = effort or max(1, self._store.nlist // 16, self._store.nprobe)
            more["params"] = faiss.SearchParametersIVF(nprobe=min(lists, self._store.nlist))
        elif self.kind == "hnsw":
            length = effort or max(2 * k, math.ceil(self._store.hnsw.efSearch * k / K_MEASURED))
            more["params"] = faiss.SearchParametersHNSW(efSearch=max(length, k))
        if self._store.d > self.dim:
            return self._search_lifted(queries, k, more)
        scores, ids = self._store.search(queries.numpy(), k, **more)
        scores, ids = torch.from_numpy(scores), torch.from_numpy(ids)
        return scores.masked_fill(ids == ABSENT, -torch.inf), ids

    def _search_lifted(self, queries: Tensor, k: int, more: dict) -> tuple[Tensor, Tensor]:
        """By distance in the lifted space, see `_lifted`; told as dot products.

        A query is brought to the items' length first. It changes no order of dot products, and a
        short one would be as far from every item: lists would go by their own lengths, and float32
        would round the differences away.
        """
        radius = float(torch.from_numpy(self._store.reconstruct(0)).norm())
        length = queries.norm(dim=1, keepdim=True)
        scaled = queries / torch.where(length > 0, length, 1) * radius
        flat = torch.nn.functional.pad(scaled, (0, 1))  # [B, D + 1]
        ids = torch.from_numpy(self._store.search(flat.numpy(), k, **more)[1])
        found = self._store.reconstruct_batch(ids.clamp(min=0).flatten().numpy())
        found = torch.from_numpy(found).view(*ids.shape, -1)[..., :-1]  # [B, k, D]
        scores = (found * queries[:, None]).sum(-1).masked_fill(ids == ABSENT, -torch.inf)
        best = scores.sort(dim=1, descending=True, stable=True)
        return best.values, ids.gather(1, best.indices)

    def __len__(self) -> int:
        return self.n_items


def build_index(
    vectors: Tensor,
    kind: str = "exact",
    *,
    catalogue: str = "",
    normalize: bool = False,
    n_lists: int | None = None,
    links: int = 32,
    ef_construction: int = 80,
    lift: bool | None = None,
    seed: int = 0,
) -> Index:
    """An index over item vectors.

    How much an approximate index finds depends on the vectors, and cannot be known without a look.
    So its default effort is measured: items' own directions are asked for, and the effort is
    doubled until .95 of their 100 nearest are found. What is found at last stands in
    `expected_recall`; where no effort is enough, a warning says so.

    For orientation, the share found of the 100 nearest of 5,000 items in 16 dimensions, at the
    smallest effort (1 list in 16; a list of 200 candidates) and at the default one, as
    chapter 04's `bench_index.py` prints it (queries drawn apart from the items):

                                   ivf, least  default  hnsw, least  default
        lengths with a long tail         0.16     0.99         0.94     0.95
        one direction shared             0.89     0.99         0.99     0.99
        all directions alike             0.39     0.96         0.97     0.97


    Args:
        vectors: `[N, D]`; ids are their rows.
        kind: "exact", a matrix product and the best k of it; "flat", the same by FAISS; "ivf",
            items in lists by k-means, of which a search visits the nearest; "hnsw", a graph of
            neighbours that a search walks along.
        catalogue: name of the catalogue's version; a `Funnel` of another one refuses it.
        normalize: bring items to length 1 first: search by cosine. None may be all zeros.
        n_lists: of "ivf"; by default 4 √N, and at most N / 40, as FAISS's k-means asks for.
        links: of "hnsw", neighbours a vector keeps (M), 2 at least.
        ef_construction: of "hnsw", candidates looked at when a vector is linked.
        lift: of "ivf" and "hnsw", whether vectors are brought to one length by a coordinate more
            (`_lifted`): lists and graphs are made by distance, and dot products of vectors of
            unequal lengths are none. Trained vectors want it; of vectors whose directions are drawn
            at random a graph without it finds more, and a length so far above the others that
            float32 rounds them away spoils it. None: with it, but where that finds too little, and
            more without.
        seed: of "ivf"'s k-means. (A graph depends on the order in which threads add to it.)

    Raises:
        ValueError: no vectors, NaN, an unknown kind, knobs out of range.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
    if vectors.dim() != 2 or vectors.numel() == 0:
        raise ValueError(
            f"vectors has shape {tuple(vectors.shape)}; it must be [N, D], with one item at least"
        )
    if not isinstance(catalogue, str):
        raise ValueError(f"catalogue is {catalogue!r}; it must be a text")
    check_finite("vectors", vectors)
    made_of, vectors = digest(vectors), vectors.detach().double().cpu()
    if normalize:
        length = vectors.norm(dim=1, keepdim=True)
        if float(length.min()) == 0:
            zero = int(length.argmin())
            raise ValueError(f"vectors has only zeros in row {zero}; it has no direction")
        vectors = vectors / length
    store = vectors.float().contiguous()
    check_finite("vectors, in float32,", store)
    n, dim = store.shape
    about = (kind, n, dim, str(catalogue), bool(normalize), made_of)
    if kind == "exact":
        return Index(*about, store, 1.0)
    knobs = kind, n_lists, links, ef_construction
    build = lambda lifted: Index(*about, _build_with_faiss(store, *knobs, lifted, seed))
    if kind == "flat":
        index = build(False)
        index.expected_recall = 1.0
        return index
    index = build(lift is not False)
    index.expected_recall = _measured_recall(index, store)
    if kind == "ivf":  # enough effort finds all, if it is not rounded away
        _settle_effort(index, store)
    if lift is None and index.expected_recall < RECALL_WANTED:
        plain = build(False)
        plain.expected_recall = _measured_recall(plain, store)
        if kind == "ivf":
            _settle_effort(plain, store)
        index = plain if plain.expected_recall > index.expected_recall else index
    if kind == "hnsw":
        _settle_effort(index, store)
    if index.expected_recall < RECALL_WANTED:
        warnings.warn(
            f"this {kind!r} index finds {index.expected_recall:.2f} of the items nearest to its "
            "own, at the most effort that was tried; kind='exact' finds all",
            stacklevel=2,
        )
    return index


def _settle_effort(index: Index, vectors: Tensor) -> None:
    """Double the default effort until enough is found, or everything looked at, or 16 times it."""
    store = index._store
    if index.kind == "ivf":
        store.nprobe = max(1, store.nlist // 16)
    else:
        store.hnsw.efSearch = 2 * K_MEASURED
    for _ in range(4):
        if index.expected_recall >= RECALL_WANTED:
            return
        if index.kind == "ivf":
            store.nprobe = min(2 * store.nprobe, store.nlist)
        else:
            store.hnsw.efSearch *= 2
        index.expected_recall = _measured_recall(index, vectors)


def _measured_recall(index: Index, vectors: Tensor) -> float:
    """Share found, at the default effort, of the items nearest to the directions of some 64 items.

    Items as far as the last of the nearest count as well: which of equals is found is all one.
    """
    some = vectors[:: max(1, len(vectors) // 64)]
    some = torch.nn.functional.normalize(some.double()).float()
    k = min(K_MEASURED, len(vectors))
    found = index.search(some, k)[0]
    shares = []
    for asked, got in zip(some.split(16), found.split(16), strict=True):  # [16, N] at once
        last = (asked @ vectors.T).topk(k, dim=1).values[:, -1:]
        shares.append((got >= last - 1e-5 * last.abs()).double().mean(1))
    return float(torch.cat(shares).mean())


def digest(vectors: Tensor) -> str:
    """Of the numbers themselves: whether an index is of these vectors."""
    numbers = vectors.detach().float().cpu().contiguous().numpy()
    return hashlib.sha256(numbers.tobytes()).hexdigest()


def _build_with_faiss(vectors, kind, n_lists, links, ef_construction, lift, seed):
    faiss = _faiss()
    n, dim = vectors.shape
    metric = faiss.METRIC_INNER_PRODUCT
    if kind == "flat":
        index = faiss.IndexFlatIP(dim)
    elif kind == "ivf":
        if n_lists is None:
            n_lists = max(1, min(round(4 * math.sqrt(n)), n // 40))
        if not isinstance(n_lists, int) or not 1 <= n_lists <= n:
            raise ValueError(f"n_lists is {n_lists}; it must lie between 1 and the {n} items")
        if lift:
            vectors, metric = _lifted(vectors), faiss.METRIC_L2
        index = faiss.index_factory(vectors.shape[1], f"IVF{n_lists},Flat", metric)
        index.cp.seed, index.cp.min_points_per_centroid = seed, 1
        index.train(vectors.numpy())
    else:
        if not isinstance(links, int) or links < 2:  # FAISS divides by the logarithm of it
            raise ValueError(f"links is {links!r}; it must be a whole number, 2 at least")
        check_whole("ef_construction", ef_construction)
        if lift:
            vectors, metric = _lifted(vectors), faiss.METRIC_L2
        index = faiss.IndexHNSWFlat(vectors.shape[1], links, metric)
        index.hnsw.efConstruction = ef_construction
    index.add(vectors.numpy())
    if kind == "ivf":
        index.make_direct_map()  # from an id back to its vector
    return index


def _lifted(vectors: Tensor) -> Tensor:
    """`[N, D + 1]`: one more coordinate, so that all vectors have the length of the longest.

    A graph of the largest dot products can be a bad map: where vectors share a direction, as
    trained ones do, the long ones are everybody's neighbours, and a walk gets stuck among them.
    Lists by dot product are worse still: the longest centres draw nearly everything. With equal
    lengths the largest dot product is the smallest distance. Bachrach et al.: Speeding up the Xbox
    recommender system using a Euclidean transformation for inner-product spaces. RecSys 2014,
    https://doi.org/10.1145/2645710.2645741; Neyshabur, Srebro: On Symmetric and Asymmetric LSHs for
    Inner Product Search. ICML 2015, arXiv:1410.5518.
    """
    squares = vectors.double().square().sum(1)
    if float(squares.max()) > 1e36:
        longest = int(squares.argmax())
        raise ValueError(
            f"vectors has length {float(squares[longest].sqrt()):.3g} in row {longest}; it must be "
            "at most 1e18, as float32 holds no larger squares"
        )
    missing = (squares.max() - squares).clamp(min=0).sqrt()
    return torch.cat([vectors, missing[:, None].float()], dim=1).contiguous()


def recall(found: Tensor, exact: Tensor) -> float:
    """Share of the exact neighbours `[B, k]` that an approximate search `[B, k']` found."""
    if found.dim() != 2 or exact.dim() != 2 or len(found) != len(exact) or exact.numel() == 0:
        raise ValueError(
            f"found has shape {tuple(found.shape)} and exact {tuple(exact.shape)}; "
            "they must be [B, k'] and [B, k]"
        )
    return float((exact[:, :, None] == found[:, None, :]).any(-1).double().mean())


def _faiss() -> ModuleType:
    """FAISS, with as many threads as PyTorch has."""
    mac = sys.platform == "darwin"
    if mac:
        # FAISS and PyTorch each bring an OpenMP of their own there, and two of them end the
        # process as soon as both start threads.
        os.environ.setdefault("KMP_DUPLICATE_LIB_OK", "TRUE")
    import faiss

    faiss.omp_set_num_threads(1 if mac else torch.get_num_threads())
    return faiss
