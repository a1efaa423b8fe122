"""Claims: one rule, both levels in the sentence, and a record that travels."""

import json
import re

import numpy as np
import pytest

from recsys_book.show.claims import (
    MIME,
    Comparison,
    by_people,
    by_round,
    by_start,
    by_training,
    by_world,
    check_record,
    claim,
    drawn,
    evidence,
    folded,
    interval_text,
    measured,
    records_of,
    statement,
)
from recsys_book.show.intervals import paired_bootstrap, paired_interval

ABOVE = by_world([0.30, 0.31, 0.32], [0.10, 0.12, 0.11])
APART = by_world([0.30, 0.10, 0.20], [0.20, 0.20, 0.20])


def test_a_claim_is_a_sentence_with_both_levels_and_what_it_rests_on():
    made = claim("EASE ranks better than the DNN", ABOVE, ">", "NDCG@10")
    assert repr(made) == (
        "✓ EASE ranks better than the DNN: .310 against .110 NDCG@10 "
        "(difference .200, 95 % interval .175 to .225, 3 simulated worlds)"
    )
    bundle = made._repr_mimebundle_()
    assert bundle["text/plain"] == repr(made)
    text = re.sub("<[^>]+>", "", bundle["text/html"]).replace("\N{NO-BREAK SPACE}", " ")
    assert text == repr(made)
    assert json.loads(json.dumps(bundle[MIME])) == made.record
    check_record(made.record)


def test_three_verdicts_have_three_marks():
    assert repr(claim("A and B are not told apart", APART, "≈", "AUC")).startswith("≈ ")
    same = by_world([0.30, 0.31, 0.32], [0.301, 0.309, 0.32])
    equal = claim("A does as well as B", same, "=", "AUC", margin=0.01)
    assert repr(equal).startswith("= ") and "margin .01" in repr(equal)
    marks = [re.search('aria-label="([^"]+)"', c._repr_mimebundle_()["text/html"])[1] for c in
             (equal, claim("A and B are not told apart", APART, "≈", "AUC"))]  # fmt: skip
    assert marks == ["equal within the margin", "not told apart"]


@pytest.mark.parametrize(
    "found, relation, more",
    [
        (ABOVE, "<", {}),
        (ABOVE, "≈", {}),
        (APART, ">", {}),
        (APART, "<", {}),
        (ABOVE, "=", {"margin": 0.2}),  # the mean lies within, the interval does not
        (measured(0.5, 0.5), ">", {}),
        (measured(9.0, 9.0, ratio=True), "<", {}),
        (measured(0.50, 0.54), "=", {"margin": 0.03}),
    ],
)
def test_what_the_figures_do_not_bear_out_stops(found, relation, more):
    with pytest.raises(AssertionError, match=f"do not bear out '{relation}': A and B: "):
        claim("A and B", found, relation, "AUC", **more)


def test_a_claim_knows_no_other_criterion():
    with pytest.raises(TypeError, match="a claim knows no other criterion"):
        claim("A is above B", 0.2, ">", "AUC")
    with pytest.raises(TypeError, match="found is a Interval"):
        claim("A is above B", paired_interval([1.0, 2.0], [0.0, 1.5]), ">", "AUC")
    with pytest.raises(TypeError):
        claim("A is above B", ABOVE, ">", "AUC", holds=True)
    with pytest.raises(ValueError, match="relation is 'in each of five worlds'"):
        claim("A is above B", ABOVE, "in each of five worlds", "AUC")
    with pytest.raises(ValueError, match="= takes one, others none"):
        claim("A is B", ABOVE, "=", "AUC")
    with pytest.raises(ValueError, match="= takes one, others none"):
        claim("A is above B", ABOVE, ">", "AUC", margin=0.1)
    with pytest.raises(ValueError, match="must be above 0"):
        claim("A is B", ABOVE, "=", "AUC", margin=-0.1)
    with pytest.raises(ValueError, match="where nothing was drawn"):
        claim("A is B", measured(1.0, 1.0), "≈", "AUC")
    with pytest.raises(ValueError, match="unit is ' '"):
        claim("A is above B", ABOVE, ">", " ")


@pytest.mark.parametrize(
    "broken, told",
    [
        ({"value": float("nan")}, "value is nan"),
        ({"a": "0.1"}, "a is '0.1'"),
        ({"relation": "<"}, "do not bear out '<'"),
        ({"low": 0.3, "high": 0.1}, "low comes first"),
        ({"low": None}, "the interval"),
        ({"high": float("inf")}, "the interval"),
        ({"n": 1}, "n is 1"),
        ({"over": "seeds"}, "over is 'seeds'"),
        ({"claim": " "}, "claim is ' '"),
        ({"relation": "=", "margin": None}, "margin is None"),
    ],
)
def test_a_record_that_was_tampered_with_is_refused(broken, told):
    record = claim("A is above B", ABOVE, ">", "AUC").record
    with pytest.raises(ValueError, match=re.escape(told)):
        check_record(record | broken)
    del record["over"]
    with pytest.raises(ValueError, match="lacks over"):
        check_record(record)
    with pytest.raises(ValueError, match="must have names and values"):
        check_record(["A"])


