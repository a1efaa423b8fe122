"""What is known of an item before anybody has met it: its text as vectors, and guesses from it.

Text becomes `[N, C]` float32, every row of length 1, or 0 where there is nothing to go by. From
there to an item that has no trained vector: the mean of its category, a ridge regression, or
content and ids in one gradient (`recsys_book.models.content_factorization`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import Ridge
from torch import Tensor
from torch.nn import functional as F

from recsys_book.arguments import check_finite, check_ids, check_positive


class ContentUnavailable(RuntimeError):
    """A text encoder is not installed, or its weights are not on this machine."""


# ---------------------------------------------------------------- text as vectors


def tfidf(texts: Sequence[str], fit_on: Tensor, dim: int | None = None, *, seed: int = 0) -> Tensor:
    """Words counted, rare words counting more: tf · idf (Spärck Jones, Journal of Documentation 28,
    1972, https://doi.org/10.1108/eb026526), by scikit-learn's TfidfVectorizer.

    Args:
        texts: N of them.
        fit_on: `[N]` bool or `[n]` positions of the known items. Vocabulary and document counts
            come from these alone: a word that only new items have counts for nothing.
        dim: reduce to so many columns by TruncatedSVD, fitted on the same texts; None keeps one
            column a word.
        seed: of the reduction.

    Returns:
        `[N, C]`; zeros for a text without a known word.

    Raises:
        ValueError: no text to fit on, none of them with a word, dim not under the number of words.
    """
    known = _positions(fit_on, len(texts))
    vectorizer = TfidfVectorizer(dtype=np.float64)
    vectorizer.fit([texts[i] for i in known])
    words = vectorizer.transform(texts)  # sparse [N, words]
    if dim is None:
        return torch.from_numpy(words.toarray()).float()
    check_positive("dim", dim)
    if dim >= words.shape[1]:
        raise ValueError(f"dim is {dim}; it must be under the number of words, {words.shape[1]}")
    svd = TruncatedSVD(dim, random_state=seed).fit(words[known])
    return F.normalize(torch.from_numpy(svd.transform(words))).float()


def hashed_words(texts: Sequence[str], buckets: int) -> Tensor:
    """Each word added, with a sign, to the bucket that its hash names: nothing is fitted.

    Weinberger et al.: Feature Hashing for Large Scale Multitask Learning. ICML 2009,
    https://doi.org/10.1145/1553374.1553516; by scikit-learn's HashingVectorizer.

    Args:
        texts: N of them.
        buckets: C. Words that share one cannot be told apart.

    Returns:
        `[N, C]`.
    """
    check_positive("buckets", buckets)
    hashed = HashingVectorizer(n_features=buckets, dtype=np.float64).transform(texts)
    return torch.from_numpy(hashed.toarray()).float()


def sentence_vectors(texts: Sequence[str], model: str = "all-MiniLM-L6-v2") -> Tensor:
    """Sentences as a pre-trained encoder sees them.

    Reimers, Gurevych: Sentence-BERT. EMNLP 2019, https://doi.org/10.18653/v1/D19-1410; by the
    package sentence-transformers, which the book does not install. Nothing is downloaded here.

    Args:
        texts: N of them.
        model: name of an encoder whose weights are on this machine, or its folder.

    Returns:
        `[N, C]`, 384 columns for the default.

    Raises:
        ContentUnavailable: the package is not installed, or the weights are not at hand.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ContentUnavailable(
            "sentence_vectors needs the package sentence-transformers: "
            "pip install sentence-transformers"
        ) from error
    try:
        encoder = SentenceTransformer(model, local_files_only=True)
    except (OSError, ValueError) as error:  # how the hub's client tells of missing files
        raise ContentUnavailable(
            f"the weights of {model!r} are not on this machine ({error}); with a network "
            f"sentence_transformers.SentenceTransformer({model!r}) fetches them once"
        ) from error
    vectors = np.asarray(encoder.encode(list(texts), show_progress_bar=False))
    return F.normalize(torch.from_numpy(vectors).float())


def one_hots(*columns: Tensor) -> Tensor:
    """Categories side by side, as content of unit length.

    Args:
        columns: `[N]` int64 each, from 0.

    Returns:
        `[N, C]`, C the sum of the columns' numbers of categories.
    """
    return F.normalize(torch.cat([F.one_hot(column) for column in columns], dim=1).float())


# ---------------------------------------------------------------- vectors for those who have none


def vectors_from_content(
    vectors: Tensor, content: Tensor | np.ndarray | sparse.spmatrix, known: Tensor, l2: float = 1.0
) -> Tensor:
    """Ridge regression of trained vectors on content: what would a new item's vector be?

    min over W, a of  Σ_known |v_i − a − W c_i|² + l2 |W|² (Hoerl, Kennard, Technometrics 12, 1970,
    https://doi.org/10.1080/00401706.1970.10488634), by scikit-learn; the intercept a is not shrunk.
    Mapping content onto trained factors is from Gantner et al.: Learning Attribute-to-Feature
    Mappings for Cold-Start Recommendations. ICDM 2010, https://doi.org/10.1109/ICDM.2010.129.

    Args:
        vectors: `[N, D]`; rows of unknown items are not looked at.
        content: `[N, C]`: a tensor, an array or a sparse matrix.
        known: `[N]` bool, items whose vectors have been trained; at least one.
        l2: above 0; so much, in units of items, does a column without evidence weigh.

    Returns:
        `[N, D]`: known items keep their vectors, the others get what their content predicts.

    Raises:
        ValueError: nothing known, shapes that do not fit, NaN, l2 not above 0.
    """
    vectors = vectors.detach()
    _check_known(known, "vectors", vectors)
    if len(content.shape) != 2 or content.shape[0] != len(vectors):
        raise ValueError(f"content has shape {tuple(content.shape)}; it must be [{len(known)}, C]")
    columns = content.detach().cpu().double().numpy() if isinstance(content, Tensor) else content
    told = columns.data if sparse.issparse(columns) else columns
    check_finite("content", torch.from_numpy(np.asarray(told, dtype=np.float64)))
    check_positive("l2", l2)
    rows = known.cpu().numpy()
    ridge = Ridge(alpha=l2).fit(columns[rows], vectors[known].cpu().double().numpy())
    # With D = 1 scikit-learn drops the axis.
    predicted = torch.from_numpy(ridge.predict(columns)).view(len(vectors), -1).to(vectors)
    return torch.where(known[:, None], vectors, predicted)


def category_means(vectors: Tensor, category: Tensor, known: Tensor) -> Tensor:
    """A new item starts as the mean of the known items of its category.

    Args:
        vectors: `[N, D]`; rows of unknown items are not looked at.
        category: `[N]` int64, from 0.
        known: `[N]` bool, items whose vectors have been trained; at least one.

    Returns:
        `[N, D]`: known items keep their vectors; in a category without any known item the mean of
        all known items stands in.

    Raises:
        ValueError: nothing known, shapes that do not fit, NaN, a negative category.
    """
    _check_known(known, "vectors", vectors)
    if category.shape != known.shape:
        raise ValueError(f"category has shape {tuple(category.shape)}; it must be [{len(known)}]")
    n = int(category.max()) + 1
    check_ids("category", category, max(n, 1))
    some, of = vectors[known].double(), category[known].long()
    count = torch.bincount(of, minlength=n)  # [n]
    total = some.new_zeros(n, vectors.shape[1]).index_add_(0, of, some)
    mean = torch.where(count[:, None] > 0, total / count.clamp(min=1)[:, None], some.mean(0))
    return torch.where(known[:, None], vectors, mean[category.long()].to(vectors.dtype))


def _positions(fit_on: Tensor, n: int) -> list[int]:
    if fit_on.dtype == torch.bool:
        if fit_on.shape != (n,):
            raise ValueError(f"fit_on has shape {tuple(fit_on.shape)}; as a mask it must be [{n}]")
        fit_on = fit_on.nonzero().squeeze(1)
    check_ids("fit_on", fit_on, n)
    if fit_on.numel() == 0:
        raise ValueError("fit_on names no text; there must be at least one to learn words from")
    return fit_on.tolist()


def _check_known(known: Tensor, name: str, vectors: Tensor) -> None:
    if vectors.dim() != 2:
        raise ValueError(f"{name} has shape {tuple(vectors.shape)}; it must be [N, D]")
    if known.dtype != torch.bool or known.shape != vectors.shape[:1]:
        raise ValueError(
            f"known has shape {tuple(known.shape)} and dtype {known.dtype}; "
            f"it must be [{len(vectors)}] bool"
        )
    if not known.any():
        raise ValueError("known is False everywhere; there must be an item to learn from")
    check_finite(f"{name} of known items", vectors[known])
