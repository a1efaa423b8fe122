"""Chapter 06's exercises: right answers hold, and the mistakes learners make are told by name."""

import copy
import math

import numpy as np
import pytest
import torch
from verdicts import named, said

from recsys_book.chapters.ch06_training_discipline.exercises import (
    RIVALS,
    Personal,
    Product,
    Run,
    broken_draw,
    learned_scores,
    regret,
    total_regret,
)
from recsys_book.check import check, exercise
from recsys_book.data.interactions import Interactions
from recsys_book.samplers import UniformSampler

SEEDS = [None, 1, 2]


def by_odds(logit, clicks, impressions, n):
    odds = logit.exp() * n * clicks / (impressions - clicks)
    return odds / (1 + odds)


def with_bce(positive, negatives, log_q_positive, log_q_negatives):
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    a, b = positive - log_q_positive, negatives - log_q_negatives
    return bce(a, torch.ones_like(a)) + bce(b, torch.zeros_like(b), reduction="sum") / len(a)


def weighted(positive, negatives, log_q_positive, log_q_negatives):
    """Another way that holds: each negative counts 1 / q."""
    no = torch.nn.functional.softplus(negatives) / log_q_negatives.exp()
    return torch.nn.functional.softplus(-positive).mean() + no.mean()


def loss_of(yes, no):
    def loss(s, t, a, b):
        return -torch.sigmoid(yes(s, a)).log().mean() - torch.sigmoid(-no(t, b)).log().mean()

    return loss


as_it_is, minus, plus = (lambda s, a: s), (lambda s, a: s - a), (lambda s, a: s + a)


def test_scores_learned_without_correction_are_pushed_down_by_log_q():
    p, q = torch.tensor([10, 6, 3, 1]), torch.tensor([7, 1, 1, 1])
    learned = learned_scores(loss_of(as_it_is, as_it_is), p, q)
    wanted = p.log() - q.log()
    assert torch.allclose(learned, (wanted - wanted.mean()).double(), atol=1e-3)
    with pytest.raises(ValueError, match="must be one number"):
        learned_scores(lambda *_: 3.0, p, q)


def by_sorting(seen, users, n, generator):
    """Random ranks among the unseen; user by user."""
    items, log_q = [], []
    for user in users.tolist():
        free = [i for i in range(seen.shape[1]) if not seen[user, i]]
        if not free:
            raise ValueError(f"user {user} has seen everything")
        drawn = torch.randint(len(free), (n,), generator=generator)
        items.append(torch.tensor(free)[drawn])
        log_q.append(torch.full((n,), -math.log(len(free))))
    return torch.stack(items), torch.stack(log_q)


def by_multinomial(seen, users, n, generator):
    free = (~seen[users]).float()
    if (free.sum(1) == 0).any():
        raise ValueError("nothing is left")
    items = torch.multinomial(free, n, replacement=True, generator=generator)
    return items, -free.sum(1, keepdim=True).log().repeat(1, n)


def by_redrawing(seen, users, n, generator):
    if seen[users].all(1).any():
        raise ValueError("nothing is left")
    n_items = seen.shape[1]
    items = torch.randint(n_items, (len(users), n), generator=generator)
    while (bad := seen[users[:, None], items]).any():
        items[bad] = torch.randint(n_items, (int(bad.sum()),), generator=generator)
    return items, -(~seen[users]).sum(1).log()[:, None].expand_as(items)


def mended(**edits):
    """by_redrawing as a learner leaves it after having mended all faults but one."""
    text = """
def draw(seen, users, n, generator):
    full()
    seed()
    n_items = seen.shape[1]
    first = lambda size: torch.randint(0, END, size, generator=generator)
    items = first(SIZE)
    redraw()
    return OUT, LOG_Q
"""
    usual = {
        "full()": "if seen[users].all(1).any(): raise ValueError('full')",
        "seed()": "pass",
        "END": "n_items",
        "SIZE": "(len(users), n)",
        "redraw()": "while (bad := seen[users[:, None], items]).any(): "
        "items[bad] = first((int(bad.sum()),))",
        "OUT": "items",
        "LOG_Q": "-(~seen[users]).sum(1).float().log()[:, None].expand(-1, n)",
    }
    for name, code in (usual | edits).items():
        text = text.replace(name, code)
    space = {"torch": torch, "math": math}
    exec(text, space)
    return space["draw"]


