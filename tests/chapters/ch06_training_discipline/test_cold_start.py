"""The cold-start experiment: no leak, the tests against brute force, planted worlds, figures."""

import dataclasses

import numpy as np
import pytest
import torch

from recsys_book.chapters.ch06_training_discipline import cold_start as lab
from recsys_book.chapters.ch06_training_discipline.cold_start import Recipe
from recsys_book.content import tfidf
from recsys_book.metrics import auc
from recsys_book.models.content_factorization import ContentFactorization
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.service import simulate
from recsys_book.service.world import Context


@pytest.fixture(scope="module")
def world():
    return simulate(n_users=150, n_films=700, seed=3)


@pytest.fixture(scope="module")
def films(world):
    return lab.cold_films(world)


@pytest.fixture(scope="module")
def examples(world):
    return lab.make_examples(world.log, lab.training_rows(world.log))


@pytest.fixture(scope="module")
def asked(world, films):
    return lab.make_test(world, films, least=21)


def known_of(world, examples):
    return torch.bincount(examples.film, minlength=world.n_films) > 0


def test_no_cold_film_and_no_test_day_is_trained_on(world, films, examples):
    assert len(films) > 20
    assert (torch.from_numpy(world.film.release_day)[films] >= 20).all()
    assert not torch.isin(examples.film, films).any()
    rows = lab.training_rows(world.log)
    assert int(world.log.day[rows].max()) == 19
    assert len(examples) == int((world.log.time < 20 * 86_400).sum())
    assert float(examples.label.sum()) == float(world.log.clicked[rows].sum())


def test_words_are_counted_on_known_films_alone(world, films, examples):
    known = known_of(world, examples)
    found = lab.contents(world, known)
    elsewhere = dataclasses.replace(world.film, words=world.film.words.copy())
    elsewhere.words[films.numpy()] = 0
    changed = lab.contents(dataclasses.replace(world, film=elsewhere), known)
    assert torch.equal(found["words"][known], changed["words"][known])
    assert not torch.equal(found["words"][films], changed["words"][films])


def test_clicks_on_cold_films_change_nothing_that_is_learned(world, films, examples):
    """The whole way, with every click of the test days turned round."""
    log = world.log
    turned = dataclasses.replace(log, clicked=log.clicked ^ (log.day >= 20))
    again = lab.make_examples(turned, lab.training_rows(turned))
    for ours, theirs in zip(vars(examples).values(), vars(again).values(), strict=True):
        assert torch.equal(ours, theirs)


def test_ids_of_cold_films_stay_as_they_were_initialized(world, films, examples):
    model = lab.train_ids(world, examples, Recipe(epochs=1), seed=5).model
    torch.manual_seed(5)
    fresh = MatrixFactorization(world.n_users, world.n_films, lab.DIM)
    assert torch.equal(model.item_vectors.weight[films], fresh.item_vectors.weight[films])
    assert not model.item_bias.weight[films].any()
    seen = known_of(world, examples)
    assert (
        not torch.isclose(model.item_vectors.weight, fresh.item_vectors.weight)[seen].all(1).any()
    )


def test_first_rows_are_the_first_in_time(world, films):
    log = world.log
    rows = lab.first_rows(log, films, 3, before_day=26)
    assert (log.day[rows] < 26).all() and (rows.diff() > 0).all()
    for film in films.tolist():
        mine = ((log.film == film) & (log.day < 26)).nonzero().squeeze(1)
        ours = rows[log.film[rows] == film]
        assert len(ours) == min(3, len(mine))
        left = mine[~torch.isin(mine, ours)]
        if len(left):
            assert int(log.time[ours].max()) <= int(log.time[left].min())
    assert len(lab.first_rows(log, films, 0, 26)) == 0


