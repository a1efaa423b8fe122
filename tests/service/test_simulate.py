"""The simulated service: every planted effect is there, vanishes when switched off, and the oracle
tells the truth."""

import functools
import hashlib

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.naive_bayes import MultinomialNB

from recsys_book.service import Context, run_online, simulate
from recsys_book.service.log import DAY, Log
from recsys_book.service.online import Online, Request, oracle_policy
from recsys_book.service.world import EFFECTS, MOOD_OF_GENRE, RANK, SIZES, SLATE


@functools.cache
def world(without=(), effects=tuple(EFFECTS), n_users=800, n_films=300):
    return simulate(n_users, n_films, effects=effects, without=without)


def only(*effects):
    return world(effects=effects, n_users=60, n_films=60)


def logits(w, context, n_users=None):
    """`[U, N]` true log-odds of a click on every film."""
    users = torch.arange(n_users or w.n_users)[:, None]
    return torch.logit(w.click_probability(users, torch.arange(w.n_films)[None, :], context))


PLAIN = Context(device=0, daypart=0)


def centred(table):
    """What no sum of a row part and a column part can make."""
    return table - table.mean(0, keepdim=True) - table.mean(1, keepdim=True) + table.mean()


def test_long_tail():
    def share_of_top_tenth(w):
        clicks = w.log.clicks().item_counts().sort(descending=True).values
        return float(clicks[:100].sum() / clicks.sum())

    assert share_of_top_tenth(world(n_films=1_000)) > 0.45
    assert share_of_top_tenth(world(("long_tail",), n_films=1_000)) < 0.3


def test_taste_has_rank_four():
    singular = torch.linalg.svdvals(centred(logits(only("taste"), PLAIN)))
    assert singular[RANK - 1] > 1 and singular[RANK] < 1e-6
    assert torch.linalg.svdvals(centred(logits(only("long_tail"), PLAIN)))[0] < 1e-6


def test_combination_is_neither_genre_nor_tone():
    def table(w):  # [6 ages, 12 genres, 2 tones]
        return torch.from_numpy(w.truth.combination)

    there, gone = table(world()), table(world(("combination",)))
    assert torch.equal(there.abs(), torch.full_like(there, SIZES["combination"]))
    assert there.mean(-1).abs().max() == 0  # no genre is liked on the whole
    assert (there[..., 0] < 0).any(1).all() and (there[..., 0] > 0).any(1).all()
    assert gone.abs().max() == 0
    assert centred(logits(only("combination"), PLAIN)).abs().max() > 0.5
    assert centred(logits(only("habit"), PLAIN)).abs().max() < 1e-6


def rate_by(w, key, n):
    log = w.log
    total = torch.bincount(key, minlength=n).double()
    return torch.bincount(key, log.clicked.double(), minlength=n) / total, total


def test_habit_moves_clicks_between_times_of_day():
    def spread(w):  # how far click rates of genres differ between dayparts, in standard errors
        genre = torch.from_numpy(w.film.genre.astype(np.int64))[w.log.film.long()]
        rate, n = rate_by(w, genre * 4 + w.log.daypart.long(), 48)
        error = (rate * (1 - rate) / n).sqrt()
        return float(
            ((rate - rate.view(12, 4).mean(1).repeat_interleave(4)) / error).square().mean()
        )

    assert np.abs(world().truth.habit.mean(axis=0)).max() < 1e-12
    assert spread(world()) > 3 * spread(world(("habit",)))


def test_three_way_is_invisible_to_any_two_of_its_fields():
    def cube(w):  # [small screen, day, tone]: contrast of click rates, in standard errors
        tone = torch.from_numpy(w.film.tone.astype(np.int64))[w.log.film.long()]
        small, day = (w.log.device < 2).long(), (w.log.daypart < 2).long()
        rate, n = rate_by(w, small * 4 + day * 2 + tone, 8)
        sign = torch.tensor([1.0, -1]).double()
        parity = torch.einsum("i,j,k->ijk", sign, sign, sign).flatten()
        return float((rate * parity).sum().abs() / (rate * (1 - rate) / n).sum().sqrt())

    truth = world().truth.three_way
    small = truth.reshape(2, 2, 2, 2, 2).mean(axis=(1, 3))  # [small, day, tone]
    for axis in range(3):
        assert np.abs(small.mean(axis=axis)).max() == 0
    assert np.abs(small).min() == SIZES["three_way"]
    assert cube(world()) > 20
    assert cube(world(("three_way",))) < 4


