"""Chapter 02: what is measured, on cases whose answer is known."""

import numpy as np
import pytest
import torch

from recsys_book import maps
from recsys_book.chapters.ch02_embeddings import figures, lab
from recsys_book.service import simulate
from recsys_book.service.click_models import Cut
from recsys_book.service.judge import Judge, judge_world
from recsys_book.service.world import PREFERENCES
from recsys_book.show.explorers import world_explorer
from recsys_book.widgets import EmbeddingExplorer

SETTING = {"lr": 0.02, "weight_decay": 1e-5, "epochs": 2}


@pytest.fixture(scope="module")
def world():
    return simulate(120, 60, seed=0)


@pytest.fixture(scope="module")
def log(world):
    return Cut(world).clicks().without_repeats()


def test_one_click_by_hand_is_autograds():
    generator = torch.Generator().manual_seed(0)
    for y in (0.0, 1.0):
        p, q = (torch.randn(5, generator=generator, requires_grad=True) for _ in range(2))
        logit = p @ q
        torch.nn.functional.binary_cross_entropy_with_logits(logit, torch.tensor(y)).backward()
        error = (torch.sigmoid(logit) - y).detach()
        assert torch.allclose(p.grad, error * q.detach(), atol=1e-7)
        assert torch.allclose(q.grad, error * p.detach(), atol=1e-7)


def test_a_look_up_equals_one_hot_times_table():
    cost = lab.one_hot_costs(500, dim=8, batch=4)
    assert cost["equal"]
    assert cost["one-hot multiplications"] == 4 * 500 * 8
    assert cost["look-up multiplications"] == 0
    assert cost["one-hot bytes"] == 4 * 500 * 4 and cost["look-up bytes"] == 4 * 8


def test_mean_cosine_is_that_of_all_pairs():
    v = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    pairs = torch.cosine_similarity(v[:, None], v[None], dim=2)
    assert lab.mean_cosine(v) == pytest.approx(float((pairs.sum() - 20) / (20 * 19)), abs=1e-6)
    assert lab.mean_cosine(torch.ones(9, 4) * torch.arange(1, 10)[:, None]) == pytest.approx(1)


