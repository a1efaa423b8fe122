"""The second stage's inputs, targets and judges."""

from dataclasses import replace

import pytest
import torch

from recsys_book.chapters.ch04_youtube_dnn import watch_time as lab
from recsys_book.service import simulate


@pytest.fixture(scope="module")
def world():
    return simulate(n_users=80, n_films=90, days=10, seed=1)


@pytest.fixture(scope="module")
def part(world):
    return lab.impressions(world)


def test_time_since_the_last_watch_and_times_shown(world, part):
    log = world.log
    for i in range(0, len(log), 97):
        own = log.user[:i] == log.user[i]
        earlier = own & log.clicked[:i] & (log.time[:i] < log.time[i])
        last = log.time[:i][earlier].max().item() if bool(earlier.any()) else 0
        assert part.raw[i, 0].item() == log.time[i].item() - last
        shown = own & (log.film[:i] == log.film[i])
        assert part.raw[i, 1].item() == int(shown.sum())


def test_minutes_are_of_clicks_alone(part):
    assert bool((part.minutes[~part.clicked] == 0).all())
    assert float(part.minutes[part.clicked].mean()) > 10


def test_the_place_in_the_list_is_not_known_when_serving(part):
    told = lab.served(part.fields, lab.Recipe("click", position="input"))
    untold = lab.served(part.fields, lab.Recipe("click"))
    assert bool((told[:, 2] == 1).all()) and bool((untold[:, 2] == 0).all())
    assert torch.equal(told[:, :2], part.fields[:, :2])
    assert len(part.fields[:, 2].unique()) > 5  # and the examples are as they were


def test_a_number_a_place_is_added_in_training_and_left_out_when_serving(part):
    recipe = lab.Recipe("click", position="added", epochs=4, dim=4, hidden=(8,), batch_size=256)
    fitted = lab.train_ranker(part, 90, recipe, seed=0)
    by_place = fitted.by_place.by_place.weight.squeeze(1)
    assert by_place[1] > by_place[5:].max()  # the first place is looked at most
    more = fitted.logits(part, placed=True) - fitted.logits(part)
    assert torch.allclose(more, by_place[part.fields[:, 2]], atol=1e-5)
    told = lab.train_ranker(part, 90, replace(recipe, position="input"), seed=0)
    assert not torch.equal(told.logits(part, placed=True), told.logits(part))
    untold = lab.train_ranker(part, 90, replace(recipe, position="untold"), seed=0)
    assert torch.equal(untold.logits(part, placed=True), untold.logits(part))
    for position, place in (("guessed", 2), ("added", None)):
        with pytest.raises(ValueError, match=f"position is '{position}'"):
            lab.train_ranker(part, 90, replace(recipe, position=position), seed=0, place=place)


def test_a_click_is_a_look_and_a_liking(part):
    logits = torch.tensor([-3.0, 0.0, 2.0, 30.0], dtype=torch.float64)
    look = torch.tensor([1.0, 0.5, 0.2, 0.7], dtype=torch.float64)
    p = torch.sigmoid(lab.seen_and_liked(logits, look.log()))
    assert p.tolist() == pytest.approx((torch.sigmoid(logits) * look).tolist(), abs=2e-6)
    recipe = lab.Recipe("click", position="looked", epochs=6, dim=4, hidden=(8,), batch_size=256)
    fitted = lab.train_ranker(part, 90, recipe, seed=0)
    place = torch.arange(1, 11)
    with torch.no_grad():
        found = fitted.by_place.log_look(place).exp()
    assert found[0] == 1 and found[1] > found[9]  # on this service (1 + place) ** -0.5
    assert found[3] == pytest.approx(0.5, abs=0.15)
    with pytest.raises(ValueError, match="head is 'watch time'"):
        lab.train_ranker(part, 90, replace(recipe, head="watch time"), seed=0)


def test_a_network_is_told_as_many_fields_as_it_has_sizes_for(world, part):
    films, people, sizes = lab.facts_of(world)
    assert part.fields.shape[1] == 9 and len(sizes) == 6
    row = 7
    user, film = int(world.log.user[row]), int(world.log.film[row])
    assert part.fields[row, 3:].tolist() == [*films[film].tolist(), *people[user].tolist()]
    assert people[user, 0] == user + 1 and films[film, 0] == world.film.genre[film] + 1
    assert bool((part.fields[:, 3:].max(0).values < torch.tensor(sizes)).all())
    recipe = lab.Recipe("click", epochs=1, dim=4, hidden=(8,))
    of = lambda told, rows: lab.train_ranker(
        part, 90, recipe, seed=0, sizes=lab.sizes_told(world, told)
    ).logits(rows)
    changed = replace(part, fields=part.fields.clone())
    changed.fields[:, 6:] = 0  # who asks
    for told in ("paper", "film"):
        assert torch.equal(of(told, part), of(told, changed))
    assert not torch.equal(of("everything", part), of("everything", changed))
    with pytest.raises(ValueError, match="told is 'all'"):
        lab.sizes_told(world, "all")


def test_draws_of_rankers_lie_in_their_box():
    found = lab.draws(64)
    assert found[:12] == lab.draws(12)
    assert {d["dim"] for d in found} == {8, 16, 32, 64}
    assert {d["hidden"] for d in found} == {(32,), (64, 32), (128, 64)}
    assert {d["decay"] for d in found} == {0.6, 0.8, 1.0}
    for name, low, high in (("lr", 0.002, 0.03), ("weight_decay", 1e-7, 3e-4)):
        values = [d[name] for d in found]
        assert low <= min(values) < 2 * low and high / 2 < max(values) <= high * 1.01