def shown_after_part_one(w):
    part_one = torch.from_numpy(w.film.sequel_of)[w.log.film.long()]
    history = w.log.histories(200)
    return (history == part_one[:, None]).any(1) & (part_one >= 0), part_one >= 0


def test_sequels_are_wanted_by_those_who_saw_part_one():
    for w, low, high in ((world(), 2.5, 99), (world(("sequels",)), 0.7, 1.4)):
        after, is_sequel = shown_after_part_one(w)
        expected = w.log.click_probability.double()
        assert abs(float(w.log.clicked[after].double().mean() - expected[after].mean())) < 0.03
        examined = torch.from_numpy(w.truth.examined)[w.log.position.long()]
        rate = lambda rows: float(
            w.log.clicked[rows].double().sum() / examined[rows].sum()  # noqa: B023
        )
        assert low < rate(after) / rate(is_sequel & ~after) < high


def test_mood_makes_the_last_clicks_tell_of_the_next():
    mood_of = torch.tensor(list(MOOD_OF_GENRE.values()))

    def lift(w):  # click rate where the last click in the session had the same mood, over others
        from recsys_book.service.world import GENRES

        order = [list(MOOD_OF_GENRE).index(g) for g in GENRES]
        mood = mood_of[order][torch.from_numpy(w.film.genre.astype(np.int64))]
        mood = torch.cat([mood, torch.tensor([-1])])
        last = w.log.histories(1)[:, 0]
        # Only lists after the first of a session, with a click in that session before them.
        new = torch.ones(len(w.log), dtype=torch.bool)
        new[1:] = w.log.session[1:] != w.log.session[:-1]
        start = w.log.time[new][new.long().cumsum(0) - 1]
        later = w.log.time > start
        same = mood[last] == mood[w.log.film.long()]
        rate = lambda rows: w.log.clicked[rows].double().mean()
        return float(
            (rate(later & same) / rate(later & ~same))
            / (rate(~later & same) / rate(~later & ~same))
        )

    assert lift(world(effects=("mood",))) > 1.15
    assert 0.94 < lift(world(effects=())) < 1.06


def test_clickbait_is_clicked_and_not_watched():
    w = world()
    bait = torch.from_numpy(w.truth.clickbait)
    assert 0.03 < bait.double().mean() < 0.15
    log = w.log[w.log.clicked]
    minutes = torch.from_numpy(w.film.minutes.astype(np.float64))[log.film.long()]
    share = log.watch_seconds.double() / 60 / minutes
    hooked = bait[log.film.long()]
    assert share[hooked].mean() < 0.3 < 0.5 < share[~hooked].mean()
    assert not world(("clickbait",)).truth.clickbait.any()
    # The very same films lose what made people click them.
    other = world(("clickbait",))
    context = Context(device=0, daypart=0, mood=0)
    difference = logits(w, context, 5) - logits(other, context, 5)
    assert torch.allclose(difference[:, bait], torch.tensor(SIZES["clickbait"]).double())
    assert difference[:, ~bait].abs().max() < 1e-9


def test_position():
    def chance(w, position):
        return w.click_probability(
            torch.tensor([0]), torch.tensor([0]), Context(0, 0, position=position)
        )

    assert torch.allclose(
        chance(world(), 9) / chance(world(), 0), torch.tensor(10.0).double() ** -0.5
    )
    flat = world(("position",))
    assert chance(flat, 9) == chance(flat, 0)
    for w, low, high in ((world(), 0.0, 0.5), (flat, 0.5, 1.0)):
        rate, _ = rate_by(w, w.log.position.long(), SLATE)
        assert low < rate[9] / rate[0] < high


def test_words_tell_the_theme():
    def accuracy(w):
        words = TfidfVectorizer().fit_transform(w.plots())
        model = MultinomialNB().fit(words[::2], w.film.theme[::2])
        return model.score(words[1::2], w.film.theme[1::2])

    assert accuracy(world()) > 0.4  # one of 24 at random
    assert accuracy(world(("words",))) < 0.2


