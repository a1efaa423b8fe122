"""Chapter 00's exercises: right answers hold, and the mistakes learners make are told by name."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from verdicts import named

from recsys_book.chapters.ch00_why_deep_learning.exercises import LOOKS, TestOpened, contest
from recsys_book.check import check, exercise
from recsys_book.models.baselines import EASE


def ndcg_by_loop(relevant, n_relevant, k, ideal_size=None, first_rank=1):
    gain = sum(
        1 / math.log2(rank + 1)
        for rank, r in enumerate(relevant.tolist()[:k], start=first_rank)
        if r
    )
    size = min(k, n_relevant) if ideal_size is None else ideal_size
    return gain / sum(1 / math.log2(rank + 1) for rank in range(1, size + 1))


def ndcg_by_ordering(relevant, n_relevant, k):
    """Relevant films that were not shown stand at the end of a longer list."""
    missing = n_relevant - int(relevant.sum())
    whole = np.concatenate([relevant.numpy(), np.zeros(k), np.ones(missing)])
    discount = np.where(np.arange(len(whole)) < k, 1 / np.log2(np.arange(len(whole)) + 2), 0)
    return whole @ discount / (np.sort(whole)[::-1] @ discount)


def ndcg_of_the_list(relevant, n_relevant, k):
    shown = [int(r) for r in relevant][:k]
    best = sorted(shown, reverse=True)
    dcg = lambda rs: sum(r / math.log2(i + 2) for i, r in enumerate(rs))
    return dcg(shown) / dcg(best) if dcg(best) > 0 else 0.0


def ndcg_of_the_whole_list(relevant, n_relevant, k):
    shown = [int(r) for r in relevant]
    best = sorted(shown, reverse=True)[:k]
    dcg = lambda rs: sum(r / math.log2(i + 2) for i, r in enumerate(rs))
    return dcg(shown[:k]) / dcg(best) if dcg(best) > 0 else 0.0


def ndcg_with_natural_log(relevant, n_relevant, k):
    gain = sum(r / math.log(i + 2) for i, r in enumerate(relevant.tolist()[:k]))
    return gain / sum(1 / math.log2(i + 2) for i in range(min(k, n_relevant)))


def auc_by_loop(clicked, scores, tie=0.5):
    won = [
        1.0 if a > b else tie if a == b else 0.0
        for a in scores[clicked == 1].tolist()
        for b in scores[clicked == 0].tolist()
    ]
    return sum(won) / len(won)


def auc_by_places(clicked, scores):
    place = {int(row): r + 1 for r, row in enumerate(scores.sort(stable=True).indices)}
    yes = [row for row in range(len(scores)) if clicked[row]]
    n, m = len(yes), len(scores) - len(yes)
    return (sum(place[row] for row in yes) - n * (n + 1) / 2) / (n * m)


def split_by_hand(user, item, time, n_items, mistake=None):
    """In plain Python, with one mistake or none."""
    rows = range(len(time))
    t = time.tolist()
    ordered = sorted(t)
    cut_1, cut_2 = ordered[-2 * round(0.2 * len(t))], ordered[-round(0.2 * len(t))]
    part = ["train" if t[r] < cut_1 else "validation" if t[r] < cut_2 else "test" for r in rows]
    if mistake == "random":
        shuffled = np.random.RandomState(3).permutation(part)
        part = shuffled.tolist()
    if mistake == "last of each user":
        part = ["train"] * len(t)
        for u in set(user.tolist()):
            own = sorted((r for r in rows if user[r] == u), key=lambda r: t[r])
            part[own[-1]], part[own[-2]] = "test", "validation"
    if mistake == "positions":
        n = round(0.2 * len(t))
        part = ["train"] * (len(t) - 2 * n) + ["validation"] * n + ["test"] * n
    if mistake == "inside a second":
        order = sorted(rows, key=lambda r: t[r])
        n = round(0.2 * len(t))
        for place, r in enumerate(order):
            back = len(t) - place
            part[r] = "test" if back <= n else "validation" if back <= 2 * n else "train"
    if mistake == "later than the cut":
        part = ["train" if x <= cut_1 else "validation" if x <= cut_2 else "test" for x in t]
    if mistake == "oldest":
        part = [{"train": "test", "test": "train"}.get(p, p) for p in part]
    seen = {"all": {"train", "validation", "test"}, "both": {"train", "validation"}}
    counted = seen.get(mistake, {"train"})
    popularity = [sum(1 for r in rows if item[r] == i and part[r] in counted)
                  for i in range(n_items)]  # fmt: skip
    history = []
    for r in rows:
        past = {
            "target": lambda s, r: t[s] <= t[r],
            "same second": lambda s, r: t[s] <= t[r] and s != r,
            "end": lambda s, r: True,
            "train only": lambda s, r: t[s] < t[r] and part[s] == "train",
        }.get(mistake, lambda s, r: t[s] < t[r])
        own = [s for s in rows if user[s] == user[r] and past(s, r)]
        own.sort(key=lambda s: -t[s])
        films = [int(item[s]) for s in own[:3]]
        films = films[::-1] if mistake == "reversed" else films
        padding = [n_items] * (3 - len(films))
        history.append(padding + films if mistake == "left" else films + padding)
    answer = {k: [r for r in rows if part[r] == k] for k in ("train", "validation", "test")}
    if mistake == "two parts":
        answer["train"] = answer["train"] + answer["validation"]
    if mistake == "lost":
        answer["train"] = answer["train"][1:]
    return answer | {"popularity": popularity, "history": history}


SPLITS = {
    "random": "a cut at random",
    "last of each user": "each user's own last ones",
    "positions": "the order of the rows is taken for time",
    "inside a second": "one second stands in two parts",
    "later than the cut": "the second at the cut goes to the earlier part",
    "oldest": "the oldest rows are tested",
    "all": "popularity knows the test",
    "both": "popularity knows the validation",
    "target": "the history holds the target",
    "same second": "the same second counts as the past",
    "end": "the history is that of the log's end",
    "train only": "the history stops at the cut",
    "reversed": "the oldest come first",
    "left": "the padding stands in front",
    "two parts": "a row stands twice",
    "lost": "rows are lost",
}


@pytest.mark.parametrize("mistake", SPLITS)
def test_a_leak_is_named(mistake):
    answer = lambda *log: split_by_hand(*log, mistake=mistake)
    assert named("0.3", answer) == SPLITS[mistake]
    if mistake != "inside a second":  # a larger log need not have two rows at the cut
        assert named("0.3", answer, seed=5) == SPLITS[mistake]


def test_other_bad_splits_are_told_in_a_sentence():
    good = lambda *log: split_by_hand(*log)
    with_ = lambda **other: lambda *log: good(*log) | other
    for answer in (
        lambda *log: 3,
        lambda *log: {"train": [0]},
        with_(train=[]),
        with_(test=[99]),
        with_(popularity=[1, 2]),
        with_(history=[[0, 0]]),
        with_(history=[[-1, 0, 0]] * 20),
    ):
        found = exercise("0.3").verdict(answer)
        assert found.name is None and found.seen

    def sorts_in_place(user, item, time, n_items):
        answer = split_by_hand(user, item, time, n_items)
        time.copy_(time.sort().values)
        return answer

    assert named("0.3", sorts_in_place) == "it changes its arguments"


def drawn(a, b, draws, generator, apart=False, ends=(2.5, 97.5), put_back=True):
    a, b = a.numpy(), b.numpy()
    random = np.random.default_rng(7)
    means = []
    for _ in range(draws):
        rows = random.choice(len(a), len(a), replace=put_back)
        others = random.choice(len(a), len(a), replace=put_back) if apart else rows
        means.append(a[rows].mean() - b[others].mean())
    return tuple(np.percentile(means, ends))


def drawn_with_torch(a, b, draws, generator):
    rows = torch.randint(len(a), (draws, len(a)), generator=generator)
    means = (a[rows] - b[rows]).mean(1).sort().values
    return means[int(0.025 * draws)], means[int(0.975 * draws)]


def test_an_interval_that_is_drawn_holds_for_many_draws():
    failed = [s for s in range(25) if exercise("0.4").verdict(drawn_with_torch, s) is not None]
    assert not failed


def without_clicked(contest, scores):
    scores = scores.clone()
    for u, f in zip(contest.clicks.user.tolist(), contest.clicks.item.tolist(), strict=True):
        scores[u, f] = -torch.inf
    return scores


def ease(contest, l2=200.0):
    return EASE(contest.clicks, l2).score(torch.arange(contest.n_users))


def group_rates(contest):
    """`[U, N]`: logs of how often an age group clicks a genre in a tone."""
    shown, genre, tone = contest.shown, contest.film["genre"], contest.film["tone"]
    age, rate = contest.user["age"], torch.zeros(6, 12, 2)
    for a in range(6):
        for g in range(12):
            for t in range(2):
                rows = (age[shown["user"]] == a) & (genre[shown["film"]] == g)
                rows &= tone[shown["film"]] == t
                rate[a, g, t] = (shown["clicked"][rows].sum() + 1) / (rows.sum() + 10)
    return rate[:, genre, tone][age].log()


def honest(contest):
    scores = ease(contest).float()
    return without_clicked(contest, scores / scores.std() + group_rates(contest))


def popular(contest):
    counts = torch.bincount(contest.clicks.item, minlength=contest.n_films).float()
    return without_clicked(contest, counts.repeat(contest.n_users, 1))


def chosen_on_the_test(contest):
    tries = [without_clicked(contest, ease(contest, l2)) for l2 in (50, 200)]
    return max(tries, key=lambda scores: contest.open_test(scores).mean)


def looks_too_often(contest):
    tries = [without_clicked(contest, ease(contest, l2)) for l2 in range(10, 15 + LOOKS)]
    return max(tries, key=contest.look)


def tuned_as_the_baseline(contest):
    tries = [without_clicked(contest, ease(contest, l2)) for l2 in np.geomspace(3, 3_000, LOOKS)]
    return max(tries, key=contest.look)


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_right_answers_hold(seed):
    check("0.1", ndcg_by_loop, seed=seed)
    check("0.1", ndcg_by_ordering, seed=seed)
    check("0.2", auc_by_loop, seed=seed)
    check("0.3", split_by_hand, seed=seed)
    check("0.4", drawn, seed=seed)
    check("0.5", honest, seed=seed)


def test_the_contest_counts_and_opens_once():
    here = contest(3)
    scores = honest(here)
    values = {here.look(scores) for _ in range(LOOKS)}
    assert len(values) == 1
    with pytest.raises(RuntimeError, match="spent"):
        here.look(scores)
    lead = here.open_test(scores)
    assert lead.low > 0 and lead.n == here.n_users // 2
    with pytest.raises(TestOpened):
        here.open_test(scores)


def test_bad_scores_are_told_in_a_sentence():
    for answer in (
        lambda c: None,
        lambda c: torch.zeros(3, 3),
        lambda c: torch.full((c.n_users, c.n_films), torch.nan),
    ):
        found = exercise("0.5").verdict(answer)
        assert found.name is None and found.seen


def test_a_log_that_an_answer_changes_does_not_help_it():
    def forgets_the_clicks(contest):
        scores = ease(contest)
        contest.clicks.user.zero_()
        return scores

    name = named("0.5", forgets_the_clicks)
    assert name == "what was clicked already is recommended again"


@pytest.mark.parametrize("number", ["0.1", "0.2", "0.3", "0.4", "0.5"])
def test_an_untouched_answer_says_so(number):
    def untouched(*arguments):
        raise NotImplementedError

    assert named(number, untouched) == "no answer yet"
    assert named(number, None) == "no answer yet"
    assert named(number, 3.0) == "no function"


@pytest.mark.parametrize(
    ("number", "answer", "name"),
    [
        ("0.1", ndcg_of_the_list, "the ideal is made of what was found"),
        ("0.1", ndcg_of_the_whole_list, "the ideal is made of the list's own films"),
        ("0.1", lambda r, n, k: ndcg_by_loop(r, n, k, ideal_size=k), "the ideal always has k"),
        ("0.1", lambda r, n, k: ndcg_by_loop(r, n, k, ideal_size=n), "the ideal is not cut at k"),
        ("0.1", lambda r, n, k: ndcg_by_loop(r, n, k, first_rank=2),
         "list and ideal count ranks differently"),
        ("0.1", lambda r, n, k: ndcg_by_loop(r, n, k) * sum(
            1 / math.log2(i + 2) for i in range(min(n, k))), "not divided by the ideal"),
        ("0.1", ndcg_with_natural_log, "a natural logarithm in the list"),
        ("0.2", lambda y, s: auc_by_loop(y, s, tie=1.0), "a tie counts as a win"),
        ("0.2", lambda y, s: auc_by_loop(y, s, tie=0.0), "a tie counts as a loss"),
        ("0.2", auc_by_places, "ties stand in the order of the rows"),
        ("0.2", lambda y, s: auc_by_loop(1 - y, s), "the wrong way round"),
        ("0.2", lambda y, s: ((s > 0.5) == y.bool()).float().mean(), "accuracy, not order"),
        ("0.2", roc_auc_score, "ready-made code"),
        ("0.4", lambda *x: drawn(*x, apart=True), "each model draws its own users"),
        ("0.4", lambda *x: drawn(*x, ends=(5, 95)), "one side of the interval only"),
        ("0.4", lambda *x: drawn(*x, put_back=False), "drawn without putting back"),
        ("0.4", lambda a, b, d, g: drawn(b, a, d, g), "the wrong way round"),
        ("0.4", lambda a, b, d, g: (a - b).quantile(torch.tensor([0.025, 0.975]).double()),
         "the spread of users, not of their mean"),
        ("0.5", ease, "what was clicked already is recommended again"),
        ("0.5", popular, "the same list for everybody"),
        ("0.5", lambda c: without_clicked(c, ease(c, 500.0)), "no better than the baseline"),
        ("0.5", tuned_as_the_baseline, "no better than the baseline"),
        ("0.5", chosen_on_the_test, "chosen on the test"),
        ("0.5", looks_too_often, "over the budget"),
    ],
)  # fmt: skip
def test_a_planted_mistake_is_named(number, answer, name):
    assert named(number, answer) == name


@pytest.mark.parametrize("seed", [1, 3, 1001])
def test_a_graders_cases_tell_ideals_apart_too(seed):
    of_k = lambda r, n, k: ndcg_by_loop(r, n, k, ideal_size=k)
    assert named("0.1", of_k, seed) == "the ideal always has k"
    assert named("0.1", ndcg_of_the_list, seed) == "the ideal is made of what was found"