def test_the_clicks_and_who_competes(world, films, asked):
    log, rows = world.log, []
    release = world.film.release_day
    cold = torch.isin(log.film.long(), films) & (log.day >= 20) & log.clicked
    for row in cold.nonzero().squeeze(1).tolist():
        film, day = int(log.film[row]), int(log.day[row])
        before = (log.user == log.user[row]) & log.clicked & (log.time < log.time[row])
        watched = set(log.film[before].tolist())
        out = [f for f in films.tolist() if release[f] <= day and f not in watched]
        if len(out) >= 21:
            rows.append((int(log.user[row]), film, out))
    assert len(rows) == len(asked.user) > 20
    for (user, film, out), u, t, present in zip(
        rows, asked.user, asked.target, asked.present, strict=True
    ):
        assert (user, film) == (int(u), int(films[t]))
        assert films[present].tolist() == out


def test_hit_rate_is_a_sort(asked):
    scores = torch.rand(asked.truth.shape, generator=torch.Generator().manual_seed(0))
    expected = []
    for user, target, present in zip(asked.user, asked.target, asked.present, strict=True):
        better = (scores[user] > scores[user, target]) & present
        expected.append(float(better.sum() < lab.K))
    assert lab.hit_rate(asked, scores).tolist() == expected
    assert 0 < sum(expected) < len(expected)


def test_equal_scores_are_chance_and_nothing_under_the_worst_rule(asked):
    nothing = torch.zeros(asked.truth.shape)
    chance = lab.K / asked.present.sum(1).double()
    assert torch.allclose(lab.hit_rate(asked, nothing), chance)
    assert not lab.hit_rate(asked, nothing, "worst").any()


def test_truth_is_the_mean_over_contexts(world, films, asked):
    user, film = 7, int(films[4])
    every = [
        float(world.click_probability(torch.tensor([user]), torch.tensor([film]), Context(d, p))[0])
        for d in range(4)
        for p in range(4)
    ]
    assert float(asked.truth[user, 4]) == pytest.approx(np.mean(every))


def test_the_share_runs_from_the_genre_to_the_oracle(world, films, examples, asked):
    genre = lab.genre_rate(world, examples)[films].expand(world.n_users, -1)
    assert lab.judge(asked, genre, genre)["share"] == 0
    oracle = lab.judge(asked, asked.truth, genre)
    assert oracle["share"] == 1 and oracle["ndcg"] == pytest.approx(1)


def test_genre_rate_is_a_groupby(world, examples):
    ours = lab.genre_rate(world, examples)
    genre = world.film.genre
    for film in range(0, 700, 50):
        same = torch.from_numpy(genre)[examples.film] == int(genre[film])
        assert float(ours[film]) == pytest.approx(float(examples.label[same].mean()), abs=1e-6)


def test_bad_tests(world, films):
    with pytest.raises(ValueError, match="cold_from is 28"):
        lab.cold_films(world, 28)
    with pytest.raises(ValueError, match="cold_from is 0"):
        lab.cold_films(world, 0)
    with pytest.raises(ValueError, match="least is 1000"):
        lab.make_test(world, films, least=1_000)


@pytest.mark.parametrize("content", [False, True])
def test_the_penalty_is_that_of_an_average_example(content):
    torch.manual_seed(0)
    users, items = torch.tensor([0, 0, 2, 1]), torch.tensor([4, 1, 1, 0])
    table = torch.eye(5)
    model = ContentFactorization(3, table, 4) if content else MatrixFactorization(3, 5, 4)
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    share = (torch.bincount(users, minlength=3) / 4, torch.bincount(items, minlength=5) / 4)
    ids = (model.id_vectors, model.id_bias) if content else (model.item_vectors, model.item_bias)
    expected = sum(
        looked_up.square().sum(-1).mean()
        for looked_up in (
            model.user_vectors(users), model.user_bias(users), ids[0](items), ids[1](items)
        )
    )  # fmt: skip
    if content:  # five columns, each as frequent as the others
        every = torch.arange(5)
        expected = expected + model.content_vectors(table[every]).square().sum(-1).mean()
        expected = expected + model.content_bias(table[every]).square().sum(-1).mean()
    assert torch.allclose(lab.penalty(model, *share), expected)