SAMPLERS = {
    "positives are returned": mended(
        **{
            "redraw()": "bad = seen[users[:, None], items]\n"
            "    items = torch.where(bad, first((len(users), n)), items)"
        }
    ),
    "the last item never comes": mended(END="n_items - 1"),
    "a positive becomes its neighbour": mended(
        **{
            "redraw()": "while (bad := seen[users[:, None], items]).any(): "
            "items[bad] = (items[bad] + 1) % n_items"
        }
    ),
    "the same negatives every epoch": mended(**{"seed()": "generator.manual_seed(7)"}),
    "not from the generator": mended(**{"seed()": "generator = None"}),
    "one draw for the whole batch": mended(
        SIZE="(1, n)",
        **{
            "redraw()": "items = items.expand(len(users), n).clone()\n"
            "    while (bad := seen[users[:, None], items]).any(): "
            "items[bad] = first((int(bad.sum()),))"
        },
    ),
    "log q of the whole catalogue": mended(LOG_Q="torch.full((len(users), n), -math.log(n_items))"),
    "log q with the wrong sign": mended(
        LOG_Q="(~seen[users]).sum(1).float().log()[:, None].expand(-1, n)"
    ),
    "q, not its logarithm": mended(
        LOG_Q="(1 / (~seen[users]).sum(1).float())[:, None].expand(-1, n)"
    ),
    "ids that are floats": mended(OUT="items.float()"),
    "an item that does not exist": mended(OUT="items + 1"),
    "it never ends": mended(**{"full()": "pass"}),
    "a user who has seen everything": lambda s, u, n, g: (
        torch.multinomial((~s[u]).float() + 1e-9 * s[u], n, True, generator=g),
        -(~s[u]).sum(1).float().log()[:, None].expand(-1, n),
    ),
}


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_fault_of_a_sampler_is_named(name, seed):
    assert named("6.3", SAMPLERS[name], seed) == name


def test_a_draw_that_repeats_itself_for_ever_is_stopped():
    redraw = (
        "while (bad := seen[users[:, None], items]).any(): "
        "generator.manual_seed(1); items[bad] = first((int(bad.sum()),))"
    )
    assert named("6.3", mended(**{"redraw()": redraw})) == "it never ends"


def test_the_sampler_as_found_has_them_all():
    text = said("6.3", lambda s, u, n, g: handed_on(s, u, n, g))
    assert "positives are returned" in text and "And 4 more" in text
    assert named("6.3", broken_draw) == "the book's own code"


handed_on = broken_draw.__class__(
    broken_draw.__code__, broken_draw.__globals__, "handed_on"
)  # as a copy in a notebook would be


def test_a_user_who_is_not_asked_about_stops_nobody():
    def strict(seen, users, n, generator):
        if seen.all(1).any():
            raise ValueError("somebody has seen everything")
        return by_sorting(seen, users, n, generator)

    assert named("6.3", strict) == "a user who is not asked about stops the rest"

    def stops(*_):
        raise ValueError("no way")

    assert named("6.3", stops) == "it stops with an error"


def test_the_books_sampler_does_what_is_wanted():
    """Told to the judge as a function of the table of what was seen."""

    def draw(seen, users, n, generator):
        user, item = seen.nonzero(as_tuple=True)
        log = Interactions(user, item, n_users=len(seen), n_items=seen.shape[1])
        return UniformSampler(log)(users, torch.zeros_like(users), n, generator)

    assert exercise("6.3").judge(draw, None) is None


def save(run):
    return {
        "model": {k: v.clone() for k, v in run.model.state_dict().items()},
        "adam": copy.deepcopy(run.optimizer.state_dict()),
        "schedule": dict(run.schedule.state_dict()),
        "dice": run.generator.get_state(),
        "numbers": [run.epoch, run.best_score],
        "best": {k: v.clone() for k, v in run.best_weights.items()},
    }


def restore(run, saved):
    run.model.load_state_dict(saved["model"])
    run.optimizer.load_state_dict(saved["adam"])
    run.schedule.load_state_dict(saved["schedule"])
    run.generator.set_state(saved["dice"])
    run.epoch, run.best_score = saved["numbers"]
    run.best_weights = saved["best"]


def restore_epoch_as_tensor(run, saved):
    restore(run, saved)
    run.epoch = torch.tensor(run.epoch)


def both(save=save, restore=restore):
    return {"save": save, "restore": restore}


