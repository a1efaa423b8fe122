"""Words and categories: TF-IDF, ridge, means of a category."""

import sys
import types

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer

from recsys_book.content import (
    ContentUnavailable,
    category_means,
    hashed_words,
    one_hots,
    sentence_vectors,
    tfidf,
    vectors_from_content,
)
from recsys_book.models.content_factorization import ContentFactorization

TEXTS = ["a dune at noon", "dune and well", "harbour, tide and well", "tide", "unheard words", ""]
KNOWN = torch.tensor([True, True, True, False, False, False])


def test_tfidf_counts_on_known_texts_alone():
    ours = tfidf(TEXTS, KNOWN)
    counts = CountVectorizer().fit(TEXTS[:3])
    n = counts.transform(TEXTS).toarray()
    document = (n[:3] > 0).sum(0)
    weight = n * (np.log((1 + 3) / (1 + document)) + 1)  # scikit-learn's smoothed idf
    length = np.linalg.norm(weight, axis=1, keepdims=True)
    assert np.allclose(ours, weight / np.maximum(length, 1e-12), atol=1e-6)
    assert ours.dtype == torch.float32
    assert torch.allclose(ours.norm(dim=1), torch.tensor([1.0, 1, 1, 1, 0, 0]))
    # Other texts of new items change nothing for the rest; by mask or by position is the same.
    changed = tfidf([*TEXTS[:3], "dune dune", "tide tide tide", "well"], torch.arange(3))
    assert torch.equal(changed[:3], ours[:3])


def test_reduced_tfidf_keeps_angles_when_nothing_is_lost():
    texts = [f"{a} {b} {c}" for a in "xx yy zz".split() for b in ("uu", "vv") for c in ("ww", "tt")]
    known = torch.arange(len(texts)) < 10
    whole, small = tfidf(texts, known), tfidf(texts, known, dim=5)
    # Seven words, of which every text holds three: four directions and the mean say it all.
    assert torch.allclose(small @ small.T, whole @ whole.T, atol=1e-5)
    assert torch.equal(small, tfidf(texts, known, dim=5))
    assert tfidf(texts, known, dim=2).shape == (12, 2)


def test_hashed_words_see_words_and_nothing_else():
    ours = hashed_words([*TEXTS, "Well and DUNE"], 4_096)
    assert torch.allclose(ours.norm(dim=1), torch.tensor([1.0, 1, 1, 1, 1, 0, 1]))
    assert torch.equal(ours[1], ours[6])  # nor the order of the words
    assert float(ours[1] @ ours[3]) == pytest.approx(0)  # no word in common
    assert float(ours[1] @ ours[0]) == pytest.approx(1 / 3)  # dune; "a" is no word
    assert hashed_words(TEXTS, 2).shape == (6, 2)


def test_one_hots():
    ours = one_hots(torch.tensor([0, 2]), torch.tensor([1, 0]))
    half = 0.5**0.5
    assert ours.tolist() == [[pytest.approx(v) for v in row] for row in
                             [[half, 0, 0, 0, half], [0, 0, half, half, 0]]]  # fmt: skip


class FakeEncoder:
    """Stands in for sentence_transformers.SentenceTransformer."""

    def __init__(self, name, local_files_only=False):
        assert local_files_only, "would go to the network"
        if name == "nowhere":
            raise OSError("no such files")

    def encode(self, texts, show_progress_bar=True):
        return np.array([[3.0 * len(text), 4.0 * len(text)] for text in texts])


def test_sentence_vectors_come_from_the_package_where_it_is(monkeypatch):
    fake = types.ModuleType("sentence_transformers")
    fake.SentenceTransformer = FakeEncoder
    fake.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "sentence_transformers", fake)
    vectors = sentence_vectors(["one", ""])
    assert torch.allclose(vectors, torch.tensor([[0.6, 0.8], [0, 0]]))
    assert vectors.dtype == torch.float32
    with pytest.raises(ContentUnavailable, match="weights of 'nowhere'"):
        sentence_vectors(["one"], "nowhere")


def test_without_the_package_one_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ContentUnavailable, match="pip install sentence-transformers"):
        sentence_vectors(["one"])


