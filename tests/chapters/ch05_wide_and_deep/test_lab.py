"""Chapter 05's experiments: what is hidden is hidden, and the quick scorer is the model."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys_book.chapters.ch05_wide_and_deep import lab
from recsys_book.chapters.ch05_wide_and_deep import runs_simulated as run
from recsys_book.service import run_online, simulate
from recsys_book.service.click_models import FILM
from recsys_book.service.policies import random_policy


@pytest.fixture(scope="module")
def world():
    return simulate(n_users=150, n_films=100, days=28, seed=3)


@pytest.fixture(scope="module")
def task(world):
    return lab.make_task(world, seed=3)


@pytest.fixture(scope="module")
def trained(task):
    setting = lab.Setting(lr=0.05, wide_lr=0.3, l1=1.0, epochs=2, batch_size=512)
    rows = task.rows(0, lab.TEST_FROM)
    return {kind: lab.train(task, kind, setting, rows, seed=0)[0] for kind in run.IN_CHARGE}


def test_sequels_are_found_by_their_definition(world, task):
    log, first = world.log, world.film.sequel_of
    watched = {user: set() for user in range(world.n_users)}
    now, buffer, found = None, [], []
    for user, film, time, clicked in zip(
        log.user.tolist(), log.film.tolist(), log.time.tolist(), log.clicked.tolist(), strict=True
    ):
        if (user, time) != now:  # what a list's own clicks tell counts from the next list on
            for u, f in buffer:
                watched[u].add(f)
            now, buffer = (user, time), []
        found.append(first[film] >= 0 and int(first[film]) in watched[user])
        if clicked:
            buffer.append((user, film))
    expected = torch.tensor(found)
    assert torch.equal(task.sequel, expected)
    assert expected.sum() > 50


def test_hidden_pairs_are_never_trained_on(task):
    rows = task.rows(0, lab.TEST_FROM)
    assert not (task.sequel[rows] & task.of_hidden[rows]).any()
    assert (task.sequel[rows] & ~task.of_hidden[rows]).any()
    assert (~task.sequel[rows] & task.of_hidden[rows]).any()  # shown to those without part one
    open_task = lab.make_task(task.world, hide=False)
    assert not open_task.of_hidden.any()
    assert len(open_task.rows(0, lab.TEST_FROM)) > len(rows)
    # Nor is it told in a history what became of them.
    two = torch.from_numpy(np.flatnonzero(task.world.film.sequel_of >= 0))
    told = torch.tensor([bool((task.examples.history == int(f) + 1).any()) for f in two])
    hidden = torch.tensor([bool(task.of_hidden[task.examples.ids[:, FILM] == int(f) + 1].any())
                           for f in two])  # fmt: skip
    assert hidden.sum() == len(two) // 2 and told[~hidden].any() and not told[hidden].any()
    assert (open_task.examples.history == int(two[hidden][0]) + 1).any()
    assert task.day[rows].max() == lab.TEST_FROM - 1
    assert all(task.day[lab.part_rows(task, part)].min() == lab.TEST_FROM for part in lab.PARTS)
    sizes = {part: len(lab.part_rows(task, part)) for part in lab.PARTS}
    assert sizes["all"] == sizes["seen pairs"] + sizes["hidden pairs"] + sizes["the others"]


def test_hidden_pairs_have_no_weight(task, trained):
    pairs = trained["wide"].cross_weights(0)
    sequel_of = task.world.film.sequel_of
    part_two = task.examples.ids[task.of_hidden, FILM].unique()
    for film in part_two.tolist():
        assert pairs[sequel_of[film - 1] + 1, film] == 0
    assert (pairs[0] == 0).all() and (pairs[:, 0] == 0).all()


def test_without_part_one_takes_that_film_alone_away(task):
    rows = lab.part_rows(task, "seen pairs")
    before = task.examples[rows]
    first = torch.from_numpy(task.world.film.sequel_of).long()[before.ids[:, FILM] - 1] + 1
    before = before[(before.history == first[:, None]).any(1)]  # else it is too long ago
    after = lab.without_part_one(task, before)
    gone = (before.history > 0).sum(1) - (after.history > 0).sum(1)
    assert (gone == 1).all()
    first = torch.from_numpy(task.world.film.sequel_of).long()[before.ids[:, FILM] - 1] + 1
    assert not (after.history == first[:, None]).any()
    for old, new in zip(before.history[:20], after.history[:20], strict=True):
        kept = [f for f in old.tolist() if f in set(new.tolist()) - {0}]
        assert new[new > 0].tolist() == kept
        assert (new[len(kept) :] == 0).all()  # padding at the end


def test_the_true_lift_is_that_of_the_world(task):
    """At the first place, of one who has watched part one alone, by the world's own parts."""
    world = task.world
    rows = lab.part_rows(task, "seen pairs")
    rows = rows[(world.log.position[rows] == 0)]
    examples = task.examples[rows]
    without = lab.without_part_one(task, examples)
    lift = lab.true_logit(task, rows, examples) - lab.true_logit(task, rows, without)
    assert 1.5 < float(lift.max()) < 3.0
    users, films = world.log.user[rows[0]].item(), world.log.film[rows[0]].item()
    log = world.log
    logit = world.static_logit(
        np.array([users]), np.array([films]), int(log.device[rows[0]]), int(log.daypart[rows[0]])
    )
    genre = world.film.genre[[films]]
    chance = [world.attraction(logit + more, genre).mean(-1) for more in (3.0, 0.0)]
    odds = [c / (1 - c) for c in chance]
    assert float(lift[0]) == pytest.approx(float(np.log(odds[0] / odds[1])[0]), abs=1e-6)


