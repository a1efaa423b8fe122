"""Every metric is fooled, and every repair puts the order right."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from recsys_book.chapters.ch06_training_discipline import fooled as lab
from recsys_book.chapters.ch06_training_discipline import fooled_figures as figures
from recsys_book.metrics import auc, ndcg_at_k
from recsys_book.service import simulate


@pytest.fixture(scope="module")
def runs():
    return [lab.fool(simulate(n_users=n, seed=seed)) for n, seed in ((300, 0), (340, 1), (300, 2))]


@pytest.fixture(scope="module")
def at():
    return lab.look(simulate(n_users=200, n_films=400, seed=5), n_ranked=50)


@pytest.mark.parametrize("case", range(len(lab.CASES)), ids=[c.__name__ for c in lab.CASES])
def test_the_trick_fools_and_the_repair_mends(runs, case):
    for run in runs:
        assert run[case].lead() > 0, run[case]
        assert run[case].repaired_lead() > 0, run[case]


def test_the_table_tells_leads_the_right_way_round(runs):
    table = lab.fooled_table(runs)
    assert len(table) == len(lab.CASES)
    for i, row in table.iterrows():
        cases = [run[i] for run in runs]
        assert row["lead"].value == pytest.approx(np.mean([c.lead() for c in cases]))
        mended = np.mean([c.repaired_lead() for c in cases])
        assert row["lead, repaired"].value == pytest.approx(mended)
        assert row["trickster figure"] == pytest.approx(np.mean([c.figures[0] for c in cases]))
        assert row["honest, repaired"] == pytest.approx(
            np.mean([c.repaired_figures[1] for c in cases])
        )
        assert row["fooled?"] == (row["lead"].low > 0)
    with pytest.raises(ValueError, match="two figures or more"):
        lab.fooled_table(runs[:1])
    with pytest.raises(ValueError, match="other cases"):
        lab.fooled_table([runs[0], runs[1][::-1]])


def test_a_case_that_does_not_fool_says_so():
    figures, repaired = (0.4, 0.6), (0.9, 0.1)
    case = lab.Case("m", "t", "a", "b", figures, "r", repaired)
    other = lab.Case("m", "t", "a", "b", (0.3, 0.6), "r", (0.8, 0.1))
    assert case.lead() == pytest.approx(-0.2) and case.repaired_lead() == pytest.approx(-0.8)
    table = lab.fooled_table([[case], [other]])
    assert not table["fooled?"][0] and not table["mended?"][0]
    down = lab.Case("m", "t", "a", "b", figures, "r", repaired, up=False, repaired_up=False)
    assert down.lead() == pytest.approx(0.2) and down.repaired_lead() == pytest.approx(0.8)


def test_a_constant_is_perfect_under_best_and_nothing_under_worst(runs):
    case = next(c for c in runs[0] if "ties" in c.metric)
    assert case.figures[0] == 1 and case.repaired_figures[0] == 0


def test_the_users_rate_orders_nothing_within_a_user(runs):
    assert runs[0][0].repaired_figures[0] == 0.5


def test_an_ideal_of_the_list_alone_makes_one_of_three_perfect():
    scores = torch.tensor([[9.0, 8, 7, 1, 0], [9.0, 8, 7, 1, 0], [9.0, 8, 7, 1, 0]])
    relevant = torch.tensor([[1, 0, 0, 1, 1], [0, 1, 0, 1, 1], [0, 0, 0, 1, 0]]).bool()
    own = lab.ndcg_of_the_list(scores, relevant, 3)
    fair = ndcg_at_k(scores, relevant, 3)
    second = 1 / math.log2(3)
    assert own[:2].tolist() == pytest.approx([1, second]) and math.isnan(own[2])
    ideal = 1 + second + 0.5
    assert fair.tolist() == pytest.approx([1 / ideal, second / ideal, 0])


def test_the_naive_ndcg_against_brute_force():
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(40, 12, generator=generator)
    relevant = torch.rand(40, 12, generator=generator) < 0.4
    relevant[:, 0] = True
    found = lab.ndcg_of_the_list(scores, relevant, 5)
    gain = lambda marks: sum(m / math.log2(i + 2) for i, m in enumerate(marks))
    for row, value in enumerate(found):
        marks = relevant[row][scores[row].argsort(descending=True)][:5].long().tolist()
        ideal = gain(sorted(marks, reverse=True))
        assert (
            math.isnan(value) if ideal == 0 else float(value) == pytest.approx(gain(marks) / ideal)
        )


def test_batch_aucs_by_hand():
    labels, scores = torch.tensor([0, 1, 1, 0, 0, 0]), torch.tensor([0.1, 0.2, 5.0, 4.0, 9.0, 9.0])
    mean, left_out = lab.mean_of_batch_aucs(labels, scores, 2)
    assert (mean, left_out) == (1.0, 1)  # two batches in order, one without a click
    assert auc(labels, scores) == pytest.approx(3 / 8)
    assert lab.mean_of_batch_aucs(labels, scores, 6) == (auc(labels, scores), 0)
    with pytest.raises(ValueError, match="batch_size is 0"):
        lab.mean_of_batch_aucs(labels, scores, 0)
    with pytest.raises(ValueError, match="scores has shape|labels has shape"):
        lab.mean_of_batch_aucs(labels, scores[:3], 2)
    with pytest.raises(ValueError, match="one class"):
        lab.mean_of_batch_aucs(labels, scores, 1)


def test_batch_aucs_against_scikit_learn():
    generator = torch.Generator().manual_seed(1)
    labels = (torch.rand(500, generator=generator) < 0.3).long()
    scores = torch.rand(500, generator=generator)
    parts = zip(labels.split(64), scores.split(64), strict=True)
    wanted = np.mean([roc_auc_score(y, s) for y, s in parts])
    assert lab.mean_of_batch_aucs(labels, scores, 64)[0] == pytest.approx(wanted)


def test_relative_information():
    labels = torch.tensor([1.0, 0, 0, 0])
    constant = torch.tensor(0.25).logit().expand(4)
    assert lab.relative_information(labels, constant) == pytest.approx(0, abs=1e-6)
    assert lab.relative_information(labels, torch.tensor([50.0, -50, -50, -50])) > 0.999
    assert lab.relative_information(labels, torch.zeros(4)) < 0
    logits = torch.tensor([0.3, -1.0, 0.2, -2.0])
    wanted = 1 - sklearn_log_loss(labels, logits.sigmoid()) / sklearn_log_loss(labels, [0.25] * 4)
    assert lab.relative_information(labels, logits) == pytest.approx(wanted, abs=1e-6)
    with pytest.raises(ValueError, match="labels are all 1"):
        lab.relative_information(torch.ones(3), torch.zeros(3))


def test_rates_are_counted_before_the_test(at):
    rate = at.rate(at.film, at.label)
    before = ~at.test
    film = int(at.film[at.test][0])
    rows = before & (at.film == film)
    mean = float(at.label[before].mean())
    wanted = (float(at.label[rows].sum()) + lab.PRIOR * mean) / (int(rows.sum()) + lab.PRIOR)
    assert rate[at.film == film].tolist() == pytest.approx([wanted] * int((at.film == film).sum()))
    other = at.label.clone()
    other[at.test] = 1 - other[at.test]
    assert torch.equal(rate, at.rate(at.film, other))
    assert not (at.test & at.validation).any() and at.validation.any()


def test_the_best_films_are_those_of_the_oracle(at):
    best = at.best(10)
    assert (best.sum(1) == 10).all() and at.truth.shape == (50, 400)
    worst_of_the_best = at.truth.masked_fill(~best, 2).amin(1)
    assert (worst_of_the_best >= at.truth.masked_fill(best, 0).amax(1)).all()
    assert torch.isneginf(at.catalogue(at.truth)[at.truth == 0]).all()


def test_figures_carry_their_figures(runs):
    picture = figures.fooled_figure(runs, [0, 8])
    table = lab.fooled_table(runs)
    assert f"{table['trickster figure'][0]:.3g}" in picture.alt
    assert table["metric"][8] in picture.alt and table["metric"][1] not in picture.alt
