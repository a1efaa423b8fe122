"""From a history to a ranked list: nearest neighbours, then a ranker over the few hundred found.

The two stages of Covington, Adams, Sargin: Deep Neural Networks for YouTube Recommendations. RecSys
2016, https://doi.org/10.1145/2959100.2959190, figure 2. Which index to use the paper does not say.
Here: the exact one, and FAISS's (Johnson, Douze, Jégou: Billion-scale similarity search with GPUs.
IEEE Transactions on Big Data 2021), among them HNSW (Malkov, Yashunin: Efficient and robust
approximate nearest neighbor search using Hierarchical Navigable Small World graphs. IEEE TPAMI
2020, arXiv:1603.09320).
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import pickle
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from recsys_book.arguments import check_finite, check_ids, check_k, check_whole
from recsys_book.data.interactions import ABSENT
from recsys_book.models.youtube_dnn import CandidateGenerator, WatchTimeRanker

KINDS = ("exact", "flat", "ivf", "hnsw")
FORMAT = 2  # of files; a file of another one is refused
#: How good the default effort is to be: so much of the so many nearest is to be found.
RECALL_WANTED, K_MEASURED = 0.95, 100


# ---------------------------------------------------------------- an index


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
            where there are fewer), at the default effort; 1 for the kinds that look at every item,
            None in a file written before it was measured.
    """

    def __init__(
        self,
        kind: str,
        n_items: int,
        dim: int,
        catalogue: str,
        normalized: bool,
        made_of: str,
        store: object,
        expected_recall: float | None = None,
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

    def save(self, path: str | os.PathLike) -> None:
        """Write the index to one file: whole, or not at all."""
        _save(path, "index", self._content())

    def _content(self) -> dict:
        payload = self._store
        if self.kind != "exact":
            payload = torch.from_numpy(_faiss().serialize_index(self._store))
        return {
            "kind": self.kind, "n_items": self.n_items, "dim": self.dim, "payload": payload,
            "catalogue": self.catalogue, "normalized": self.normalized, "made_of": self.made_of,
            "expected_recall": self.expected_recall,
        }  # fmt: skip

    @classmethod
    def _from_content(cls, content: dict) -> Index:
        store = content.pop("payload")
        if content["kind"] != "exact":
            store = _faiss().deserialize_index(store.numpy())
        return cls(**content, store=store)

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
    `python -m recsys_book.serving` prints it (queries drawn apart from the items):

                                   ivf, least  default  hnsw, least  default
        lengths with a long tail         0.16     0.99         0.94     0.95
        one direction shared             0.89     0.99         0.99     0.99
        all directions alike             0.39     0.96         0.97     0.97


    Args:
        vectors: `[N, D]`; ids are their rows.
        kind: "exact", a matrix product and the best k of it; "flat", the same by FAISS; "ivf",
            items in lists by k-means, of which a search visits the nearest; "hnsw", a graph of
            neighbours that a search walks along.
        catalogue: name of the catalogue's version; `load_index` refuses another one.
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
    made_of, vectors = _digest(vectors), vectors.detach().double().cpu()
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


def _digest(vectors: Tensor) -> str:
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


def load_index(path: str | os.PathLike, *, catalogue: str | None = None) -> Index:
    """Read what `Index.save` wrote.

    Args:
        path: the file.
        catalogue: the version in use; None takes any.

    Raises:
        ValueError: no such file, a corrupt one, one of another format, content or catalogue.
    """
    index = Index._from_content(_load(path, "index"))
    _check_catalogue(path, index.catalogue, catalogue)
    return index


def recall(found: Tensor, exact: Tensor) -> float:
    """Share of the exact neighbours `[B, k]` that an approximate search `[B, k']` found."""
    if found.dim() != 2 or exact.dim() != 2 or len(found) != len(exact) or exact.numel() == 0:
        raise ValueError(
            f"found has shape {tuple(found.shape)} and exact {tuple(exact.shape)}; "
            "they must be [B, k'] and [B, k]"
        )
    return float((exact[:, :, None] == found[:, None, :]).any(-1).double().mean())


# ---------------------------------------------------------------- two stages


@dataclass(frozen=True)
class Ranked:
    """Answer to one request.

    Attributes:
        items: `[n]` ids, the best first.
        watch_time: `[n]` what the ranker expects of each, in the unit it was taught.
        candidates: `[C]` what the first stage found, in its order.
        milliseconds: stage → how long it took.
    """

    items: Tensor
    watch_time: Tensor
    candidates: Tensor
    milliseconds: dict[str, float]


class Funnel:
    """History → user vector → candidates → ranked list.

    Args:
        generator: first stage.
        ranker: second stage.
        index: over the generator's item vectors.
        catalogue: version that all three were made for.

    Raises:
        ValueError: parts of different catalogues, or an index of other vectors than the
            generator's: a model that was trained on needs its index built again.
    """

    def __init__(
        self,
        generator: CandidateGenerator,
        ranker: WatchTimeRanker,
        index: Index,
        catalogue: str = "",
    ) -> None:
        sizes = {"generator": generator.n_items, "ranker": ranker.n_items, "index": index.n_items}
        if len(set(sizes.values())) > 1:
            words = ", ".join(f"{name} {n}" for name, n in sizes.items())
            raise ValueError(f"the parts know different numbers of items: {words}")
        if index.catalogue != catalogue:
            raise ValueError(
                f"index is of catalogue {index.catalogue!r}; the funnel is of {catalogue!r}"
            )
        if index.made_of != _digest(generator.item_vectors()):
            raise ValueError("index is not made of the generator's item vectors; build it again")
        self.generator, self.ranker = generator.eval(), ranker.eval()
        self.index, self.catalogue = index, index.catalogue

    @torch.no_grad()
    def recommend(
        self,
        history: Tensor,
        n: int = 20,
        *,
        n_candidates: int = 200,
        context: Tensor | None = None,
        features: Callable[[Tensor], tuple[Tensor | None, Tensor | None]] | None = None,
        effort: int | None = None,
    ) -> Ranked:
        """One request.

        Args:
            history: `[L]` ids of what was watched, in any order; empty for somebody new.
            n: length of the list.
            n_candidates: C, what the first stage hands over, or all that is not watched and that
                the index can reach, if that is less; watched items are left out before.
            context: `[F]` ids for the generator.
            features: `features(items [C])` gives the ranker's fields `[C, F']` and continuous
                inputs `[C, C']` (None where it takes none).
            effort: of the index, to begin with: it is doubled for as long as fewer than C are
                found.

        Raises:
            ValueError: an unknown item in the history, n above what is left of the catalogue or
                what the index can reach.
        """
        n_items = self.index.n_items
        if history.dim() != 1:
            raise ValueError(f"history has shape {tuple(history.shape)}; it must be [L]")
        history = history.long() if history.numel() == 0 else history
        at = self.generator.item_vectors().device
        history = history.to(at)
        check_ids("history", history, n_items)
        watched = history.unique()
        check_whole("n", n)
        check_whole("n_candidates", n_candidates)
        if n > min(n_candidates, n_items - len(watched)):
            raise ValueError(
                f"n is {n}; there are {n_candidates} candidates at most and "
                f"{n_items - len(watched)} items not watched"
            )
        clock = [time.perf_counter()]
        tick = lambda: clock.append(time.perf_counter())
        user = self.generator(history[None], None if context is None else context[None])
        tick()
        found = self._candidates(user, watched, n_candidates, effort)
        if len(found) < n:
            raise ValueError(
                f"n is {n}; the index reaches {len(found)} of the "
                f"{n_items - len(watched)} items not watched: build it with more links"
            )
        tick()
        fields, continuous = (None, None) if features is None else features(found)
        tick()
        histories = history.expand(len(found), -1)
        expected = self.ranker.predict_watch_time(found, histories, fields, continuous)
        best = expected.topk(min(n, len(found)))
        tick()
        names = ("user vector", "candidates", "features", "ranking")
        took = {
            name: 1e3 * (b - a) for name, a, b in zip(names, clock[:-1], clock[1:], strict=True)
        }
        return Ranked(found[best.indices], best.values, found, took)

    def _candidates(self, user: Tensor, watched: Tensor, wanted: int, effort: int | None) -> Tensor:
        """The nearest items not watched; looks harder until there are enough."""
        n_items = self.index.n_items
        k = min(wanted + len(watched), n_items)
        wanted = min(wanted, n_items - len(watched))
        while True:
            found = self.index.search(user, k, effort)[1][0].to(watched.device)
            found = found[(found != ABSENT) & ~torch.isin(found, watched)][:wanted]
            if len(found) == wanted or self.index.kind in ("exact", "flat"):
                return found
            effort = 2 * (effort or 2 * k)
            if effort > 4 * n_items:  # every list and every item has been looked at
                return found

    def save(self, path: str | os.PathLike) -> None:
        """Both stages and the index in one file: whole, or not at all."""
        parts = {
            name: {
                "arguments": model.arguments,
                "weights": {k: v.cpu() for k, v in model.state_dict().items()},
            }
            for name, model in (("generator", self.generator), ("ranker", self.ranker))
        }
        content = {"catalogue": self.catalogue, "index": self.index._content(), **parts}
        _save(path, "funnel", content)


def load_funnel(path: str | os.PathLike, *, catalogue: str | None = None) -> Funnel:
    """Read what `Funnel.save` wrote; arguments and errors as in `load_index`."""
    content = _load(path, "funnel")
    _check_catalogue(path, content["catalogue"], catalogue)
    models = []
    for name, kind in (("generator", CandidateGenerator), ("ranker", WatchTimeRanker)):
        model = kind(**content[name]["arguments"])
        model.load_state_dict(content[name]["weights"])
        models.append(model)
    return Funnel(*models, Index._from_content(content["index"]), content["catalogue"])


# ---------------------------------------------------------------- files


def _save(path: str | os.PathLike, what: str, content: dict) -> None:
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    body = {"content": content, "what": what, "format": FORMAT}
    try:
        torch.save(body, partial)
        digest = hashlib.sha256(partial.read_bytes()).digest()
        with open(partial, "ab") as stream:  # the digest goes last; a file cut short lacks it
            stream.write(digest)
        _load(partial, what)  # what cannot be read again must not replace what can
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _load(path: str | os.PathLike, what: str) -> dict:
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} is no file; there is no {what} to load")
    whole = path.read_bytes()
    body, digest = whole[:-32], whole[-32:]
    if hashlib.sha256(body).digest() != digest:
        raise ValueError(f"{path} is truncated or altered; build the {what} again")
    try:
        found = torch.load(io.BytesIO(body), weights_only=True, map_location="cpu")
    except (RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as a {what}: {error}") from error
    if found.get("format") != FORMAT:
        raise ValueError(
            f"{path} is of format {found.get('format')!r}; this version reads {FORMAT}"
        )
    if found["what"] != what:
        raise ValueError(f"{path} holds a {found['what']}, not a {what}")
    return found["content"]


def _check_catalogue(path: str | os.PathLike, found: str, wanted: str | None) -> None:
    if wanted is not None and found != wanted:
        raise ValueError(
            f"{path} is of catalogue {found!r}; catalogue {wanted!r} numbers items otherwise"
        )


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


# ---------------------------------------------------------------- what effort gives


def _print_efforts(n: int = 5_000, dim: int = 16, k: int = K_MEASURED) -> None:
    """The table in `build_index`: recall of 100 queries on planted vectors."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    tail = torch.nn.functional.normalize(draw(n, dim)) * draw(n, 1).exp()
    shared = torch.eye(dim)[0]
    worlds = {
        "lengths with a long tail": (tail, draw(100, dim)),
        "one direction shared": (
            0.6 * draw(n, dim) + 3 * draw(n, 1) * shared,
            0.7 * draw(100, dim) + 1.5 * shared,
        ),
        "all directions alike": (draw(n, dim), draw(100, dim)),
    }
    print(f"{'':26}{'ivf, least':>12}{'default':>9}{'hnsw, least':>13}{'default':>9}")
    for name, (items, queries) in worlds.items():
        exact = build_index(items).search(queries, k)[1]
        row = []
        for kind in ("ivf", "hnsw"):
            index = build_index(items, kind)
            least = max(1, index._store.nlist // 16) if kind == "ivf" else 2 * k
            row += [recall(index.search(queries, k, e)[1], exact) for e in (least, None)]
        print(f"{name:26}{row[0]:12.2f}{row[1]:9.2f}{row[2]:13.2f}{row[3]:9.2f}")


if __name__ == "__main__":
    _print_efforts()
