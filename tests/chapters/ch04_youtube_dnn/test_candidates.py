"""The first stage's task: what is masked, what is predicted from what, who is judged how."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from recsys_book.chapters.ch04_youtube_dnn import candidates as lab
from recsys_book.data.interactions import Interactions
from recsys_book.sampling import unigram
from recsys_book.service import simulate

U, N, M = 12, 25, 260


@pytest.fixture(scope="module")
def task() -> lab.Task:
    generator = torch.Generator().manual_seed(0)
    draw = lambda n: torch.randint(n, (M,), generator=generator)
    log = Interactions(draw(U), draw(N), U, N, time=draw(1_000))
    context = torch.stack([draw(3), draw(2)], dim=1) + 1
    return lab.make_task(log, 600, 800, length=5, context=context, cardinalities=(4, 3))


def test_examples_of_each_part_are_of_their_own_time(task):
    assert bool((task.test.time >= 800).all())
    assert bool(((task.validation.time >= 600) & (task.validation.time < 800)).all())
    past = lab.training_examples(task, until=600)
    assert bool((past.time < 600).all()) and len(past) == int((task.log.time < 600).sum())
    assert torch.equal(task.log.item[past.row], past.item)  # rows lead back to the whole log
    assert task.oldest == 800 - int(task.log.time.min())


def test_the_test_asks_for_what_is_new_to_the_user_and_known_to_the_model(task):
    log = task.log
    kept = set(task.test.row.tolist())
    for row in (log.time >= 800).nonzero().flatten().tolist():
        user, item, time = (int(c[row]) for c in (log.user, log.item, log.time))
        own = (log.user == user) & (log.item == item)
        again = bool((own & (log.time < 800)).any())
        history = log.item[(log.user == user) & (log.time < time)]
        order = log.time[(log.user == user) & (log.time < time)].argsort(stable=True)
        again |= item in history[order][-5:].tolist()
        known = bool(((log.item == item) & (log.time < 800)).any())
        assert (row in kept) == (known and not again)
    assert task.n_left_out == int((log.time >= 800).sum()) - len(task.test)


def test_recall_is_what_counting_says(task):
    scores = torch.randn(len(task.test), N, generator=torch.Generator().manual_seed(3))
    scores = (2 * scores).round()  # many ties
    place_of = {int(r): i for i, r in enumerate(task.test.row)}
    score = lambda part: scores[[place_of[int(r)] for r in part.row]]
    found = lab.recalls(score, task, task.test, 800, cuts=(3, 10), batch_size=7)
    hits = {3: 0, 10: 0}
    for i in range(len(task.test)):
        user, item = int(task.test.user[i]), int(task.test.item[i])
        out = set(task.log.item[(task.log.user == user) & (task.log.time < 800)].tolist())
        out |= set(task.test.history[i].tolist()) | {item}
        rivals = [j for j in range(N) if j not in out]
        place = sum(bool(scores[i, j] >= scores[i, item]) for j in rivals)
        for k in hits:
            hits[k] += place < k
    for k, n in hits.items():
        assert found[k] == pytest.approx(n / len(task.test))


def test_a_model_that_says_nothing_finds_nothing(task):
    nothing = lambda part: torch.zeros(len(part), N)
    assert lab.recalls(nothing, task, task.test, 800, cuts=(1,))[1] == 0


def test_serving_is_at_age_zero_and_training_is_not(task):
    model = lab.new_generator(task, dim=4, hidden=(6, 4), ages=True)
    past = lab.training_examples(task, until=800)
    with torch.no_grad():
        aged = lab.user_vectors(model, task, past, now=800)
        served = lab.user_vectors(model, task, past)
        context = task.context[past.row]
        again = model(past.history, context, 800 - past.time)
        youngest = lab.user_vectors(model, task, past, now=int(past.time.max()))
    assert torch.equal(aged, again) and not torch.equal(aged, served)
    last = past.time == past.time.max()  # what happened last is as old as what is served
    torch.testing.assert_close(youngest[last], served[last])


@pytest.mark.parametrize("name", ["full", "sampled", "in-batch"])
def test_every_loss_learns_what_was_watched(task, name):
    past = lab.training_examples(task, until=800)
    recipe = lab.Recipe(loss=name, n_negatives=10, lr=0.03, batch_size=64, epochs=12)
    model = lab.StaticUser(U, N, 8)
    with torch.no_grad():
        before = F.cross_entropy(model(past.user) @ model.item_vectors().T, past.item)
    lab.train(model, task, past, recipe, seed=0)
    with torch.no_grad():
        after = F.cross_entropy(model(past.user) @ model.item_vectors().T, past.item)
    assert after < before - 0.1
    with pytest.raises(ValueError, match="loss is 'hinge'"):
        lab.train(model, task, past, replace(recipe, loss="hinge"), seed=0)


def test_with_every_item_drawn_often_sampled_comes_near_full():
    generator = torch.Generator().manual_seed(0)
    users, items = torch.randn(6, 4, generator=generator), torch.randn(N, 4, generator=generator)
    chosen = torch.arange(6)
    proposal = unigram(torch.randint(1, 9, (N,), generator=generator))
    drawn = proposal.sample(60_000, generator)
    losses = {
        log_q: lab.softmax_loss(
            users, items, chosen, drawn, proposal, lab.Recipe("sampled", log_q=log_q)
        )
        for log_q in (True, False)
    }
    full = lab.softmax_loss(users, items, chosen, drawn, proposal, lab.Recipe("full"))
    assert abs(losses[True] - full) < 0.02 < abs(losses[False] - full)


def test_a_task_is_chosen_refitted_and_tested(task):
    recipe = lab.Recipe(epochs=3, batch_size=64)
    make = lambda: lab.new_generator(task, dim=4, hidden=(6, 4), seed=1)
    found = lab.choose_and_test(task, make, recipe, seed=0)
    assert 1 <= found["epochs"] <= 3 and set(found["recall"]) == {50, 200}
    again = lab.refit_and_test(task, make, recipe, 0, found["epochs"])
    assert again["recall"] == found["recall"]


def test_scores_that_are_none_are_refused(task):
    judge = lambda score: lab.recalls(score, task, task.test, 800)
    with pytest.raises(ValueError, match="scores contains NaN"):
        judge(lambda part: torch.full((len(part), N), float("nan")))
    with pytest.raises(ValueError, match=r"score gave shape \(\d+, 35\)"):
        judge(lambda part: torch.zeros(len(part), N + 10))
    with pytest.raises(ValueError, match="number of examples"):
        lab.recalls(lambda part: torch.zeros(0, N), task, task.test[:0], 800)
    with pytest.raises(ValueError, match="a cut is 0"):
        lab.recalls(lambda part: torch.zeros(len(part), N), task, task.test, 800, cuts=(0,))
    with pytest.raises(ValueError, match="context has shape"):
        lab.make_task(task.log, 600, 800, context=task.context[:9], cardinalities=(4, 3))


def test_sampled_and_in_batch_are_compared_at_equal_negatives():
    recipe = lab.Recipe()
    assert recipe.n_negatives == recipe.batch_size - 1


@pytest.mark.parametrize("variant", [*lab.VARIANTS, "no context"])
def test_every_variant_runs_and_is_what_it_says(task, variant, monkeypatch):
    seen = {}
    monkeypatch.setattr(lab, "choose", lambda *a, **how: seen.update(args=a, **how) or {})
    lab.run_variant(
        task, variant, {"lr": 0.01, "weight_decay": 0.0, "dim": 8, "init_std": 0.1}, 0, test=False
    )
    _, make, recipe, _ = seen["args"]
    assert recipe.log_q == ("no log Q" not in variant)
    kinds = {"sampled": "sampled", "in-batch": "in-batch"}
    assert recipe.loss == kinds.get(variant.split(",")[0], "full")
    assert isinstance(make(), lab.StaticUser) == (variant == "static user vector")
    assert seen["leak"] == (variant == "leaky histories")
    assert seen["per_user"] == (20 if variant == "at most 20 a user" else None)


def test_the_best_draw_is_taken():
    found = lab.best_of_draws(lambda setting: -abs(setting["lr"] - 0.01))
    assert (
        len(found["tried"]) == lab.DRAWS
        and found["best"] == lab.draw()[found["tried"].index(max(found["tried"]))]
    )
    assert lab.best_of_draws(lambda setting: 0.0, n=3)["tried"] == [0.0] * 3
    assert set(lab.TUNED) == set(lab.VARIANTS) >= set(lab.TUNED.values())


def test_a_loss_without_log_q_is_tuned_on_its_own():
    assert all(lab.TUNED[name] == name for name in lab.VARIANTS if "log Q" in name)


def test_draws_lie_in_their_box_and_fill_it():
    drawn = lab.draw()
    box = {"lr": (0.002, 0.03), "weight_decay": (1e-8, 1e-4), "init_std": (0.01, 0.3)}
    for name, (low, high) in box.items():
        values = [setting[name] for setting in drawn]
        middle = (low * high) ** 0.5
        assert low <= min(values) < middle < max(values) <= high
        assert sum(value < middle for value in values) == len(drawn) / 2  # Sobol: half of each knob
    assert {setting["dim"] for setting in drawn} == {16, 32, 64}
    assert lab.draw(5) == drawn[:5]


def test_a_random_split_trains_on_the_future_and_hides_what_it_holds_out(task, monkeypatch):
    seen = {}
    monkeypatch.setattr(lab, "train", lambda model, task, past, *a, **k: seen.update(past=past))
    monkeypatch.setattr(
        lab, "recalls", lambda s, t, held, before: seen.update(held=held) or {50: 1}
    )
    make = lambda: lab.new_generator(task, dim=4, hidden=(4,))
    lab.random_split(task, make, lab.Recipe(), 0, 1)
    past, held, log = seen["past"], seen["held"], task.log
    assert len(held) == len(task.test) and len(past) + len(held) == len(log)
    assert set(past.row.tolist()).isdisjoint(held.row.tolist())
    assert torch.equal(log.item[past.row], past.item) and torch.equal(log.item[held.row], held.item)
    hidden = set((held.user * log.n_items + held.item).tolist())
    for part in (past, held):
        keys = part.user[:, None] * log.n_items + part.history
        assert hidden.isdisjoint(keys[part.history != log.n_items].tolist())
    later = log.time[past.row].max() > log.time[held.row].min()
    assert later and float((held.time < task.test_from).double().mean()) > 0.3


def test_a_training_can_be_watched_and_is_the_same(task):
    make = lambda: lab.new_generator(task, dim=4, hidden=(4,))
    seen = []
    keep = lambda epoch, model: seen.append(model.item_vectors().detach().clone())
    watched = lab.refit_and_test(task, make, lab.Recipe(epochs=3), 0, 3, after_epoch=keep)
    plain = lab.refit_and_test(task, make, lab.Recipe(epochs=3), 0, 3)
    assert len(seen) == 3 and torch.equal(seen[-1], watched["model"].item_vectors())
    assert watched["recall"] == plain["recall"]
    assert torch.equal(plain["model"].item_vectors(), seen[-1])


def test_who_knows_every_taste_does_not_find_the_next_watch_of_a_log():
    world = simulate(n_users=300, n_films=200, days=12)
    log = world.log
    rows = log.clicked.nonzero().squeeze(1)
    context = torch.stack([log.device[rows], log.daypart[rows]], dim=1).long() + 1
    task = lab.make_task(
        log.clicks(), 7 * 86_400, 9 * 86_400, context=context, cardinalities=(5, 5)
    )
    found = lab.oracle_recalls(world, task, every=1, k=20)
    assert found["the truth"] < found["the truth × how often shown"]
    by_hand = task.log[task.log.time < task.test_from].item_counts()
    plain = lab.recalls(lab.popularity(by_hand), task, task.test, task.test_from, (20,))
    assert found["popularity"] == plain[20]
