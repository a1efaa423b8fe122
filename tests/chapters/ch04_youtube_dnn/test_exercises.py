"""Chapter 04's exercises: right answers hold, and the mistakes learners make are told by name."""

import math

import pytest
import torch
from torch.nn import functional as F
from verdicts import named, said

from recsys_book.chapters.ch04_youtube_dnn.exercises import LABELS, catalogue, serve, service
from recsys_book.check import check


def histories(
    user, item, time, length, n_items, *, earlier=lambda t, now: t < now, everybody=False
):
    """Person by person, in the order of time, with Python lists."""
    watches = list(zip(user.tolist(), item.tolist(), time.tolist(), strict=True))
    rows = []
    for u, _, now in watches:
        past = [(t, i) for v, i, t in watches if (everybody or v == u) and earlier(t, now)]
        films = [i for _, i in sorted(past, key=lambda pair: pair[0], reverse=True)][:length]
        rows.append(films + [n_items] * (length - len(films)))
    return torch.tensor(rows)


def row_by_row(user, item, time, length, n_items):
    """What was above in the table, as a learner does who takes the log for sorted."""
    past, rows = {}, []
    for u, i in zip(user.tolist(), item.tolist(), strict=True):
        films = past.setdefault(u, [])
        rows.append((films[::-1] + [n_items] * length)[:length])
        films.append(i)
    return torch.tensor(rows)


def by_running_list(user, item, time, length, n_items):
    """Sorted by time, but one watch after the other: equal seconds leak."""
    found, past = torch.full((len(user), length), n_items), {}
    for row in time.argsort(stable=True).tolist():
        films = past.setdefault(int(user[row]), [])
        kept = films[::-1][:length]
        found[row, : len(kept)] = torch.tensor(kept, dtype=torch.int64)
        films.append(int(item[row]))
    return found


def turned(user, item, time, length, n_items):
    rows = histories(user, item, time, length, n_items).tolist()
    turned = [[i for i in row if i != n_items][::-1] for row in rows]
    return torch.tensor([row + [n_items] * (length - len(row)) for row in turned])


def padded_with_0(*arguments):
    right = histories(*arguments)
    return torch.where(right == arguments[-1], torch.zeros_like(right), right)


def softmax_by_loop(
    positive, negative, count, positive_ids, negative_ids, tau,
    *, log_q=lambda q, m, tau: math.log(m * q), positive_too=False, hit=0.0,
):  # fmt: skip
    """Example by example with exp and log; the keywords are what learners get wrong."""
    losses = []
    for b in range(len(positive)):
        own = float(positive[b]) / tau
        if positive_too:
            own -= math.log(negative.shape[1] * int(count[positive_ids[b]]) / int(count.sum()))
        total = math.exp(own)
        for s, j in zip(negative[b].tolist(), negative_ids[b].tolist(), strict=True):
            q = int(count[j]) / int(count.sum())
            term = math.exp(s / tau - log_q(q, negative.shape[1], tau))
            total += term if j != int(positive_ids[b]) else term * hit
        losses.append(math.log(total) - own)
    return sum(losses) / len(losses)


def softmax_with(**how):
    return lambda *arguments: softmax_by_loop(*arguments, **how)


def softmax_of_counts(positive, negative, count, positive_ids, negative_ids, tau):
    s = negative / tau - (negative.shape[1] * count[negative_ids].double()).log()
    s[negative_ids == positive_ids[:, None]] = -1e9
    own = positive / tau
    return (torch.cat([own[:, None], s], 1).logsumexp(1) - own).mean()


def softmax_with_masked_zeros(positive, negative, count, positive_ids, negative_ids, tau):
    m, q = negative.shape[1], count / count.sum()
    s = negative / tau - (m * q[negative_ids]).log()
    s = s * (negative_ids != positive_ids[:, None])
    both = torch.cat([(positive / tau)[:, None], s], 1)
    return F.cross_entropy(both, torch.zeros(len(both), dtype=torch.int64))


