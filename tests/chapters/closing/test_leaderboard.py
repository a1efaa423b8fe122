"""The leaderboard: every policy is its model, keeps to the rules, and the record is whole."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recsys_book.chapters.ch04_youtube_dnn import charge, watch_time
from recsys_book.chapters.ch05_wide_and_deep import lab as wide_deep
from recsys_book.chapters.closing import leaderboard as lab
from recsys_book.chapters.closing import runs_leaderboard as run
from recsys_book.index import build_index
from recsys_book.models.baselines import EASE, ItemKNN
from recsys_book.reproduce import __main__ as command
from recsys_book.service import click_models, run_online, simulate
from recsys_book.service.online import top_list
from recsys_book.service.policies import grown
from recsys_book.serving import Funnel

PAGE = Path(__file__).parents[3] / "book" / "leaderboard.md"


@pytest.fixture(scope="module")
def world():
    """So short that users have watched little: there is a first session of many people."""
    return simulate(n_users=120, n_films=90, days=8, seed=3)


@pytest.fixture(scope="module")
def request_of(world):
    """The first request of the first day, and one in the middle of a session."""
    seen = []

    def policy(request):
        seen.append(request)
        return top_list(request, torch.zeros(len(request), world.n_films))

    run_online(world, policy, 1)
    assert seen[2].in_session.sum() > 0
    return seen[0], seen[2]


@pytest.fixture(scope="module")
def quick():
    """The recorded settings, trained briefly."""
    settings = run.chosen_settings()
    return {name: s | ({"epochs": 1} if "epochs" in s else {}) for name, s in settings.items()}


@pytest.fixture(scope="module")
def stages(world, quick):
    generator = charge.train_generator(world, 0, **quick["candidates alone"])
    part = watch_time.impressions(world)
    recipe = watch_time.Recipe("watch time", dim=8)
    return generator, watch_time.train_ranker(part, world.n_films, recipe, 0, epochs=1)


def test_top_list_leaves_out_what_is_watched_or_not_out(world, request_of):
    request = request_of[1]
    released = torch.rand(world.n_films, generator=torch.Generator().manual_seed(0)) < 0.6
    request = replace(request, released=released)
    scores = torch.randn(len(request), world.n_films, generator=torch.Generator().manual_seed(1))
    for films, score, history in zip(
        top_list(request, scores), scores, request.history, strict=True
    ):
        watched = set(history.tolist())
        left = [f for f in range(world.n_films) if released[f] and f not in watched]
        assert films.tolist() == sorted(left, key=lambda f: -float(score[f]))[:10]


def test_a_list_that_runs_short_is_filled_with_what_was_watched(world, request_of):
    request = request_of[0][:1]
    released = torch.zeros(world.n_films, dtype=torch.bool)
    released[:12] = True
    history = torch.arange(4)[None]  # 8 of 12 are left
    request = replace(request, released=released, history=history)
    films = top_list(request, torch.arange(float(world.n_films))[None])[0].tolist()
    assert films[:8] == [11, 10, 9, 8, 7, 6, 5, 4]
    assert set(films[8:]) < {0, 1, 2, 3}


def test_bad_scores_are_named(world, request_of):
    request = request_of[0]
    with pytest.raises(ValueError, match="scores has shape"):
        top_list(request, torch.zeros(len(request), world.n_films - 1))
    scores = torch.zeros(len(request), world.n_films)
    scores[0, 3] = float("nan")
    with pytest.raises(ValueError, match="scores contains NaN"):
        top_list(request, scores)
    with pytest.raises(ValueError, match="k is 91"):
        top_list(request, torch.zeros(len(request), world.n_films), 91)


def test_some_of_a_request(request_of):
    request, rows = request_of[1], torch.tensor([4, 1])
    some = request[rows]
    assert len(some) == 2 and some.users.tolist() == request.users[rows].tolist()
    assert torch.equal(some.released, request.released)
    assert torch.equal(some.time, request.time[rows])


@pytest.mark.parametrize("name", lab.CHAPTERS)
def test_every_list_is_valid(world, quick, name):
    policy = lab.makers(quick)[name](world, 0)

    def checked(request):
        films = policy(request)
        if "oracle" not in name:  # its chance of a second click is 0 as well
            few = (request.released.sum() - (request.history < world.n_films).sum(1)) < 10
            again = (films[:, :, None] == request.history[:, None, :]).any(2).any(1)
            assert not (again & ~few).any()
        return films

    online = run_online(world, checked, 2)  # raises on a film twice, or not out
    row = charge.outcome(world, online)
    assert row["clicks"] > 0 and row["hours"] > 0
    assert 0 < row["shown"] <= 1 and 0 <= row["gini"] < 1 and 0 <= row["bait"] <= 1


def test_films_not_out_are_not_shown_by_anybody(quick):
    """A world whose films come out in the days after the log as well."""
    world = simulate(n_users=60, n_films=80, days=6, seed=1)
    late = torch.randperm(80, generator=torch.Generator().manual_seed(0))[:20].numpy()
    world.film.release_day[late] = 7
    shown_late = set()
    for name, make in lab.makers(quick).items():
        film = run_online(world, make(world, 0), 3).log
        assert not (torch.isin(film.film.long(), torch.from_numpy(late)) & (film.day < 7)).any()
        shown_late |= (
            {name} if torch.isin(film.film.long(), torch.from_numpy(late)).any() else set()
        )
    assert {"chance", "oracle by clicks"} <= shown_late


@pytest.mark.parametrize("model, knobs", [(EASE, {"l2": 20.0}), (ItemKNN, {"k": 30})])
def test_closed_forms_score_the_history_as_the_model_does(world, request_of, model, knobs):
    request = request_of[0]  # nobody has watched anything since the log
    fitted = model(world.log.clicks(), **knobs)
    expected = top_list(request, fitted.score(request.users))
    policy = lab.from_items(world, 0, model=model, **knobs)
    assert torch.equal(policy(request), expected)
    later = replace(request, history=torch.full_like(request.history, world.n_films))
    assert not torch.equal(policy(later), expected)


@pytest.mark.parametrize("rung", ["FM", "DNN"])
def test_field_scores_equal_the_model_on_every_pair(world, request_of, rung):
    task = click_models.make_task(world, test_from=world.days)
    settings = click_models.Settings(dim=4, lr=0.02, epochs=1, hidden=(16, 8))
    rows = task.before(world.days)
    model, _ = click_models.train_click_model(task, rung, settings, rows, seed=0)
    scorer = lab.FieldScorer(task, model)
    for request in request_of:
        ids, bags = scorer.inputs(request)
        n, every = world.n_films, torch.arange(len(request)).repeat_interleave(world.n_films)
        ids = ids[every]
        ids[:, list(wide_deep.OF_FILM)] = scorer.encoder.films.repeat(len(request), 1)
        position = torch.zeros(len(ids), dtype=torch.int64)
        (history, _), (session, _) = bags[click_models.FILM], bags[click_models.GENRE]
        examples = click_models.Examples(
            ids, history[every], session[every], position, position.float()
        )
        with torch.no_grad():
            expected = model.preference(examples).view(-1, n)
        assert torch.allclose(scorer(request), expected, atol=1e-4)


def test_requests_are_encoded_as_the_ladder_encodes_the_log(world, request_of):
    """One more day, its first lists taken from the log that came of it."""
    asked = []

    def policy(request):
        asked.append(request)
        return top_list(request, torch.rand(len(request), world.n_films))

    online = run_online(world, policy, 2)
    both = grown(world, online.log, 2)
    task = click_models.make_task(both, test_from=both.days)
    model = click_models.ClickModel("FM", task.cardinalities, 4)
    scorer = lab.FieldScorer(task, model)
    of_request = [f for f in range(len(click_models.FIELDS)) if f not in wide_deep.OF_FILM]
    key = both.log.user.long() * 10**8 + both.log.time.long()
    for request in (asked[1], asked[-1]):
        ids, bags = scorer.inputs(request)
        rows = torch.searchsorted(key, request.users * 10**8 + request.time)
        examples = task.examples[rows]
        assert torch.equal(ids[:, of_request], examples.ids[:, of_request])
        assert torch.equal(bags[click_models.FILM][0], examples.history)
        assert torch.equal(bags[click_models.GENRE][0], examples.session)


def test_tables_are_the_models_scores(world, request_of, quick):
    request = request_of[0]
    task = click_models.make_task(world, test_from=world.days)
    knobs = click_models.Settings(**quick["MF"])
    rows = task.before(world.days)
    assert len(rows) == len(world.log)
    model, _ = click_models.train_click_model(task, "MF", knobs, rows, seed=0)
    n, b = world.n_films, len(request)
    with torch.no_grad():
        pairs = model.model(
            (request.users + 1).repeat_interleave(n), (torch.arange(n) + 1).repeat(b)
        ).view(b, n)
    expected = top_list(request, pairs)
    found = lab.click_model(world, 0, rung="MF", **quick["MF"])(request)
    same = lambda films: pairs.gather(1, films)  # two films may score alike to the last digit
    assert torch.allclose(same(found), same(expected), atol=1e-6)


def test_candidates_are_the_generators_nearest(world, request_of, stages):
    generator, _ = stages
    request = request_of[1]
    score = charge.first_stage(generator)(request)
    for i in (0, 3, len(request) - 1):
        history = request.history[i][request.history[i] < world.n_films][: charge.LENGTH]
        context = torch.stack([request.device[i], request.daypart[i]])[None] + 1
        with torch.no_grad():
            expected = generator(history[None], context)[0] @ generator.item_vectors().T
        assert torch.allclose(score[i], expected, atol=1e-5)


def test_two_stages_equal_the_funnel(world, stages):
    """`serving.Funnel`, one request after the other, given the same features."""
    generator, ranker = stages
    funnel = Funnel(generator, ranker.model, build_index(generator.item_vectors()))
    policy = charge.two_stages(world, generator, ranker, n=40)
    past, compared = charge.Past(world), 0

    def both(request):
        nonlocal compared
        films = policy(request)
        past.look(request)
        for i in range(0, len(request), 5):
            one = request[i : i + 1]
            history = one.history[0][one.history[0] < world.n_films]
            if len(history) > watch_time.HISTORY:
                continue  # the two stages see histories of different lengths

            def features(items, one=one):
                part = charge.second_stage_examples(one, items[None], past, world)
                fields = part.fields[:, : len(watch_time.SIZES)]
                return watch_time.served(fields, ranker.recipe), ranker.quantiles(part.raw)

            context = torch.stack([one.device[0], one.daypart[0]]) + 1
            answer = funnel.recommend(
                history, 10, n_candidates=40, context=context, features=features
            )
            assert answer.items.tolist() == films[i].tolist()
            compared += 1
        past.shown_now(request, films)
        return films

    run_online(world, both, 1)
    assert compared > 20


def test_what_the_second_stage_sees_is_what_the_log_tells(world):
    """Its inputs made request by request, and once more from the whole log afterwards."""
    past, told = charge.Past(world), {}
    generator = torch.Generator().manual_seed(0)

    def policy(request):
        past.look(request)
        films = top_list(request, torch.rand(len(request), world.n_films, generator=generator))
        part = charge.second_stage_examples(request, films, past, world)
        assert torch.equal(part.item, films.flatten())
        k = films.shape[1]
        for i in range(len(part)):
            key = int(request.users[i // k]), int(request.time[i // k]), int(part.item[i])
            told[key] = part[i : i + 1]
        past.shown_now(request, films)
        return films

    online = run_online(world, policy, 4)
    both = grown(world, online.log, 4)
    log, logged = both.log, watch_time.impressions(both)
    rows = (log.day >= world.days).nonzero().squeeze(1).tolist()
    assert len(rows) == len(told) > 1_000
    place = watch_time.PLACE
    films = lambda history: [f for f in history.tolist() if f < world.n_films]
    for i in rows:
        mine = told[int(log.user[i]), int(log.time[i]), int(log.film[i])]
        assert mine.raw[0].tolist() == logged.raw[i].tolist()
        assert mine.fields[0, :place].tolist() == logged.fields[i, :place].tolist()
        assert mine.fields[0, place + 1 :].tolist() == logged.fields[i, place + 1 :].tolist()
        assert films(mine.history[0]) == films(logged.history[i])
        assert int(mine.day) == int(logged.day[i])
    assert logged.raw[rows, 1].max() > 1


def test_chapter_05_in_charge_is_what_its_own_run_has(world, quick):
    """The leaderboard's policy and the recorded run's, on one world."""
    task, setting = wide_deep.make_task(world, hide=False), wide_deep.Setting(**quick["wide"])
    model, _ = wide_deep.train(task, "wide", setting, task.rows(0, world.days), seed=0)
    expected = run_online(world, wide_deep.policy_of(task, model), 1).clicks
    policy = lab.makers(quick)["wide"](world, 0)
    assert run_online(world, policy, 1).clicks == expected


def test_gini_is_half_the_mean_difference():
    counts = torch.tensor([3, 0, 7, 7, 1])
    x = counts.double()
    expected = float((x[:, None] - x[None]).abs().mean() / (2 * x.mean()))
    assert charge.gini(counts) == pytest.approx(expected)
    assert charge.gini(torch.tensor([4, 4, 4])) == pytest.approx(0)
    assert charge.gini(torch.tensor([0, 0, 9, 0])) == pytest.approx(3 / 4)
    for bad in (torch.zeros(3), torch.tensor([1, -1]), torch.zeros(0), torch.ones(2, 2)):
        with pytest.raises(ValueError, match="counts is"):
            charge.gini(bad)


def test_outcome_counts_the_log(world):
    online = run_online(world, lab.chance(world, 0), 1)
    row, log = charge.outcome(world, online), online.log
    assert row["clicks"] == sum(log.clicked.tolist())
    assert row["hours"] == pytest.approx(sum(log.watch_seconds.tolist()) / 3_600)
    assert row["shown"] == len(set(log.film.tolist())) / world.n_films
    bait = [bool(world.truth.clickbait[f]) for f in log.film.tolist()]
    assert row["bait"] == pytest.approx(sum(bait) / len(bait))


def test_other_runs_take_no_policy(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["reproduce", "ch01/xor", "--policy", "a:b"])
    with pytest.raises(SystemExit):
        command.main()
    assert "xor takes no --policy" in capsys.readouterr().err


def test_the_pages_entry_runs(world, tmp_path, monkeypatch):
    code = re.search(r"```python\n# my_module\.py\n(.*?)```", PAGE.read_text(), re.S)[1]
    (tmp_path / "leaderboard_entry.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    policy = run.load_maker("leaderboard_entry:make_policy")(world, 0)
    assert charge.outcome(world, run_online(world, policy, 2))["clicks"] > 0
    # By hand: the first user's films by the click rate of the user's age group.
    asked = []
    run_online(world, lambda request: asked.append(request) or policy(request), 1)
    request, log = asked[0], world.log
    user = int(request.users[0])
    mates = torch.from_numpy(world.age == world.age[user])[log.user.long()]
    rates = []
    for film in range(world.n_films):
        rows = mates & (log.film == film)
        rates.append((int(log.clicked[rows].sum()) + 1) / (int(rows.sum()) + 10))
    expected = top_list(request[:1], torch.tensor([rates], dtype=torch.float64))
    found = policy(request)[:1]
    rate = lambda films: [rates[f] for f in films[0].tolist()]
    assert rate(found) == pytest.approx(rate(expected))