def test_clicks_alone_collapse_and_negatives_prevent_it():
    log, tribe = lab.tribes()
    assert float((tribe[log.item] == log.user // 30).float().mean()) > 0.6
    how = {"dim": 2, "lr": 0.05, "weight_decay": 1e-3, "epochs": 20, "batch_size": 64}
    alone = lab.train_and_watch(log, **how, n_negatives=0, biases=False)
    pushed = lab.train_and_watch(log, **how, n_negatives=1, biases=False)
    assert lab.mean_cosine(alone.items[-1]) > 0.6
    assert abs(lab.mean_cosine(pushed.items[-1])) < 0.15
    with_biases = lab.train_and_watch(log, **how, n_negatives=4)
    assert abs(lab.mean_cosine(with_biases.items[-1])) < 0.3
    assert maps.purities(pushed.items[-1], tribe, log.item_counts())["neighbours"] > 0.7
    assert len(alone.items) == len(alone.users) == 21
    assert not torch.equal(alone.items[0], alone.items[1])


def test_training_keeps_the_last_epoch_and_is_repeatable(log):
    a = lab.train_and_watch(log, dim=4, **SETTING)
    b = lab.train_and_watch(log, dim=4, **SETTING)
    assert all(torch.equal(x, y) for x, y in zip(a.items, b.items, strict=True))
    assert torch.equal(a.items[-1], a.model.item_vectors.weight)


def test_purity_without_effects_is_that_of_a_world_without_them(world, log):
    assert torch.equal(lab.clicked_before(world).keys(), log.keys())
    size = {"n_users": 120, "n_films": 60}
    [told] = lab.purity_without((), (0,), size=size, dim=4, **SETTING)
    run = lab.train_and_watch(log, dim=4, **SETTING, seed=0)
    genre = torch.from_numpy(world.film.genre)
    assert told == maps.purities(run.items[-1], genre, log.item_counts(), 0)
    [other] = lab.purity_without(PREFERENCES, (0,), size=size, dim=4, **SETTING)
    assert other != told and other["random"] == told["random"]


def test_lengths_that_are_popularity_draw_the_popular_into_every_list():
    generator = torch.Generator().manual_seed(0)
    counts = torch.arange(1, 201)
    v = torch.nn.functional.normalize(torch.randn(200, 6, generator=generator))
    found = lab.length_and_popularity(v * counts[:, None], counts)
    assert found["correlation"] == pytest.approx(1)
    assert found["dot product"] > found["cosine"] + 0.2
    assert abs(found["cosine"] - 0.5) < 0.06
    assert found["top dot product"] > found["top cosine"]


def test_purity_by_popularity_tells_thirds_apart():
    v = torch.cat(
        [torch.randn(30, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(60, 4)]
    )
    v[30:60, 0] = 1 + torch.arange(30) / 1_000
    v[60:, 1] = 1 + torch.arange(30) / 1_000
    label = torch.cat([torch.arange(30), torch.full((30,), 40), torch.full((30,), 41)])
    rare, middle, popular = maps.purity_by_popularity(v, label, torch.arange(90)).values()
    assert rare < 0.1 and middle > 0.95 and popular > 0.95


def test_doubling_climbs_to_the_peak_either_way_and_stays_where_it_stands():
    for peak in (0.005, 0.02, 0.16):
        score = lambda x, peak=peak: -abs(np.log2(x / peak))
        assert lab.best_by_doubling(0.02, score) == pytest.approx(peak)


def test_choosing_lets_validation_decide_and_never_sees_the_test(world):
    judge = judge_world(world, n_users=50)
    assert len(judge.train) < len(judge.refit)
    asked = []
    fake = Judge(
        judge.train, judge.refit, judge.validate, lambda score: asked.append(score),
        judge.popularity,
    )  # fmt: skip
    chosen = lab.choose(fake, 2, epochs=2)
    assert set(chosen) == set(lab.WAYS) and not asked
    assert chosen["nothing"]["epochs"] == 2
    assert chosen["nothing"]["weight_decay"] == chosen["epochs"]["weight_decay"] == 0
    assert 0 <= lab.test_once(judge, 2, chosen["epochs"], seed=0) <= 1


def test_hashed_films_share_their_vectors_and_keep_their_own_bias():
    model = lab.HashedMF(5, 40, n_buckets=4, n_hashes=1, dim=3, own_bias=True)
    users, items = torch.zeros(40, dtype=torch.long), torch.arange(40)
    a, b = (model.rows[:, 0] == model.rows[0, 0]).nonzero()[:2, 0]
    logits = model(users, items)
    assert logits[a] == logits[b]
    assert torch.allclose(model.score(torch.arange(5))[0], logits, atol=1e-6)
    with torch.no_grad():
        model.film_bias.weight[a] += 1
    again = model(users, items)
    assert (again[a] - again[b]).item() == pytest.approx(1) and again[b] == logits[b]
    shared = lab.HashedMF(5, 40, n_buckets=4, n_hashes=2, dim=3)
    assert torch.allclose(shared.score(torch.arange(5))[0], shared(users, items), atol=1e-6)


def test_hidden_vectors_are_foretold_by_what_decides_them(world):
    genre = torch.from_numpy(world.film.genre.astype(np.int64))
    exact = torch.randn(12, 5, generator=torch.Generator().manual_seed(0))[genre]
    told = lab.foretold(world, exact, torch.full((60,), 9))
    assert told["mean of its genre"] > 0.9  # 1, but for a genre of which every film is hidden
    assert told["mean of all"] < told["from its plot"] < told["mean of its genre"]


def test_widgets_of_the_chapter_are_made(world, log):
    run = lab.train_and_watch(log, dim=4, **SETTING)
    frames = figures.tribes_frames(steps=(0, 2))
    assert len(frames.alts) == 8 and frames.payload < 120_000
    explorer = world_explorer(world, log, run.items, perplexity=10)
    assert isinstance(explorer, EmbeddingExplorer)
    assert [c["name"] for c in explorer.colourings] == ["genre", "clicks"]
    assert all("neighbour purity" in c and "Trustworthiness" in c for c in explorer.captions)
    assert explorer.axis["labels"] == ["0", "1", "2"]


def test_bridges_are_found_where_they_are_planted():
    generator = torch.Generator().manual_seed(0)
    first = torch.arange(400) % 4
    second = (first + torch.randint(1, 4, (400,), generator=generator)) % 4
    centre = 3 * torch.eye(4)
    noise = torch.randn(400, 4, generator=generator)
    plain = lab.bridges(centre[first] + noise, first, second)
    assert plain["random"] == pytest.approx(1 / 3, abs=0.01)
    assert abs(plain["neighbours"] - plain["random"]) < 0.06
    between = lab.bridges(centre[first] + 0.8 * centre[second] + noise, first, second)
    assert between["neighbours"] > between["random"] + 0.3


def test_company_is_a_third_by_chance_and_one_where_the_rare_keep_together():
    counts = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(300, 4, generator=torch.Generator().manual_seed(1))
    assert all(abs(share - 1 / 3) < 0.08 for share in maps.company(noise, counts).values())
    rare = (counts < 100)[:, None] * torch.tensor([20.0, 0, 0, 0])
    assert maps.company(noise + rare, counts)["rarest third"] > 0.95