def loss_by_loop(
    logits, clicked, minutes, *, positive=lambda c, t: c and t > 0, weight=lambda c, t: t
):
    total = 0.0
    for z, c, t in zip(logits.tolist(), clicked.tolist(), minutes.tolist(), strict=True):
        softplus = lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x)))
        total += weight(c, t) * softplus(-z) if positive(c, t) else softplus(z)
    return total / len(logits)


def loss_with_pos_weight(logits, clicked, minutes):
    w = minutes[clicked].mean()
    return F.binary_cross_entropy_with_logits(logits, clicked.float(), pos_weight=w)


def loss_over_weights(logits, clicked, minutes):
    w = torch.where(minutes > 0, minutes, torch.ones(len(minutes)))
    each = F.binary_cross_entropy_with_logits(logits, (minutes > 0).float(), reduction="none")
    return (w * each).sum() / w.sum()


def loss_of_logarithms(logits, clicked, minutes):
    p = 1 / (1 + torch.exp(-logits))
    return torch.where(minutes > 0, -minutes * p.log(), -(1 - p).log()).mean()


def watch(loss=loss_by_loop, minutes=lambda z, kept: torch.exp(z) * kept):
    return {"loss": loss, "minutes": minutes}


def search_by_loop(queries, vectors, centres, home, k, effort, *, similar=torch.dot, ids=True):
    rows = []
    for q in queries:
        order = sorted(range(len(centres)), key=lambda c: -float(similar(q, centres[c])))
        films = [i for i in range(len(vectors)) if int(home[i]) in order[:effort]]
        best = sorted(range(len(films)), key=lambda n: -float(q @ vectors[films[n]]))[:k]
        row = [films[n] if ids else n for n in best]
        rows.append(row + [-1] * (k - len(row)))
    return torch.tensor(rows)


def search_by_distance(*arguments):
    return search_by_loop(*arguments, similar=lambda q, c: -(q - c).norm())


def search_by_place(*arguments):
    return search_by_loop(*arguments, ids=False)


def search_all(queries, vectors, centres, home, k, effort):
    return (queries @ vectors.T).argsort(dim=1, descending=True)[:, :k]


def search_with_leftovers(queries, vectors, centres, home, k, effort):
    visited = torch.zeros(len(queries), len(centres), dtype=torch.bool)
    visited.scatter_(1, (queries @ centres.T).topk(effort).indices, True)
    scores = queries @ vectors.T
    scores[~visited[:, home]] = -torch.inf
    return scores.topk(k).indices


def recall_by_sets(found, exact):
    shares = [
        len(set(f) & set(e)) / len(e) for f, e in zip(found.tolist(), exact.tolist(), strict=True)
    ]
    return sum(shares) / len(shares)


def looked_at(effort):
    shop, shares = catalogue(), []
    for q in shop.queries:
        lists = (shop.centres @ q).topk(effort).indices
        films = sum(int((shop.home == c).sum()) for c in lists)
        shares.append((films + len(shop.centres)) / len(shop.vectors))
    return sum(shares) / len(shares)


def index(search=search_by_loop, recall=recall_by_sets, effort=3, share=None):
    share = looked_at(effort) if share is None else share
    return {"search": search, "recall": recall, "effort": effort, "looked at": share}


def looking(log):
    return log.minutes / log.length * log.in_front


def looking_and_played(log):
    return ((log.in_front > 0.6) & (log.minutes > 0.55 * log.length)) * 1.0


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_right_answers_hold(seed):
    check("4.1", histories, seed=seed)
    check("4.1", lambda *a: histories(*a).tolist(), seed=seed)
    check("4.2", softmax_by_loop, seed=seed)
    check("4.3", watch(), seed=seed)
    check("4.3", watch(minutes=lambda z, kept: (z + math.log(kept)).exp()), seed=seed)
    check("4.4", index(), seed=seed)
    check("4.5", looking, seed=seed)
    check("4.5", looking_and_played, seed=seed)
    check("4.5", lambda log: 7 * looking(log) - 2.0, seed=seed)