def test_a_click_model_is_chosen_by_log_loss_and_a_watch_time_model_by_its_order(world):
    log = world.log
    last = int(log.day.max())
    held = log.day >= last
    more = {"dim": 4, "hidden": (8,), "epochs": 2, "batch_size": 256}
    part = lab.impressions(world)
    for head in ("click", "watch time"):
        recipe = lab.Recipe(head, position="added", **more)
        found = lab.choose(world, recipe, "paper", 0, last)
        best = replace(recipe, epochs=found.best_epoch + 1)
        again = lab.train_ranker(part[~held], world.n_films, best, seed=0)
        logits = again.logits(part[held], placed=True)
        if head == "click":
            expected = -lab.log_loss(part.clicked[held].float(), logits)
        else:
            users = log.user[held].long()
            expected = 1 - lab.mispredicted_watch_time(logits, part.minutes[held], users)
        assert found.best_score == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("head", lab.HEADS)
def test_each_head_learns(part, head):
    recipe = lab.Recipe(head, epochs=2, dim=4, hidden=(8,), batch_size=256)
    fitted = lab.train_ranker(part, 90, recipe, seed=0)
    assert fitted.history.loss[-1] < fitted.history.loss[0]
    again = lab.train_ranker(part, 90, recipe, seed=0)
    assert torch.equal(fitted.logits(part), again.logits(part))
    with pytest.raises(ValueError, match="head is 'likes'"):
        lab.head_loss("likes", torch.zeros(1), torch.ones(1).bool(), torch.ones(1))


def test_fewer_examples_without_a_click_and_odds_mended(part):
    """Odds learned from a quarter of them are four times too high, until the rate is told."""
    mean = []
    for kept in (1.0, 0.25):
        recipe = lab.Recipe(
            "watch time", kept=kept, epochs=12, dim=2, hidden=(), lr=0.03, batch_size=128, decay=0.8
        )
        fitted = lab.train_ranker(part, 90, recipe, seed=0)
        odds = fitted.model.predict_watch_time(
            part.item, part.history, lab.served(part.fields[:, :3], recipe),
            fitted.quantiles(part.raw),
            sampling_rate=kept,
        )  # fmt: skip
        mean.append(odds.mean().item())
    assert mean[1] == pytest.approx(mean[0], rel=0.15)


def test_the_odds_of_clickbait_are_mended_too(world, part):
    """Half of its clicks are watched for no time: thinned out as clicks they would not be."""
    bait = torch.from_numpy(world.truth.clickbait)[part.item]
    none = part.clicked & (part.minutes == 0)
    assert none[bait].float().sum() > 0.2 * part.clicked[bait].float().sum()
    for group in (bait, ~bait):
        own = part[group]
        odds = []
        for share in (1.0, 0.3):
            some = lab.thinned(own, share, torch.Generator().manual_seed(0))
            # What a bias alone would learn from these rows.
            bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
            adam = torch.optim.Adam([bias], lr=0.1)
            for _ in range(400):
                adam.zero_grad()
                logits = bias.expand(len(some))
                lab.watch_time_loss(logits, some.clicked, some.minutes.double()).backward()
                adam.step()
            odds.append(share * bias.exp().item())
        assert odds[1] == pytest.approx(odds[0], rel=0.1)
        unwatched = ~(own.clicked & (own.minutes > 0))
        exact = odds[0] * float(unwatched.double().mean())
        assert exact == pytest.approx(float(own.minutes.mean()), rel=1e-3)


def test_the_truth_ranks_best(world):
    asked = lab.requests(world, n_users=20, n_films=40)
    best = lab.judge(asked.minutes.flatten(), asked)
    assert best["spearman"] == pytest.approx(1) and best["minutes"] == pytest.approx(1)
    clicks = lab.judge(asked.clicks.flatten(), asked)
    assert clicks["spearman of clicks"] == pytest.approx(1) and clicks["spearman"] < 0.99
    by_click = lab.judge(asked.clicks, asked)
    assert by_click["clicks"] == pytest.approx(1) and by_click["minutes"] < 1
    assert by_click["bait"] > best["bait"]
    upside_down = lab.judge(-asked.minutes, asked)
    assert upside_down["spearman"] == pytest.approx(-1)


def test_requests_ask_about_films_not_watched(world):
    asked = lab.requests(world, n_users=20, n_films=40)
    watched = asked.examples.history == asked.examples.item[:, None]
    assert not bool(watched.any()) and bool((asked.minutes > 0).all())
    again = lab.requests(world, n_users=20, n_films=40)
    assert torch.equal(asked.examples.item, again.examples.item)


def test_requests_and_scores_that_cannot_be_are_refused(world):
    with pytest.raises(ValueError, match="n_films is 90"):
        lab.requests(world, 20, 90)
    with pytest.raises(ValueError, match="n_users is 81"):
        lab.requests(world, 81, 10)
    asked = lab.requests(world, 5, 20)
    with pytest.raises(ValueError, match="scores contains NaN"):
        lab.judge(torch.full((100,), float("nan")), asked)
    assert lab.judge(torch.zeros(100), asked)["spearman"] == 0
    last = world.log.time[world.log.clicked & (world.log.user == 0)].max()
    every = lab.requests(world, 80, 5).examples
    assert float(every.raw[:, 0].min()) > 0
    assert 10 * 86_400 - int(last) in every.raw[:, 0].tolist()


def test_calibration_is_means_by_tenths():
    predicted = torch.arange(100.0)
    table = lab.calibration(predicted, predicted * 2)
    assert table[:, 0].tolist() == [10 * i + 4.5 for i in range(10)]
    assert torch.allclose(table[:, 1], 2 * table[:, 0])
    with pytest.raises(ValueError, match="predicted has shape"):
        lab.calibration(predicted, predicted[:9])
    with pytest.raises(ValueError, match="n is 10"):
        lab.calibration(predicted[:9], predicted[:9])