def without(part):
    """A restore that leaves a part as the new run has it."""

    def restore_some(run, saved):
        new = save(run)
        if part in ("epoch", "best score"):
            numbers = list(saved["numbers"])
            place = 0 if part == "epoch" else 1
            numbers[place] = new["numbers"][place]
            restore(run, saved | {"numbers": numbers})
        else:
            restore(run, saved | {part: new[part]})

    return both(restore=restore_some)


def save_references(run):
    return save(run) | {"model": run.model.state_dict()}


def save_objects(run):
    return save(run) | {"adam": run.optimizer}


def save_and_put_back(run):
    run.model.load_state_dict(run.best_weights)
    run.epoch = 0
    return save(run)


class CountsWhatWasExpected:
    """Clicks over what the model expected of them, a Gamma belief, and a draw from it."""

    def __init__(self, n_films):
        self.came, self.expected = torch.ones(n_films), torch.ones(n_films)

    def choose(self, predicted, generator):
        random = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
        scale = 1 / self.expected.numpy()
        factor = random.gamma(self.came.numpy(), scale, size=tuple(predicted.shape))
        return (predicted * torch.from_numpy(factor)).argmax(dim=1)

    def update(self, predicted, shown, clicked):
        expected = predicted.gather(1, shown[:, None]).squeeze(1)
        self.came.index_add_(0, shown, clicked.float())
        self.expected.index_add_(0, shown, expected.float())


class ExpectedGreedy(CountsWhatWasExpected):
    def choose(self, predicted, generator):
        return (predicted * (self.came / self.expected)).argmax(dim=1)


class Dice:
    def __init__(self, n_films):
        self.n = n_films

    def choose(self, predicted, generator):
        return torch.randint(self.n, (len(predicted),), generator=generator)

    def update(self, predicted, shown, clicked):
        pass


class ModelAndDice(Dice):
    def choose(self, predicted, generator):
        explore = torch.rand(len(predicted), generator=generator) < 0.05
        return torch.where(explore, super().choose(predicted, generator), predicted.argmax(1))


class BestRateSoFar(Dice):
    def __init__(self, n_films):
        super().__init__(n_films)
        self.clicks, self.shown = torch.zeros(n_films), torch.zeros(n_films)

    def choose(self, predicted, generator):
        explore = torch.rand(len(predicted), generator=generator) < 0.1
        best = (self.clicks / self.shown.clamp(min=1)).argmax()
        return torch.where(explore, super().choose(predicted, generator), best)

    def update(self, predicted, shown, clicked):
        self.clicks.index_add_(0, shown, clicked.float())
        self.shown.index_add_(0, shown, torch.ones(len(shown)))


class RateTimesModel(BestRateSoFar):
    def choose(self, predicted, generator):
        return (predicted * (self.clicks + 1) / (self.shown + 2)).argmax(1)


class RatePlusModel(BestRateSoFar):
    def choose(self, predicted, generator):
        return (predicted + (self.clicks + 1) / (self.shown + 2)).argmax(1)


class HalfAndHalf(BestRateSoFar):
    def choose(self, predicted, generator):
        coin = torch.rand(len(predicted), generator=generator) < 0.5
        return torch.where(coin, super().choose(predicted, generator), predicted.argmax(1))


def test_a_film_that_does_not_exist_is_told():
    class Beyond(Dice):
        def choose(self, predicted, generator):
            return torch.full((len(predicted),), 20)

    assert "choose returned film 20" in said("6.5", Beyond)
    lost = regret(Personal, 0)
    assert lost.shape == (3_000,) and (lost.diff() >= 0).all()
    assert total_regret(Personal, [0]) == [float(lost[-1])]
    assert list(RIVALS)[-1] == "click rate times prediction"


@pytest.mark.parametrize("seed", SEEDS)
def test_right_answers_hold(seed):
    check("6.1", by_odds, seed=seed)
    check("6.2", with_bce, seed=seed)
    check("6.2", weighted, seed=seed)
    check("6.2", loss_of(minus, minus), seed=seed)
    check("6.3", by_sorting, seed=seed)
    check("6.3", lambda *a: [part.numpy() for part in by_sorting(*a)], seed=seed)
    check("6.3", lambda *a: [part.tolist() for part in by_sorting(*a)], seed=seed)
    check("6.3", by_multinomial, seed=seed)
    check("6.3", by_redrawing, seed=seed)
    check("6.4", both(), seed=seed)
    check("6.4", both(restore=restore_epoch_as_tensor), seed=seed)