@pytest.mark.parametrize(
    ("number", "answer", "name"),
    [
        (
            "4.1",
            lambda *a: histories(*a, earlier=lambda t, now: t <= now),
            "the film is in its own history",
        ),
        ("4.1", by_running_list, "of one second, the upper row counts as earlier"),
        ("4.1", row_by_row, "it takes rows for times"),
        ("4.1", lambda *a: histories(*a, everybody=True), "everybody's watches"),
        ("4.1", turned, "the oldest first"),
        ("4.1", padded_with_0, "padded with a film"),
        ("4.2", softmax_with(log_q=lambda q, m, tau: 0.0), "no correction at all"),
        ("4.2", softmax_with(log_q=lambda q, m, tau: -math.log(m * q)), "the wrong sign"),
        ("4.2", softmax_with(positive_too=True), "the positive is corrected too"),
        (
            "4.2",
            softmax_with(log_q=lambda q, m, tau: math.log(m * q) / tau),
            "the correction is divided by the temperature",
        ),
        (
            "4.2",
            softmax_with(log_q=lambda q, m, tau: math.log(q)),
            "how many were drawn is forgotten",
        ),
        ("4.2", softmax_of_counts, "a count, not a chance"),
        ("4.2", softmax_with(hit=1.0), "accidental hits stay in"),
        ("4.2", softmax_with_masked_zeros, "a hit gets a score of 0"),
        (
            "4.3",
            watch(lambda z, c, t: loss_by_loop(z, c, torch.where(t > 0, t.clamp(min=1), t))),
            "a short watch counts as a whole minute",
        ),
        (
            "4.3",
            watch(lambda *a: loss_by_loop(*a, positive=lambda c, t: c, weight=lambda c, t: 1)),
            "a click model",
        ),
        (
            "4.3",
            watch(
                lambda z, c, t: F.binary_cross_entropy_with_logits(z, c.float(), weight=t)
            ),
            "minutes weigh everything",
        ),
        ("4.3", watch(loss_with_pos_weight), "one weight for all clicks"),
        (
            "4.3",
            watch(lambda *a: loss_by_loop(*a, positive=lambda c, t: c)),
            "a click of no minutes vanishes",
        ),
        (
            "4.3",
            watch(
                lambda *a: loss_by_loop(*a, positive=lambda c, t: c, weight=lambda c, t: t or 1)
            ),
            "a click of no minutes still counts as watched",
        ),
        ("4.3", watch(loss_over_weights), "divided by the weights"),
        ("4.3", watch(loss_of_logarithms), "the logarithm of a sigmoid"),
        ("4.3", watch(minutes=lambda z, kept: z.sigmoid()), "the sigmoid is served"),
        ("4.3", watch(minutes=lambda z, kept: z.exp()), "the sample is not undone"),
        (
            "4.3",
            watch(minutes=lambda z, kept: z.exp() / kept),
            "the sample is undone the wrong way",
        ),
        ("4.4", index(search_all), "it looks at every film"),
        ("4.4", index(search_with_leftovers), "films it never looked at"),
        ("4.4", index(search_by_distance), "lists by distance"),
        ("4.4", index(search_by_place), "places in a list, not ids"),
        (
            "4.4",
            index(recall=lambda f, e: (f == e).float().mean()),
            "place by place",
        ),
        (
            "4.4",
            index(
                recall=lambda f, e: recall_by_sets(f, e) * e.numel() / int((f != -1).sum())
            ),
            "a share of what was found",
        ),
        ("4.4", index(effort=2), "too little effort"),
        ("4.4", index(effort=5), "more effort than needed"),
        ("4.4", index(share=3 / 40), "a share of the lists"),
        ("4.4", index(share=looked_at(3) - 40 / 2_000), "the centres cost nothing"),
        ("4.5", lambda log: 3.0 * log.clicked, "click by another name"),
        ("4.5", lambda log: log.minutes * 60, "minutes by another name"),
        ("4.5", lambda log: log.minutes / log.length, "share played by another name"),
        ("4.5", lambda log: log.minutes / log.length > 0.5, "half played by another name"),
        ("4.5", lambda log: (log.again == 1).float(), "the survey alone"),
        ("4.5", lambda log: torch.ones(len(log.minutes)), "everything is worth the same"),
        ("4.5", lambda log: log.length + looking(log), "credit without a click"),
        ("4.5", lambda log: looking(log) / log.in_front, "something divided by nothing"),
        ("4.5", lambda log: log.minutes * log.in_front, "no better than a simple label"),
        ("4.5", lambda log: log.minutes.mul_(2), "it changes its arguments"),
    ],
)  # fmt: skip
def test_a_planted_mistake_is_named(number, answer, name):
    assert named(number, answer) == name