def test_batches_of_one_size():
    generator = torch.Generator().manual_seed(0)
    batches = lab.whole_batches(10, 4, generator)
    assert [len(b) for b in batches] == [4, 4]
    assert len(set(torch.cat(batches).tolist())) == 8
    assert [len(b) for b in lab.whole_batches(3, 4, generator)] == [3]


def test_the_wide_side_counts_the_lift_as_one_weight(task, trained):
    rows = lab.part_rows(task, "seen pairs")
    examples, wide = task.examples[rows], trained["wide"]
    sequel_of = torch.from_numpy(task.world.film.sequel_of).long()
    near = (examples.history == sequel_of[examples.ids[:, FILM] - 1][:, None] + 1).any(1)
    examples = examples[near]
    lift = lab.predict(wide, examples) - lab.predict(wide, lab.without_part_one(task, examples))
    film = examples.ids[:, FILM]
    first = torch.from_numpy(task.world.film.sequel_of).long()[film - 1] + 1
    assert torch.allclose(lift, wide.cross_weights(0)[first, film].double(), atol=1e-5)


@pytest.mark.parametrize("kind", run.IN_CHARGE)
def test_the_scorer_equals_the_model_on_every_pair(world, task, trained, kind):
    asked = {}

    def policy(request):
        asked["request"] = request
        return torch.arange(world.n_films)[request.released][:10].expand(len(request.users), 10)

    run_online(world, policy, 1)
    scorer = lab.Scorer(task, trained[kind])
    examples = scorer.impressions(asked["request"])
    scores = scorer(examples)
    n = world.n_films
    every = examples[torch.arange(len(examples)).repeat_interleave(n)]
    ids = every.ids.clone()
    ids[:, list(lab.OF_FILM)] = scorer.films.repeat(len(examples), 1)
    expected = lab.predict(trained[kind], replace(every, ids=ids)).view(-1, n)
    assert torch.allclose(scores.double(), expected, atol=1e-4)
    assert (examples.ids[:, lab.PLACE] == 1).all()


def test_requests_are_encoded_as_the_log_is(world, task, trained):
    """What a request looks like to the scorer, on the log's own impressions."""
    log = world.log
    rows = (log.position == 0).nonzero().squeeze(1)[200:260]
    histories, in_session = log.histories(200), log.clicks_in_session()
    from recsys_book.service.online import Request

    request = Request(
        users=log.user[rows].long(), day=log.day[rows], time=log.time[rows].long(),
        device=log.device[rows].long(),
        daypart=log.daypart[rows].long(), history=histories[rows], in_session=in_session[rows],
        released=torch.ones(world.n_films, dtype=torch.bool), belief=torch.zeros(len(rows), 6),
    )  # fmt: skip
    made = lab.Scorer(task, trained["deep"]).impressions(request)
    logged = lab.make_task(world, hide=False).examples[rows]
    columns = list(lab.OF_REQUEST)
    assert torch.equal(made.ids[:, columns], logged.ids[:, columns])
    assert torch.equal(made.history, logged.history)
    assert torch.equal(made.session, logged.session)


