"""Watch time within a duration, and rankers compared over people."""

import pytest
import torch

from recsys_book.chapters.ch04_youtube_dnn import kuairand as lab
from recsys_book.chapters.ch04_youtube_dnn.watch_time import Impressions, Recipe
from recsys_book.metrics import mispredicted_watch_time


def views(n=400, seed=0):
    """Videos of three lengths, watched for about the half of them."""
    random = torch.Generator().manual_seed(seed)
    duration = torch.tensor([10.0, 60.0, 300.0])[torch.randint(3, (n,), generator=random)]
    return duration, duration * torch.rand(n, generator=random)


def test_a_quantile_is_the_share_of_equally_long_views_that_were_shorter():
    duration, seconds = views()
    by = lab.ByDuration(duration, seconds, n=6)
    found = by.quantiles(duration, seconds)
    for length in (10.0, 60.0, 300.0):
        own = duration == length
        below = (seconds[own][:, None] > seconds[own]).double().mean(1)
        assert torch.allclose(found[own].double(), below, atol=0.01)
    back = by.seconds(duration, found)
    assert torch.allclose(back, seconds.double(), atol=0.01)
    # The same quantile is more seconds of a longer video.
    half = by.seconds(torch.tensor([10.0, 60.0, 300.0]), torch.full((3,), 0.5))
    assert half[0] < half[1] < half[2] and half[2] == pytest.approx(150, abs=20)
    assert by.seconds(torch.tensor([10.0]), torch.tensor([7.0])) <= 10  # a quantile ends at 1


def test_equal_watch_times_share_the_middle():
    by = lab.ByDuration(torch.ones(4), torch.tensor([0.0, 0.0, 0.0, 5.0]), n=1)
    found = by.quantiles(torch.ones(3), torch.tensor([0.0, 5.0, 9.0]))
    assert found.tolist() == pytest.approx([3 / 8, 7 / 8, 1.0])


@pytest.mark.parametrize("n", [0, 5])
def test_groups_that_cannot_be_are_refused(n):
    with pytest.raises(ValueError, match=f"n is {n}"):
        lab.ByDuration(torch.ones(4), torch.zeros(4), n=n)


def test_people_add_up_to_the_whole_and_make_the_interval():
    random = torch.Generator().manual_seed(1)
    users = torch.randint(30, (900,), generator=random)
    seconds = torch.rand(900, generator=random) * (torch.rand(900, generator=random) < 0.4)
    good, bad = seconds + 0.3 * torch.randn(900, generator=random), torch.rand(900)
    told = {}
    for name, scores in (("good", good), ("bad", bad)):
        wrong, total = lab.by_user(scores, seconds, users)
        expected = mispredicted_watch_time(scores, seconds, users)
        assert float(wrong.sum() / total.sum()) == pytest.approx(expected)
        assert len(wrong) == len(users.unique())
        told[name] = wrong
    a, b, gap, low, high = lab.interval_over_people(told["good"], told["bad"], total, draws=300)
    assert gap == pytest.approx(a - b) and low < gap < high < 0


@pytest.mark.parametrize("head", lab.RANKERS)
def test_every_ranker_is_chosen_refitted_and_judged(head):
    random = torch.Generator().manual_seed(2)
    n = 1_400
    item, user = torch.randint(20, (2, n), generator=random)
    duration = 10.0 * (1 + item % 5)
    clicked = torch.rand(n, generator=random) < 0.2 + 0.6 * (item % 2)
    part = Impressions(
        item=item,
        history=torch.full((n, 3), 20),
        fields=torch.ones(n, 1, dtype=torch.int64),
        raw=torch.stack([torch.rand(n), torch.rand(n), duration], dim=1).double(),
        clicked=clicked,
        minutes=clicked * duration * torch.rand(n, generator=random),
        day=torch.arange(n) % 14,
    )
    recipe = Recipe(head, dim=4, hidden=(8,), epochs=3, batch_size=64, lr=0.02)
    predict, epochs = lab.choose_and_test(part, user, 20, (2,), recipe, 0)
    assert 1 <= epochs <= 3
    test = part.day >= lab.TEST_FROM
    found = lab.figures(predict, part[test], user[test])
    assert found["mispredicted"] < 0.5 and 0.5 < found["auc"] <= 1
    assert (predict.by is not None) == (head == lab.D2Q)