@pytest.mark.parametrize("seed", [None, 1])
def test_two_honest_bandits_win(seed):
    check("6.5", CountsWhatWasExpected, seed=seed)
    check("6.5", ExpectedGreedy, seed=seed)


@pytest.mark.parametrize(
    ("number", "answer", "name"),
    [
        ("6.1", lambda x, c, i, n: torch.sigmoid(x - math.log(n * c / (i - c))), "the wrong sign"),
        (
            "6.1",
            lambda x, c, i, n: torch.sigmoid(x + math.log(n * c) - math.log(i)),
            "clicks are counted among the non-clicks",
        ),
        (
            "6.1",
            lambda x, c, i, n: 1 / (1 + torch.exp(-x) * i / (c + n * c)),
            "the rate of all rows",
        ),
        ("6.1", lambda x, c, i, n: torch.sigmoid(x + math.log(1 / n)), "n alone is no rate"),
        (
            "6.1",
            lambda x, c, i, n: torch.sigmoid(x) * (n * c / (i - c)),
            "the chance is scaled, not the odds",
        ),
        (
            "6.1",
            lambda x, c, i, n: x + math.log(n) + math.log(c / (i - c)),
            "a logit, not a chance",
        ),
        (
            "6.1",
            lambda x, c, i, n: x.sigmoid() * (c / i) / (1 / (n + 1)),
            "scaled by the base rates",
        ),
        ("6.2", loss_of(plus, plus), "the wrong sign"),
        ("6.2", loss_of(as_it_is, as_it_is), "no correction"),
        ("6.2", loss_of(as_it_is, minus), "only the negatives are corrected"),
        ("6.2", loss_of(minus, as_it_is), "only the positive is corrected"),
        (
            "6.2",
            loss_of(lambda s, a: s - a.exp(), lambda s, a: s - a.exp()),
            "q, not its logarithm",
        ),
        ("6.4", without("model"), "the weights are not put back"),
        ("6.4", without("adam"), "the optimizer forgets its averages"),
        ("6.4", without("schedule"), "the learning rate starts anew"),
        ("6.4", without("dice"), "the shuffle starts anew"),
        ("6.4", without("epoch"), "the epoch is lost"),
        ("6.4", without("best"), "the best so far is forgotten"),
        ("6.4", without("best score"), "the best so far is forgotten"),
        ("6.4", both(save_references), "what was saved moved on"),
        ("6.4", both(save_objects), "objects, not their state"),
        ("6.4", both(save_and_put_back), "saving changes the run"),
        ("6.5", Dice, "it learns nothing from clicks"),
        ("6.5", ModelAndDice, "it learns nothing from clicks"),
        ("6.5", BestRateSoFar, "it does not look at who asks"),
        ("6.5", HalfAndHalf, "no better than the personal model"),
        ("6.5", RateTimesModel, "no better than click rate times prediction"),
        ("6.5", RatePlusModel, "no better than click rate times prediction"),
        ("6.5", Product, "the book's own code"),
    ],
)
def test_a_planted_mistake_is_named(number, answer, name):
    assert named(number, answer) == name


def test_what_is_kept_outside_the_file_is_of_no_use():
    kept = {}

    def save_elsewhere(run):
        kept["run"] = save(run)
        return {"see": "elsewhere"}

    answer = both(save_elsewhere, lambda run, saved: restore(run, kept["run"]))
    assert named("6.4", answer) == "the weights are not put back"


def test_a_run_that_goes_on_ends_as_the_whole_one_does():
    whole, cut = Run(3), Run(3)
    for _ in range(4):
        whole.train_epoch()
    cut.train_epoch()
    resumed = Run(99)
    restore(resumed, save(cut))
    for _ in range(3):
        resumed.train_epoch()
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("number", ["6.1", "6.2", "6.3", "6.4", "6.5"])
def test_no_answer_and_bad_answers_get_a_sentence(number):
    def untouched(*_):
        raise NotImplementedError

    class Untouched:
        def __init__(self, n_films):
            raise NotImplementedError

    answers = {"6.4": both(untouched, untouched), "6.5": Untouched}
    assert named(number, answers.get(number, untouched)) == "no answer yet"
    assert named(number, None) == "no answer yet"
    for answer in (lambda *_: torch.zeros(3, 3, 3), both(lambda run: 3), 3, "words"):
        text = said(number, answer)
        assert "Traceback" not in text and text.startswith(f"✗ {number} ")