def test_policies_keep_to_the_rules(world, task, trained):
    for policy in (lab.policy_of(task, trained["wide & deep"]), random_policy(world, 0)):
        online = run_online(world, policy, 2)  # raises on a film twice or not yet out
        assert online.clicks > 0
    policy = lab.policy_of(task, trained["wide & deep"])

    def checked(request):
        films = policy(request)
        assert not (films[:, :, None] == request.history[:, None, :]).any()
        return films

    run_online(world, checked, 2)


def test_every_kind_learns_and_has_as_many_draws(task):
    rows = task.rows(0, lab.TEST_FROM)
    for kind in lab.KINDS:
        settings = lab.draws(lab.KINDS[kind][1])
        assert len(set(settings)) == 12
        rate = {"SGD": 1.0, "Adam": 0.005}.get(lab.KINDS[kind][1], 0.05)
        setting = replace(settings[0], lr=rate, wide_lr=0.2, l1=1.0, weight_decay=0.0, epochs=2,
                          batch_size=512)  # fmt: skip
        model, history = lab.train(task, kind, setting, rows, seed=0)
        assert history.loss[-1] < history.loss[0], kind
        parts = lab.judge(task, lambda examples, model=model: lab.predict(model, examples))
        assert parts["all"]["oracle_auc"] > parts["all"]["auc"] > 0.5, kind


def test_a_diverged_setting_is_the_worst_there_is(task):
    found, epochs = lab.try_setting(task, "wide & deep, SGD", lab.Setting(lr=1e12))
    assert found == pytest.approx(0.6931, abs=1e-3) and epochs == 1


def test_the_run_chooses_by_the_mean_of_both_worlds(monkeypatch):
    work = run.Work()
    tried = {100: [[0.5, 2]] * 12, 101: [[0.5, 3]] * 12}
    tried[100] = [*tried[100]]
    tried[100][4], tried[101] = [0.3, 2], [*tried[101]]
    tried[100][7], tried[101][7] = [0.45, 4], [0.3, 5]
    monkeypatch.setattr(work, "try_kind", lambda kind, world: tried[world])
    assert work.setting("deep") == replace(lab.draws("AdaGrad")[7], epochs=4)


def test_average_is_the_mean_of_logits(task, trained):
    examples = task.examples[:50]
    both = lab.average(trained["wide"], trained["deep"])(examples)
    expected = (lab.predict(trained["wide"], examples) + lab.predict(trained["deep"], examples)) / 2
    assert torch.allclose(both, expected)


def test_pairs_met_counts_different_pairs(task):
    rows = torch.arange(500)
    expected = set()
    for row in rows.tolist():
        film = int(task.examples.ids[row, FILM])
        expected |= {(h, film) for h in task.examples.history[row].tolist() if h}
    assert lab.pairs_met(task, rows) == len(expected)


def test_sequels_kept_counts_weights_of_pairs_that_were_seen(task):
    wide = lab.make_model("wide", task.cardinalities, 0)
    met = task.sequel & ~task.of_hidden & (task.day < lab.TEST_FROM)
    part_two = task.examples.ids[met, FILM].unique()
    part_one = torch.from_numpy(task.world.film.sequel_of).long()[part_two - 1] + 1
    n = len(part_two)
    assert lab.sequels_kept(task, wide) == {"n": n, "kept": 0, "on top": 0}
    with torch.no_grad():
        wide.cross_weights(0)[part_one[0], part_two[0]] = 5.0
        wide.cross_weights(0)[part_one[1], part_two[1]] = -5.0
        wide.cross_weights(0)[1, 1] = 7.0
    assert lab.sequels_kept(task, wide) == {"n": n, "kept": 2, "on top": 1}
    assert lab.weights_kept(wide) == {"ids": 0, "pairs": 3}


def test_hashed_crosses_share_weights(task):
    setting = lab.Setting(wide_lr=0.2, l1=1.0, epochs=1, buckets=50)
    model, _ = lab.train(task, "wide", setting, task.rows(0, 5), seed=0)
    assert model.cross_weights(0).shape == (50,)