def test_bad_texts():
    with pytest.raises(ValueError, match="fit_on names no text"):
        tfidf(TEXTS, torch.zeros(6, dtype=torch.bool))
    with pytest.raises(ValueError, match="fit_on has shape"):
        tfidf(TEXTS, KNOWN[:3])
    with pytest.raises(ValueError, match="fit_on contains 6"):
        tfidf(TEXTS, torch.tensor([6]))
    with pytest.raises(ValueError, match="dim is 9"):
        tfidf(TEXTS, KNOWN, dim=9)
    with pytest.raises(ValueError, match="buckets is 0"):
        hashed_words(TEXTS, 0)


@pytest.fixture
def made():
    random = np.random.RandomState(0)
    content = torch.from_numpy(random.standard_normal((60, 7))).float()
    vectors = content @ torch.from_numpy(random.standard_normal((7, 3))).float() + 5
    vectors += torch.from_numpy(random.standard_normal((60, 3))).float()
    known = torch.from_numpy(random.random_sample(60) < 0.7)
    return content, vectors, known, torch.from_numpy(random.randint(4, size=60))


@pytest.mark.parametrize("l2", [0.01, 1.0, 100.0])
def test_vectors_from_content_are_the_closed_form_of_a_ridge(made, l2):
    content, vectors, known, _ = made
    ours = vectors_from_content(vectors, content, known, l2)
    x, y = content[known].double(), vectors[known].double()
    x, y = x - x.mean(0), y - y.mean(0)
    weights = torch.linalg.solve(x.T @ x + l2 * torch.eye(7).double(), x.T @ y)
    expected = (
        vectors[known].double().mean(0)
        + (content[~known].double() - content[known].double().mean(0)) @ weights
    )
    assert torch.allclose(ours[~known].double(), expected, atol=1e-5)
    assert torch.equal(ours[known], vectors[known]) and ours.dtype == torch.float32
    for same in (content.numpy(), csr_matrix(content.numpy())):
        guess = vectors_from_content(vectors, same, known, l2)
        assert torch.allclose(guess, ours, atol=1e-2)  # of a sparse matrix step by step


def test_content_foretells_vectors_of_length_one_and_tracks_no_gradient(made):
    content, vectors, known, _ = made
    one = vectors[:, :1].requires_grad_()
    filled = vectors_from_content(one, content, known)
    assert filled.shape == (60, 1) and torch.equal(filled[known], one[known])
    assert not filled.requires_grad


def test_unknown_rows_are_not_looked_at(made):
    content, vectors, known, category = made
    spoiled = torch.where(known[:, None], vectors, torch.nan)
    for guess in (
        lambda v: vectors_from_content(v, content, known, 1.0),
        lambda v: category_means(v, category, known),
    ):
        assert torch.equal(guess(spoiled), guess(vectors))


def test_category_means_are_a_groupby(made):
    _, vectors, known, category = made
    known = known & (category != 2)
    ours = category_means(vectors, category, known)
    frame = pd.DataFrame(vectors.double().numpy())[known.numpy()]
    means = frame.groupby(category[known].numpy()).mean()
    means.loc[2] = frame.mean()
    assert np.allclose(ours[~known], means.loc[category[~known].numpy()], atol=1e-5)
    assert torch.equal(ours[known], vectors[known])


def test_bad_guesses(made):
    content, vectors, known, category = made
    with pytest.raises(ValueError, match="known is False everywhere"):
        category_means(vectors, category, torch.zeros(60, dtype=torch.bool))
    with pytest.raises(ValueError, match="known has shape"):
        category_means(vectors, category, known[1:])
    with pytest.raises(ValueError, match="known has shape .* dtype torch.int64"):
        category_means(vectors, category, known.long())
    with pytest.raises(ValueError, match="category has shape"):
        category_means(vectors, category[1:], known)
    with pytest.raises(ValueError, match="category contains -1"):
        category_means(vectors, category - 1, known)
    with pytest.raises(ValueError, match="content has shape"):
        vectors_from_content(vectors, content[1:], known, 1.0)
    with pytest.raises(ValueError, match="content contains NaN"):
        vectors_from_content(vectors, content * torch.nan, known, 1.0)
    with pytest.raises(ValueError, match="vectors of known items contains NaN"):
        vectors_from_content(vectors * torch.nan, content, known, 1.0)
    with pytest.raises(ValueError, match="l2 is 0"):
        vectors_from_content(vectors, content, known, 0)


def filled(id_dropout=0.0):
    """Every weight something other than 0: 5 users, 7 items, 3 columns of content."""
    torch.manual_seed(0)
    model = ContentFactorization(5, torch.randn(7, 3), dim=4, id_dropout=id_dropout)
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    return model