def test_worlds_are_paired_and_a_number_stays_the_same():
    found = by_world([0.3, 0.5], [0.1, 0.2])
    apart = paired_interval([0.3, 0.5], [0.1, 0.2])
    assert (found.value, found.low, found.high) == (apart.mean, apart.low, apart.high)
    assert (found.a, found.b) == pytest.approx((0.4, 0.15))
    assert by_world([0.3, 0.5], 0.1) == by_world([0.3, 0.5], [0.1, 0.1])
    times = by_round([10.0, 20.0], [5.0, 5.0])
    assert times.value == pytest.approx(3.0) and times.ratio and times.gap.over == "rounds"
    for bad in ([0.1], [0.1, 0.2, 0.3], [0.1, float("nan")]):
        with pytest.raises(ValueError):
            by_world([0.3, 0.5], bad)
    with pytest.raises(ValueError, match="b contains 0"):
        by_world([0.3, 0.5], [0.0, 1.0], ratio=True)


def test_people_are_resampled_after_trainings_are_averaged():
    random = np.random.RandomState(0)
    ease, runs = random.random_sample(300), random.random_sample((3, 300)) - 0.2
    found, apart = by_people(ease, runs), paired_bootstrap(ease, runs.mean(axis=0))
    assert (found.value, found.low, found.high) == (apart.mean, apart.low, apart.high)
    assert found.gap.over == "people" and found.gap.n == 300
    assert found.note == "mean of 3 trainings" and by_people(ease, ease[::-1].copy()).note == ""
    assert by_people(ease, 0.25).value == pytest.approx(ease.mean() - 0.25)
    with pytest.raises(ValueError, match="must be .people. or .trainings, people."):
        by_people(ease, runs[None])
    with pytest.raises(ValueError, match="pairs need equal numbers"):
        by_people(ease, runs[:, :200])


def test_shares_of_starts_stay_between_0_and_1():
    found = by_start([1, 1, 1, 1, 0, 1, 1, 1], [0, 0, 1, 0, 0, 0, 0, 0])
    assert 0 < found.low <= found.value <= found.high <= 1
    assert by_start([0.2, 0.3], 0.1).gap.low == paired_interval([0.2, 0.3], [0.1, 0.1]).low


def test_what_leaves_people_out_says_so():
    told = repr(claim("A is above B", by_training([0.3, 0.31], [0.1, 0.11]), ">", "HR@10"))
    assert "2 trainings, not over people" in told and told.startswith("(✓) ")


def test_where_nothing_varies_no_interval_is_made_of_it():
    found = by_start([0.1, 0.1 + 1e-6, 0.1], 0.7)
    told = repr(claim("A is below B", found, "<", "nats"))
    assert told.endswith("(difference −.6000, within a thousandth of it in all 3 random starts)")


def test_an_interval_too_narrow_for_its_digits_is_not_shown_as_zero_to_zero():
    made = claim("A is B", by_start([1e-6, -1e-6, 0], 0.0), "=", "nats", margin=0.001)
    assert "95 % interval narrower than .0001, 3 random starts" in repr(made)


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (0.0004, 0.061, ".0004 to .0610"),
        (-0.061, -0.0004, "−.0610 to −.0004"),
        (0.012, 0.061, ".012 to .061"),
        (-0.004, 0.061, "−.004 to .061"),
    ],
)
def test_an_end_that_is_not_zero_is_not_shown_as_zero(low, high, told):
    record = {"low": low, "high": high, "value": (low + high) / 2, "ratio": False, "margin": None}
    assert interval_text(record) == told


@pytest.mark.parametrize(
    "found, told",
    [
        (Comparison(0.041, 0.022), ".041 against .022 | difference .019"),
        (measured(9.31, 0.2254, ratio=True), "9.31 against .225 | 41.3 times"),
        (measured(12_345.0, 12_000.0), "12,345 against 12,000 | difference 345"),
        (by_world([2_400, 2_000, 2_300], [1_000, 900, 800]),
         "2,233 against 900 | difference 1,333"),
        (by_world([-0.5, -0.4], [0.1, 0.1]), "−.45 against .10 | difference −.55"),
        (by_world([0.5, 0.5], [0.5, 0.5]), ".500 against .500 | difference .000"),
    ],
)  # fmt: skip
def test_numbers_show_what_their_interval_can_tell(found, told):
    relation = ">" if found.value > (1 if found.ratio else 0) else "<"
    if found.gap is not None:
        relation = {True: relation, False: "≈"}[found.low > 0 or found.high < 0]
    record = claim("A", found, relation, "u").record
    shown = f"{statement(record)[3:-2]} | {evidence(record).split(',  ')[0]}"
    assert shown.startswith(told)
    assert "-" not in shown and "0." not in shown.replace("0.0", "")


def test_several_claims_are_one_figure_with_a_row_each():
    first, second = (claim(s, ABOVE, ">", "AUC") for s in ("A is above B", "C is above D"))
    figure = drawn("Who is above", first, second)._repr_mimebundle_()
    assert records_of(figure[MIME]) == [first.record, second.record]
    assert figure["text/html"].count("claim-strip") == 2
    assert figure["text/html"].count('id="claim-') == 2
    assert re.findall("<text[^>]*>([^<]*)</text>", figure["text/html"]) == ["0", ".225"]
    with pytest.raises(ValueError, match="one figure takes one unit"):
        drawn("Mixed", first, claim("E", ABOVE, ">", "HR@10"))
    with pytest.raises(ValueError, match="has no interval"):
        drawn("Bare", claim("F is above G", measured(2.0, 1.0), ">", "AUC"))


def test_a_folded_box_counts_its_claims():
    box = folded("All measured", claim("A", ABOVE, ">", "AUC"), claim("B", APART, "≈", "AUC"))
    shown = box._repr_mimebundle_()
    assert shown["text/html"].startswith("<details") and "</b> (2)</summary>" in shown["text/html"]
    assert len(records_of(shown[MIME])) == 2