def test_releases_are_not_shown_before_their_day():
    w = world()
    late = w.film.release_day > 0
    assert 0.05 < late.mean() < 0.2 and (w.film.release_day >= w.days - 3).sum() >= 3
    assert (
        w.log.day >= torch.from_numpy(w.film.release_day.astype(np.int64))[w.log.film.long()]
    ).all()
    shown = set(w.log.film[w.log.day >= w.days - 3].tolist())
    assert shown & set(np.flatnonzero(w.film.release_day >= w.days - 3).tolist())
    assert world(("releases",)).film.release_day.max() == 0


def test_switching_one_off_leaves_the_rest_as_it_was():
    whole = world()
    for name in EFFECTS:
        other = world((name,))
        assert other.effects == whole.effects - {name} and f"without {name}" in str(other)
        assert np.array_equal(other.film.genre, whole.film.genre)
        assert np.array_equal(other.age, whole.age)
        if name not in ("taste", "long_tail"):
            assert np.array_equal(other.truth.taste_of_film, whole.truth.taste_of_film)
    assert world(tuple(EFFECTS)).effects == frozenset()


def test_the_logs_probabilities_are_calibrated():
    log = world().log
    p, clicked = log.click_probability.double(), log.clicked.double()
    for part in p.argsort().chunk(20):
        error = (p[part] * (1 - p[part])).sum().sqrt() / len(part)
        assert abs(float(p[part].mean() - clicked[part].mean())) < 4 * float(error)


def test_watch_times_are_what_was_expected():
    w = world()
    log = w.log[w.log.clicked]
    share = w.watched_share(log.user.numpy(), log.film.numpy())
    expected = share * w.film.minutes[log.film.numpy()] * 60
    for part in np.array_split(np.argsort(expected), 10):
        assert np.isclose(expected[part].mean(), log.watch_seconds.numpy()[part].mean(), rtol=0.04)


def test_the_log_and_the_oracle_agree_row_by_row():
    w = world(("mood",))  # without moods nothing is hidden
    rows = torch.arange(0, len(w.log), 97)
    log = w.log[rows]
    context = Context(
        log.device.long(),
        log.daypart.long(),
        log.position.long(),
        history=w.log.histories(300, rows),
    )
    again = w.click_probability(log.user.long(), log.film.long(), context)
    assert torch.allclose(again.float(), log.click_probability)


def test_expected_watch_is_click_times_length():
    w = world()
    users, films = torch.tensor([[0], [1]]), torch.arange(w.n_films)[None, :]
    context = Context(torch.tensor([[0], [3]]), 2, position=1, history=torch.tensor([[5], [6]]))
    watch = w.expected_watch(users, films, context)
    assert watch.shape == (2, w.n_films)
    assert watch[0, 5] == 0 and watch[1, 6] == 0  # watched already
    assert (watch <= w.click_probability(users, films, context) * w.film.minutes.max() * 60).all()
    with pytest.raises(ValueError, match="films contains 300; ids must run from 0 to 299"):
        w.click_probability(torch.tensor([0]), torch.tensor([300]), PLAIN)


def digest(log: Log) -> str:
    found = hashlib.sha256()
    for name in ("user", "film", "time", "session", "position", "device", "daypart", "clicked",
                 "watch_seconds", "mood"):  # fmt: skip
        column = getattr(log, name).numpy()
        found.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
    return found.hexdigest()[:16]


def test_integer_columns_are_the_same_everywhere():
    assert digest(simulate().log) == "0b59a72bce7c54ff"
    assert digest(simulate(5_000, 200, days=3, seed=7).log) == "bc32668813196a67"


def test_histories_equal_a_loop():
    w = world()
    rows, in_session = torch.arange(0, len(w.log), 211), w.log.clicks_in_session()
    for row, history in zip(rows.tolist(), w.log.histories(6, rows), strict=True):
        earlier = (w.log.user == w.log.user[row]) & (w.log.time < w.log.time[row]) & w.log.clicked
        expected = w.log.film[earlier].flip(0)[:6].tolist()
        assert history.tolist() == expected + [w.n_films] * (6 - len(expected))
        new = int((earlier & (w.log.session == w.log.session[row])).sum())
        assert int(in_session[row]) == new
    final = w.log.final_histories(6)
    mine = w.log.film[(w.log.user == 3) & w.log.clicked].flip(0)[:6].tolist()
    assert final[3].tolist() == mine + [w.n_films] * (6 - len(mine))