def test_training_repeats_and_leaves_torchs_stream_alone(world, examples):
    torch.manual_seed(9)
    content = lab.contents(world, known_of(world, examples))["words"]
    models = [
        lab.train_content(world, content, examples, Recipe(epochs=1, id_dropout=0.5), seed=s).model
        for s in (0, 0, 1)
    ]
    scores = [model.score(torch.arange(5)) for model in models]
    assert torch.equal(scores[0], scores[1]) and not torch.equal(scores[0], scores[2])
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    lab.train_ids(world, examples, Recipe(epochs=1), seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_draws_differ_in_nothing_but_id_dropout():
    plain, dropped = lab.draws(), lab.draws((0.1, 0.5))
    assert [dataclasses.replace(r, id_dropout=0.0) for r in dropped] == plain
    assert {r.id_dropout for r in dropped} == {0.1, 0.5}


@pytest.mark.parametrize("id_dropout", [0.0, 0.5, 1.0])
def test_where_words_tell_everything_new_films_are_as_good_as_known(id_dropout):
    """A user clicks the films of one theme in four, and the text names the theme."""
    random = np.random.RandomState(0)
    theme, liked = random.randint(4, size=120), random.randint(4, size=80)
    texts = [f"film {('dune', 'tide', 'vault', 'violin')[t]} {i}" for i, t in enumerate(theme)]
    user, film = random.randint(80, size=20_000), random.randint(100, size=20_000)
    columns = [torch.from_numpy(c) for c in (user, film, np.zeros(20_000, dtype=np.int64))]
    examples = lab.Examples(*columns, torch.from_numpy(liked[user] == theme[film]).float())
    content = tfidf(texts, torch.arange(120) < 100)
    model = ContentFactorization(80, content, 8, id_dropout)
    model.set_known(torch.arange(120) < 100)
    lab.train(model, examples, Recipe(lr=0.03, penalty=1e-4, epochs=12), seed=0)
    wanted = torch.from_numpy(liked[:, None] == theme[None, 100:])
    scores = model.score(torch.arange(80))[:, 100:].detach()
    assert auc(wanted.flatten().float(), scores.flatten()) > 0.99


def found(world):
    """NDCG@20 above that of chance, on films nobody has met."""
    films = lab.cold_films(world)
    examples = lab.make_examples(world.log, lab.training_rows(world.log))
    content = lab.contents(world, known_of(world, examples))
    asked = lab.make_test(world, films, least=21)
    recipe = Recipe(lr=0.03, penalty=0.006, epochs=2, enough=20)
    ids = lab.train_ids(world, examples, recipe, seed=0).model
    placed = lab.train_content(world, content["words"], examples, recipe, seed=0)
    scores = {
        "ridge": lab.scores_from_ids(world, ids, "words", content, examples, recipe)[:, films],
        "one gradient": placed.model.score(torch.arange(world.n_users))[:, films].detach(),
    }
    chance = lab.true_ndcg(asked, torch.zeros(asked.truth.shape))
    return {name: lab.true_ndcg(asked, some) - chance for name, some in scores.items()}


def test_words_tell_of_films_nobody_has_met_unless_they_are_noise():
    worlds = [dict(n_users=400, n_films=1_000, seed=seed) for seed in (4, 5)]
    telling = [found(simulate(**size)) for size in worlds]
    silent = [found(simulate(**size, without=("words",))) for size in worlds]
    mean = lambda rows, name: np.mean([row[name] for row in rows])
    for name in ("ridge", "one gradient"):
        assert mean(telling, name) > mean(silent, name) + 0.03, name
        assert mean(silent, name) < 0.03, name
    assert mean(telling, "one gradient") > 0.06
