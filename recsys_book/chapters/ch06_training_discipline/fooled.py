"""Chapter 06: every metric fooled once, on purpose, and the fix.

Each case sets a trickster, which is of no use (or of less), beside an honest model, and measures
both twice: by a metric as it is often taken, under which the trickster looks better, and by the
same metric mended. The models are what their names say: rates counted before the test, and what the
simulated world itself knows, whole or with noise. Nothing is trained, so a case takes moments.

The test is the impressions of the last four days. `world.log.click_probability`, the chance that
the oracle gives an impression, knows the place, the session and what was watched before; "taste" is
the chance of a click on a film that is looked at, from user, film, device and time of day alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from recsys_book.arguments import check_positive, check_same_shape
from recsys_book.calibration import expected_calibration_error, platt, recalibrate
from recsys_book.metrics import (
    auc,
    hit_rate_at_k,
    log_loss,
    mispredicted_watch_time,
    ndcg_at_k,
    ranking_at_k,
    rmse,
    user_auc,
)
from recsys_book.service import Context, World
from recsys_book.service.click_models import Cut
from recsys_book.service.oracle import make_ranking
from recsys_book.show.claims import Comparison, by_world

TEST_FROM = 24  # first day of the test
VALIDATE_FROM = 20  # what is fitted after training (a calibration) sees the four days before
PRIOR = 20  # impressions at the mean rate that every counted rate starts from
MINUTE = 60.0
K = 10


@dataclass(frozen=True)
class Case:
    """One metric, fooled and mended, in one world.

    Attributes:
        metric: as it is often taken.
        trick: what fools it.
        trickster, honest: what the two models are.
        figures: of the trickster and of the honest model, by `metric`.
        repaired: the metric under which the order is right.
        repaired_figures: of the two, by `repaired`.
        up, repaired_up: whether more is better.
    """

    metric: str
    trick: str
    trickster: str
    honest: str
    figures: tuple[float, float]
    repaired: str
    repaired_figures: tuple[float, float]
    up: bool = True
    repaired_up: bool = True

    def lead(self) -> float:
        """By how much the trickster looks better than the honest model; above 0: fooled."""
        trickster, honest = self.figures
        return trickster - honest if self.up else honest - trickster

    def repaired_lead(self) -> float:
        """By how much the honest model is better by the repaired metric; above 0: mended."""
        trickster, honest = self.repaired_figures
        return honest - trickster if self.repaired_up else trickster - honest


# ---------------------------------------------------------------- metrics as they should not be


def mean_of_batch_aucs(labels: Tensor, scores: Tensor, batch_size: int) -> tuple[float, int]:
    """AUC of each batch in the order given, averaged: another number than `auc`.

    Args:
        labels: `[B]`, 0 or 1.
        scores: `[B]`.
        batch_size: examples in a batch.

    Returns:
        the mean over batches with both classes, and how many batches have one class only.

    Raises:
        ValueError: shapes that differ, batch_size below 1, no batch with both classes.
    """
    check_same_shape("labels", labels, "scores", scores)
    check_positive("batch_size", batch_size)
    batch = torch.arange(len(labels)) // batch_size
    found = user_auc(labels, scores, batch)  # within batches, as it is within users
    return found.mean(), found.n_left_out


def ndcg_of_the_list(scores: Tensor, relevant: Tensor, k: int) -> Tensor:
    """NDCG@K whose ideal is the list itself, sorted: [1, 0, 0] is perfect, however much is missing.

    Arguments and errors as in `metrics.ndcg_at_k`.

    Returns:
        `[U]` float64; NaN for a user whose list holds nothing relevant (0 by 0).
    """
    _, ndcg, recall = ranking_at_k(scores, relevant, k)
    n_relevant = relevant.sum(1)
    discount = 1 / torch.log2(torch.arange(2, k + 2, dtype=torch.float64))
    ideal = torch.cat([torch.zeros(1, dtype=torch.float64), discount.cumsum(0)])  # by how many
    hits = (recall * n_relevant).round().long()  # [U] relevant items in the list
    return ndcg * ideal[n_relevant.clamp(max=k)] / ideal[hits]


# ---------------------------------------------------------------- and one that should


def relative_information(labels: Tensor, logits: Tensor) -> float:
    """1 − log-loss / log-loss of the test's own click rate: the share of what is not known without
    a model that the model tells.

    0 is a constant, 1 knows every click, below 0 is worse than a constant. It does not rise by
    itself where the label is rare; two models are still best compared on one test. (The
    normalized entropy of He et al.: Practical Lessons from Predicting Clicks on Ads at Facebook.
    ADKDD 2014, https://doi.org/10.1145/2648584.2648589, section 3, is 1 minus it.)

    Args:
        labels: `[B]`, 0 or 1, both present.
        logits: `[B]`.

    Raises:
        ValueError: as `log_loss`; one class only.
    """
    loss, rate = log_loss(labels, logits), labels.double().mean()
    if rate == 0 or rate == 1:
        raise ValueError(f"labels are all {int(rate)}; a constant knows them already")
    return 1 - loss / log_loss(labels, rate.logit().expand(len(labels)))


# ---------------------------------------------------------------- what every case looks at


@dataclass(frozen=True)
class Look:
    """A world's impressions and what simple models know of them: M impressions, U' users.

    Attributes:
        world: with its log.
        user, film, place: `[M]` int64.
        label: `[M]` float64, 1 for a click.
        minutes: `[M]` float64 watched; 0 without a click.
        oracle: `[M]` float64, logit of the true chance.
        taste: `[M]` float64, logit of the chance by user, film, device and time of day alone.
        test, validation: `[M]` bool.
        truth: `[U', N]` float64, the true chance of every film for some users in a context each; 0
            for what they have watched and for what is not out.
    """

    world: World
    user: Tensor
    film: Tensor
    place: Tensor
    label: Tensor
    minutes: Tensor
    oracle: Tensor
    taste: Tensor
    test: Tensor
    validation: Tensor
    truth: Tensor

    def noise(self, like: Tensor, size: float) -> Tensor:
        """Normal noise of standard deviation `size`, shaped like a tensor; of the world's seed."""
        generator = torch.Generator().manual_seed(self.world.seed)
        return size * torch.randn(like.shape, generator=generator, dtype=torch.float64)

    def rate(self, ids: Tensor, values: Tensor) -> Tensor:
        """`[M]` mean of `values` `[M]` by id before the test, pulled to the mean of all where there
        is little to count."""
        n, before = int(ids.max()) + 1, ~self.test
        count = torch.bincount(ids[before], minlength=n)
        total = torch.bincount(ids[before], values[before], minlength=n)
        return ((total + PRIOR * values[before].mean()) / (count + PRIOR))[ids]

    def catalogue(self, scores: Tensor) -> Tensor:
        """`[U', N]` scores with −inf for films that are out of the race."""
        return scores.masked_fill(self.truth == 0, -torch.inf)

    def best(self, n: int) -> Tensor:
        """`[U', N]` bool: the n films with the highest true chance for each user."""
        wanted = torch.zeros_like(self.truth, dtype=torch.bool)
        return wanted.scatter_(1, self.truth.topk(n, dim=1).indices, True)


def look(world: World, n_ranked: int = 300) -> Look:
    """Prepare a world for all cases.

    Args:
        world: from `simulate`, with days in the test and in the validation.
        n_ranked: U', users whose whole catalogue is ranked; all where there are fewer.
    """
    log, user, film = world.log, world.log.user.long(), world.log.film.long()
    ranking = make_ranking(Cut(world, TEST_FROM), n_ranked, seed=world.seed)
    seen = Context(log.device.long(), log.daypart.long())
    return Look(
        world=world,
        user=user,
        film=film,
        place=log.position.long(),
        label=log.clicked.double(),
        minutes=log.watch_seconds.double() / MINUTE,
        oracle=log.click_probability.double().clamp(1e-12, 1 - 1e-9).logit(),
        taste=world.click_probability(user, film, seen).logit(),
        test=log.day >= TEST_FROM,
        validation=(log.day >= VALIDATE_FROM) & (log.day < TEST_FROM),
        truth=ranking.truth[ranking.relevant.user.unique()].double(),
    )


# ---------------------------------------------------------------- AUC


def auc_by_users_rate(at: Look) -> Case:
    """Users of this service click about equally often. Here each of them looks at a share of the
    lists only, a share of their own, as people do: clicks on lists not looked at are struck out."""
    generator = torch.Generator().manual_seed(at.world.seed)
    attention = torch.rand(at.world.n_users, generator=generator, dtype=torch.float64)
    session = at.world.log.session.long()
    looks = torch.rand(int(session.max()) + 1, generator=generator, dtype=torch.float64)
    label = at.label * (looks[session] < attention[at.user])
    labels, test = label[at.test].long(), at.test
    trickster, honest = at.rate(at.user, label)[test], at.rate(at.film, label)[test]
    within = lambda scores: user_auc(labels, scores, at.user[test]).mean()
    return Case(
        "AUC over everybody",
        "score each user by how often they click, whatever the film",
        "the user's past click rate",
        "the film's past click rate",
        (auc(labels, trickster), auc(labels, honest)),
        "AUC within users",
        (within(trickster), within(honest)),
    )


def auc_by_place(at: Look) -> Case:
    """AUC within users does not help here: every user has a first place."""
    labels, test = at.label[at.test].long(), at.test
    trickster = at.rate(at.place, at.label)[test]
    honest = at.rate(at.film, at.label)[test]
    within = lambda scores: user_auc(labels, scores, at.place[test]).mean()
    return Case(
        "AUC within users, of impressions as they stood",
        "score the place in the list, which no film has before it is ranked",
        "the place's past click rate",
        "the film's past click rate",
        tuple(user_auc(labels, s, at.user[test]).mean() for s in (trickster, honest)),
        "AUC within places",
        (within(trickster), within(honest)),
    )


def auc_with_easy_negatives(at: Look) -> Case:
    """Four films drawn evenly from the catalogue for each one shown count as not clicked; most of
    them are hardly ever shown, so that knowing what is shown pays."""
    world, log, test = at.world, at.world.log, at.test
    generator = torch.Generator().manual_seed(world.seed)
    n = int(test.sum())
    drawn = torch.randint(world.n_films, (4 * n,), generator=generator)
    repeated = [column[test].long().repeat(4) for column in (at.user, log.device, log.daypart)]
    taste = world.click_probability(repeated[0], drawn, Context(*repeated[1:])).logit()
    shown = torch.bincount(at.film[~test], minlength=world.n_films).double()
    honest = torch.cat([at.taste[test], taste])
    honest = honest + at.noise(honest, 2.5)
    trickster = shown[torch.cat([at.film[test], drawn])]
    labels = torch.cat([at.label[test], torch.zeros(4 * n, dtype=torch.float64)]).long()
    return Case(
        "AUC with films that were never shown as negatives",
        "know what the service shows, not what people like",
        "how often a film was shown",
        "taste, with much noise",
        (auc(labels, trickster), auc(labels, honest)),
        "AUC of what was shown",
        (auc(labels[:n], trickster[:n]), auc(labels[:n], honest[:n])),
    )


def auc_by_batches(at: Look) -> Case:
    """A model trained anew every hour, whose level wanders, and batches in the order of time."""
    order = at.world.log.time[at.test].argsort(stable=True)
    labels, taste = at.label[at.test][order].long(), at.taste[at.test][order]
    hour = at.world.log.time[at.test][order].long() // 3_600
    hour = hour - hour.min()
    wandering = at.noise(torch.zeros(int(hour.max()) + 1), 3.0)[hour]
    trickster, honest = taste + wandering, taste + at.noise(taste, 1.0)
    batches = lambda scores: mean_of_batch_aucs(labels, scores, 64)[0]
    return Case(
        "mean of the AUCs of batches of 64, by time",
        "score every hour on a scale of its own",
        "taste, on a scale that wanders",
        "taste, with noise",
        (batches(trickster), batches(honest)),
        "AUC over everything",
        (auc(labels, trickster), auc(labels, honest)),
    )


# ---------------------------------------------------------------- log-loss and calibration


def log_loss_of_a_rare_label(at: Look) -> Case:
    """A film watched for 90 minutes is rarer than a click, and the rarer the label, the less a
    constant is surprised."""
    rare = (at.minutes >= 90).double()
    constant = rare[~at.test].mean().logit().expand(int(at.test.sum()))
    click, rare, taste = at.label[at.test], rare[at.test], at.taste[at.test]
    slope, intercept = platt(at.taste[at.validation], at.label[at.validation])
    honest = slope * taste + intercept
    return Case(
        "log-loss, each model on a test of its own",
        "choose a rarer label: watched for 90 minutes",
        "a constant, on the rare label",
        "taste, on clicks",
        (log_loss(rare, constant), log_loss(click, honest)),
        "relative information",
        (relative_information(rare, constant), relative_information(click, honest)),
        up=False,
    )


def log_loss_of_sampled_negatives(at: Look) -> Case:
    """The best order there is, from a model that met one negative of twenty, against no model."""
    kept = 0.05
    labels, test = at.label[at.test], at.test
    constant = at.label[~test].mean().logit().expand(int(test.sum()))
    sampled = at.oracle[test] - math.log(kept)  # what training on the sample tends to
    return Case(
        "log-loss",
        "know the click rate, against a model trained on sampled negatives",
        "a constant",
        "oracle, with 1 negative of 20",
        (log_loss(labels, constant), log_loss(labels, sampled)),
        "log-loss after undoing the sampling",
        (log_loss(labels, constant), log_loss(labels, recalibrate(sampled, kept))),
        up=False,
        repaired_up=False,
    )


def log_loss_of_the_too_sure(at: Look) -> Case:
    """The rate of sampling is not known, and every log-odds is three times too large."""
    labels, test = at.label[at.test], at.test
    constant = at.label[~test].mean().logit().expand(int(test.sum()))
    sure = 3 * at.taste + 2
    slope, intercept = platt(sure[at.validation], at.label[at.validation])
    return Case(
        "log-loss",
        "know the click rate, against a model that is too sure of itself",
        "a constant",
        "taste, log-odds three times too large",
        (log_loss(labels, constant), log_loss(labels, sure[test])),
        "log-loss after Platt scaling on validation",
        (log_loss(labels, constant), log_loss(labels, slope * sure[test] + intercept)),
        up=False,
        repaired_up=False,
    )


def calibration_of_a_constant(at: Look) -> Case:
    """A forecast of the climate is right on average and of no use for tomorrow."""
    labels, test = at.label[at.test], at.test
    constant = at.label[~test].mean().logit().expand(int(test.sum()))
    honest = at.oracle[test] + at.noise(at.oracle[test], 1.0)
    error = lambda logits: expected_calibration_error(labels, logits.sigmoid())
    return Case(
        "expected calibration error",
        "give everybody the click rate",
        "a constant",
        "oracle, with noise",
        (error(constant), error(honest)),
        "log-loss, read beside it",
        (log_loss(labels, constant), log_loss(labels, honest)),
        up=False,
        repaired_up=False,
    )


# ---------------------------------------------------------------- the top of the list


def hits_by_ties(at: Look) -> Case:
    """To be found: each user's ten best films, among the whole catalogue."""
    constant, relevant = at.catalogue(torch.zeros_like(at.truth)), at.best(K)
    honest = at.catalogue(at.truth + at.noise(at.truth, 0.3))
    hits = lambda scores, ties: float(hit_rate_at_k(scores, relevant, K, ties).mean())
    return Case(
        f"HR@{K}, ties go to the relevant film",
        "give every film one score",
        "a constant",
        "true chances, with much noise",
        (hits(constant, "best"), hits(honest, "best")),
        f"HR@{K}, ties go against it",
        (hits(constant, "worst"), hits(honest, "worst")),
    )


def hits_among_sampled(at: Look) -> Case:
    """To be found: each user's single best film, against 99 others or against all.

    The trickster is never far off and hardly ever right; the honest model finds the film for a
    third of the users and knows nothing about the others. Hundreds of films that the trickster puts
    above the best one are left out by the sample. (Krichene, Rendle: On Sampled Metrics for Item
    Recommendation. KDD 2020, https://doi.org/10.1145/3394486.3403226.)
    """
    n_users, n_films = at.truth.shape
    relevant = at.best(1)
    logit = at.truth.clamp(1e-6).logit()
    trickster = logit + at.noise(logit, 3.0)
    known = (torch.arange(n_users) % 3 == 0)[:, None]
    honest = torch.where(known, logit, at.noise(logit, 1.0))
    # 99 others, drawn evenly from what is in the race.
    generator = torch.Generator().manual_seed(at.world.seed)
    lot = torch.rand(n_users, n_films, generator=generator).masked_fill(at.truth == 0, -1.0)
    lot = lot.masked_fill(relevant, 2.0)
    candidates = lot.topk(100, dim=1).indices
    sampled = lambda scores: float(
        hit_rate_at_k(scores.gather(1, candidates), relevant.gather(1, candidates), K).mean()
    )
    whole = lambda scores: float(hit_rate_at_k(at.catalogue(scores), relevant, K).mean())
    return Case(
        f"HR@{K} among 99 sampled films",
        "be never far off and hardly ever right",
        "true chances with much noise, for everybody",
        "true chances, for a third of the users",
        (sampled(trickster), sampled(honest)),
        f"HR@{K} in the whole catalogue",
        (whole(trickster), whole(honest)),
    )


def ndcg_by_its_own_ideal(at: Look) -> Case:
    """One of ten films found, and it stands first: [1, 0, 0, …]."""
    relevant = at.best(K)
    # The best film first, then the worst ones.
    trickster = at.catalogue(torch.where(at.best(1), 1.0, -at.truth))
    honest = at.catalogue(at.truth + at.noise(at.truth, 0.1))
    own = lambda scores: float(ndcg_of_the_list(scores, relevant, K).nanmean())
    fair = lambda scores: float(ndcg_at_k(scores, relevant, K).mean())
    return Case(
        f"NDCG@{K} whose ideal is the retrieved list",
        "find one relevant film, put it first, and nothing else",
        "the best film, then the worst",
        "true chances, with noise",
        (own(trickster), own(honest)),
        f"NDCG@{K} whose ideal holds all that is relevant",
        (fair(trickster), fair(honest)),
    )


def ndcg_of_the_lucky(at: Look) -> Case:
    """Users without a hit are left out of the mean."""
    relevant, everybody = at.best(K), torch.arange(len(at.truth))
    served = (everybody % 10 == 0)[:, None]
    trickster = at.catalogue(torch.where(served, at.truth, -at.truth))
    honest = at.catalogue(at.truth + at.noise(at.truth, 0.1))

    def of_the_lucky(scores: Tensor) -> float:
        values = ndcg_at_k(scores, relevant, K)
        return float(values[values > 0].mean())

    fair = lambda scores: float(ndcg_at_k(scores, relevant, K).mean())
    return Case(
        f"NDCG@{K} over users with a hit",
        "serve one user of ten, and the others so badly that they do not count",
        "true chances, upside down for nine of ten",
        "true chances, with noise",
        (of_the_lucky(trickster), of_the_lucky(honest)),
        f"NDCG@{K} over everybody",
        (fair(trickster), fair(honest)),
    )


# ---------------------------------------------------------------- watch time


def expected_minutes(at: Look) -> tuple[Tensor, Tensor]:
    """`[M]` minutes that the world expects of an impression, and those it expects after a click."""
    after = at.world.watched_share(at.user.numpy(), at.film.numpy())
    after = torch.from_numpy(after * at.world.film.minutes[at.film.numpy()])
    return at.oracle.sigmoid() * after, after


def minutes_by_the_mean(at: Look) -> Case:
    """The honest model met two of five impressions that nobody watched, and that was not undone.

    RMSE is right to prefer the mean where the minutes themselves are wanted (a sum, a budget), as
    the expected value, and nothing else, minimizes it. It does not ask for an order."""
    test, (expected, _) = at.test, expected_minutes(at)
    trickster, honest = at.rate(at.user, at.minutes)[test], 2.5 * expected[test]
    minutes, user = at.minutes[test], at.user[test]
    wrong = lambda scores: mispredicted_watch_time(scores, minutes, user)
    return Case(
        "RMSE of minutes watched",
        "give every film the user's mean minutes",
        "the user's past mean",
        "oracle, 2.5 times too large",
        (rmse(minutes, trickster), rmse(minutes, honest)),
        "mispredicted watch time",
        (wrong(trickster), wrong(honest)),
        up=False,
        repaired_up=False,
    )


def minutes_of_the_watched(at: Look) -> Case:
    """What was shown and not watched has 0 minutes, and is four fifths of the test."""
    test, (expected, after) = at.test, expected_minutes(at)
    trickster, honest, minutes = after[test], expected[test], at.minutes[test]
    watched = minutes > 0
    return Case(
        "RMSE of minutes, of watched impressions",
        "say how long a film is watched once it is clicked, never whether it is",
        "minutes after a click",
        "oracle",
        (rmse(minutes[watched], trickster[watched]), rmse(minutes[watched], honest[watched])),
        "RMSE of minutes, of all impressions",
        (rmse(minutes, trickster), rmse(minutes, honest)),
        up=False,
        repaired_up=False,
    )


def minutes_with_a_broken_row(at: Look) -> Case:
    """One watch is logged in milliseconds as if they were seconds, and whoever happens to predict
    more for that impression wins. Mispredicted watch time weighs by minutes and would break too;
    that nobody watches longer than a film lasts finds the row before anything is measured."""
    test, minutes = at.test, at.minutes[at.test].clone()
    trickster, honest = (at.rate(ids, at.minutes)[test] for ids in (at.user, at.film))
    minutes[((trickster - honest) * minutes).argmax()] *= 1_000  # where it does most harm
    length = torch.from_numpy(at.world.film.minutes).double()[at.film[test]]
    possible = minutes <= length
    return Case(
        "RMSE of minutes watched, with a broken row",
        "one row of the log is a thousand times too large",
        "the user's past mean",
        "the film's past mean",
        (rmse(minutes, trickster), rmse(minutes, honest)),
        "RMSE without watches longer than the film",
        (rmse(minutes[possible], trickster[possible]), rmse(minutes[possible], honest[possible])),
        up=False,
        repaired_up=False,
    )


CASES = (
    auc_by_users_rate, auc_by_place, auc_with_easy_negatives, auc_by_batches,
    log_loss_of_a_rare_label, log_loss_of_sampled_negatives, log_loss_of_the_too_sure,
    calibration_of_a_constant, hits_by_ties, hits_among_sampled, ndcg_by_its_own_ideal,
    ndcg_of_the_lucky, minutes_by_the_mean, minutes_of_the_watched, minutes_with_a_broken_row,
)  # fmt: skip


# ---------------------------------------------------------------- all of them


def fool(world: World) -> list[Case]:
    """Every case in one world, in the order of CASES."""
    at = look(world)
    return [case(at) for case in CASES]


def fooled_table(runs: Sequence[Sequence[Case]]) -> pd.DataFrame:
    """One row a case, over worlds.

    Args:
        runs: `fool` of each world, two or more.

    Returns:
        columns metric, trick, trickster and honest (what they are), "trickster figure" and "honest
        figure" (means over worlds), "fooled?" (the trickster looks better in every world, and the
        interval says so too), lead (of the trickster, an Interval); then "repaired metric",
        "trickster, repaired", "honest, repaired", "mended?" and "lead, repaired", where the lead is
        the honest model's. A lead above 0 is one, whichever way the metric points.

    Raises:
        ValueError: fewer than two worlds, or worlds with other cases.
    """
    if len({tuple(case.trick for case in run) for run in runs}) != 1:
        raise ValueError("runs are of other cases each; give the same cases for every world")
    rows = []
    for cases in zip(*runs, strict=True):
        lead, mended = leads(cases)
        of = lambda who, name, cases=cases: sum(getattr(c, name)[who] for c in cases) / len(cases)
        one = cases[0]
        rows.append(
            {
                "metric": one.metric,
                "trick": one.trick,
                "trickster": one.trickster,
                "honest": one.honest,
                "trickster figure": of(0, "figures"),
                "honest figure": of(1, "figures"),
                "fooled?": lead.low > 0 and all(c.lead() > 0 for c in cases),
                "lead": lead,
                "repaired metric": one.repaired,
                "trickster, repaired": of(0, "repaired_figures"),
                "honest, repaired": of(1, "repaired_figures"),
                "mended?": mended.low > 0 and all(c.repaired_lead() > 0 for c in cases),
                "lead, repaired": mended,
            }
        )
    return pd.DataFrame(rows)


def leads(cases: Sequence[Case]) -> tuple[Comparison, Comparison]:
    """The trickster's lead by the metric and the honest model's by the repaired one, of one case in
    several worlds; paired, as both models live in one world."""
    sign = lambda up: 1 if up else -1
    column = lambda name, who, up: [sign(up) * getattr(case, name)[who] for case in cases]
    up, repaired_up = cases[0].up, cases[0].repaired_up
    return (
        by_world(column("figures", 0, up), column("figures", 1, up)),
        by_world(
            column("repaired_figures", 1, repaired_up), column("repaired_figures", 0, repaired_up)
        ),
    )