def test_a_log_that_an_answer_changed_is_whole_again():
    before = service(100).log.minutes.clone()
    named("4.5", lambda log: log.minutes.mul_(2))
    assert torch.equal(service(100).log.minutes, before)
    check("4.5", looking)


def test_the_service_holds_what_is_planted():
    services = [service(seed) for seed in range(4)]
    mean = lambda label, what: sum(serve(s, LABELS[label])[what] for s in services) / 4
    # Each of the first two labels is best at what it counts, and far from what is worth it.
    assert mean("click", "click") > 0.95 > mean("minutes", "click") + 0.1
    assert mean("minutes", "minutes") > 0.95 > mean("click", "minutes") + 0.1
    assert max(mean("click", "worth it"), mean("minutes", "worth it")) < 0.8
    log = services[0].log
    # What the truth says of minutes and clicks is what the log shows.
    clicks = services[0].truth["click"][log.group, log.video].mean()
    assert float(log.clicked.double().mean()) == pytest.approx(float(clicks), rel=0.05)
    minutes = services[0].truth["minutes"][log.group, log.video].mean()
    assert float(log.minutes.mean()) == pytest.approx(float(minutes), rel=0.05)
    asked = log.again >= 0
    assert not asked[~log.clicked].any() and 0.03 < float(asked[log.clicked].double().mean()) < 0.05


def test_the_catalogue_has_lists_of_unequal_length():
    shop = catalogue()
    size = torch.bincount(shop.home, minlength=40)
    assert size.min() > 0 and size.max() > 4 * size.median()


def untouched(*arguments):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("4.1", untouched),
        ("4.2", untouched),
        ("4.3", {"loss": untouched, "minutes": untouched}),
        ("4.4", {"search": untouched, "recall": untouched, "effort": None, "looked at": None}),
        ("4.5", untouched),
    ],
)
def test_an_untouched_answer_is_no_answer_yet(number, answer):
    assert named(number, answer) == "no answer yet"


@pytest.mark.parametrize(
    ("number", "answer", "words"),
    [
        ("4.1", 3, "a function is wanted"),
        ("4.2", lambda *a: a[0], "wanted shape"),
        ("4.3", loss_by_loop, "'loss' and 'minutes'"),
        ("4.3", watch(minutes=3.0), "'minutes' is 3.0"),
        ("4.4", search_by_loop, "A dict"),
        ("4.4", index(effort=0, share=0.1), "1 to 40"),
        ("4.4", index(effort="three", share=0.1), "could not convert"),
        ("4.5", 7, "a function is wanted"),
        ("4.5", lambda log: torch.zeros(3), "wanted (40000,)"),
    ],
)
def test_bad_input_gets_one_clear_sentence(number, answer, words):
    assert words in said(number, answer)