def test_rows_are_grouped_by_user_in_the_order_of_time_without_repeats():
    log = world().log
    assert (log.user.diff() >= 0).all()
    same = log.user.diff() == 0
    assert (log.time.diff()[same] >= 0).all()
    assert log.time.max() // DAY < 28 and log.position.max() == SLATE - 1
    clicks = log.clicks()
    assert len(clicks.without_repeats()) == len(clicks)  # nobody watches a film twice
    assert (log.watch_seconds[~log.clicked] == 0).all()


def test_titles_can_be_told_apart():
    w = world()
    assert len(set(w.titles)) == w.n_films
    table = w.film_table([3, 5])
    assert table.index.tolist() == [3, 5] and table.loc[3, "title"] == w.titles[3]


def test_simulate_refuses():
    for arguments, message in (
        ({"n_users": 0}, "n_users is 0"),
        ({"n_films": 49}, "n_films is 49; it must be at least 50"),
        ({"days": 0}, "days is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"without": ["tast"]}, "without contains 'tast'; effects are long_tail, taste"),
        ({"effects": ["x"]}, "effects contains 'x'"),
    ):
        with pytest.raises(ValueError, match=message):
            simulate(**arguments)


def test_small_and_short_worlds():
    w = simulate(1, 50, days=1, seed=3)
    assert len(w.log) > 0 and w.log.n_users == 1


def evenly(request: Request):
    generator = torch.Generator().manual_seed(0)
    chance = torch.rand(len(request.users), len(request.released), generator=generator)
    return chance.masked_fill(~request.released, -1).topk(SLATE).indices


def test_the_oracle_does_best_online_and_aims_where_it_is_told():
    w = world(n_users=200, n_films=100)
    at_random = run_online(w, evenly, days=4)
    clicks = run_online(w, oracle_policy(w), days=4)
    hours = run_online(w, oracle_policy(w, "watch"), days=4)
    assert isinstance(clicks, Online) and "4 days" in str(clicks)
    assert len(at_random.log) == len(clicks.log) == len(hours.log)  # the same sessions
    assert torch.equal(at_random.log.session, clicks.log.session)
    assert clicks.clicks > 1.5 * at_random.clicks and clicks.clicks >= hours.clicks
    assert hours.watch_hours > clicks.watch_hours > at_random.watch_hours
    assert clicks.by_day().sum() == clicks.clicks and len(clicks.by_day()) == 4
    assert clicks.log.day.min() == w.days
    again = run_online(w, oracle_policy(w), days=4)
    assert torch.equal(again.log.clicked, clicks.log.clicked)


def test_online_histories_go_on_where_the_log_ended():
    w = world(n_users=200, n_films=100)
    seen = {}

    def policy(request):
        for user, history, new in zip(
            request.users.tolist(), request.history, request.in_session, strict=True
        ):
            seen.setdefault(user, history)
            assert 0 <= int(new) <= int((history < w.n_films).sum())
        return evenly(request)

    days = []
    run_online(w, policy, days=3, after_day=days.append)
    for user, history in seen.items():
        mine = w.log.film[(w.log.user == user) & w.log.clicked].flip(0).tolist()
        assert history[history < w.n_films].tolist() == mine
    assert [int(d.day.min()) for d in days] == [28, 29, 30]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (lambda r: torch.zeros(len(r.users), 2, dtype=torch.int64), "a film twice in the list"),
        (lambda r: torch.zeros(len(r.users), 0, dtype=torch.int64), "it must be .*K from 1 to 10"),
        (lambda r: torch.zeros(1, 2, 3, dtype=torch.int64), "policy gave a tensor of shape"),
        (lambda r: torch.full((len(r.users), 1), 100), "the policy's list contains 100"),
        (lambda r: torch.full((len(r.users), 1), 0.0), "ids must be int64"),
    ],
)
def test_bad_policies(policy, message):
    with pytest.raises(ValueError, match=message):
        run_online(world(n_users=200, n_films=100), policy, days=1)
