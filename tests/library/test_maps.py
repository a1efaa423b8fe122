"""Maps and the numbers beside them."""

import numpy as np
import pytest
import torch
from sklearn.manifold import trustworthiness as reference

from recsys_book import maps


def test_rank_of_popularity_gives_equals_the_same_place():
    rank = maps.rank_of_popularity(torch.tensor([5, 1, 5, 9]))
    assert rank.tolist() == [0.5, 0.0, 0.5, 1.0]


def blobs(n=60, groups=3, dim=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(n) % groups
    centre = 10 * torch.randn(groups, dim, generator=generator)
    return centre[label] + torch.randn(n, dim, generator=generator), label


def test_neighbour_purity_by_hand():
    points = torch.tensor([[0.0], [0.1], [5.0], [5.1]])
    assert maps.neighbour_purity(points, torch.tensor([0, 0, 1, 1]), k=1) == 1
    assert maps.neighbour_purity(points, torch.tensor([0, 1, 0, 1]), k=1) == 0
    with pytest.raises(ValueError, match="k is 4 for 4 points"):
        maps.neighbour_purity(points, torch.tensor([0, 0, 1, 1]), k=4)


def test_sharing_one_of_several_labels_is_enough():
    labels = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]], dtype=torch.bool)
    neighbours = torch.tensor([[1], [2], [3], [1]])
    assert maps.purity(neighbours, labels) == pytest.approx(2 / 4)  # 0 with 1 and 2 with 3
    one_hot = torch.nn.functional.one_hot(torch.tensor([0, 0, 1, 1])).bool()
    ids = torch.tensor([0, 0, 1, 1])
    assert maps.purity(neighbours, one_hot) == maps.purity(neighbours, ids)


def test_random_purity_is_that_of_all_pairs():
    label = torch.tensor([0, 0, 0, 1, 1, 2])
    pairs = [(i, j) for i in range(6) for j in range(6) if i != j]
    expected = np.mean([bool(label[i] == label[j]) for i, j in pairs])
    assert maps.random_purity(label) == pytest.approx(expected)
    one_hot = torch.nn.functional.one_hot(label).bool()
    assert maps.random_purity(one_hot) == pytest.approx(expected)


def test_matched_pairs_are_as_popular_and_undo_what_popularity_explains():
    n = 400
    popularity = torch.arange(n)
    label = popularity // 100  # labels that are nothing but popularity
    neighbours = (popularity[:, None] + torch.tensor([[1, 2, -1, -2]])).clamp(0, n - 1)
    assert maps.purity(neighbours, label) > 0.97
    assert maps.matched_purity(neighbours, label, popularity) > 0.95
    assert maps.random_purity(label) < 0.26
    # Labels that popularity knows nothing about: a matched pair is as good as a random one.
    other = popularity % 4
    same = (popularity[:, None] + torch.tensor([[4, 8, -4, -8]])).clamp(0, n - 1)
    assert maps.purity(same, other) > 0.95
    assert maps.matched_purity(same, other, popularity) == pytest.approx(0.25, abs=0.06)
    assert maps.matched_purity(same, other, popularity) == maps.matched_purity(
        same, other, popularity
    )
    with pytest.raises(ValueError, match="window is 200"):
        maps.matched_purity(same, other, popularity, window=200)


def test_trustworthiness_is_scikit_learns_and_half_for_noise():
    points, _ = blobs(200)
    noise = np.random.RandomState(0).randn(200, 2)
    assert maps.trustworthiness(points, noise) == pytest.approx(
        reference(points.double().numpy(), noise, n_neighbors=10)
    )
    assert 0.4 < maps.trustworthiness(points, noise) < 0.62
    assert maps.trustworthiness(points[:, :2], points[:, :2].numpy()) == pytest.approx(1)


def test_maps_of_successive_epochs_move_and_do_not_jump():
    points, label = blobs(90)
    noise = torch.randn(90, 5, generator=torch.Generator().manual_seed(1))
    snapshots = [points + 0.2 * noise, points + 0.1 * noise, points]
    chained = maps.epoch_maps(snapshots, perplexity=15)
    assert [flat.shape for flat in chained] == [(90, 2)] * 3

    def moved(some):  # mean way between two maps, each scaled to spread 1
        scaled = [(m - m.mean(0)) / m.std() for m in some]
        ways = [np.linalg.norm(scaled[i] - scaled[i + 1], axis=1).mean() for i in (0, 1)]
        return np.mean(ways)

    assert moved(chained) < 0.35  # over 2 where each map scrambles what it starts from
    assert maps.neighbour_purity(torch.from_numpy(chained[0]), label) > 0.95
    again = maps.epoch_maps(snapshots, perplexity=15)
    assert all(np.array_equal(a, b) for a, b in zip(chained, again, strict=True))


def test_a_map_of_noise_forgets_the_structure_it_started_from():
    points, label = blobs(300)
    noise = torch.randn(300, 5, generator=torch.Generator().manual_seed(1))
    first, last = maps.epoch_maps([noise, points])
    assert maps.neighbour_purity(torch.from_numpy(last), label) > 0.95
    kept = maps.neighbour_purity(torch.from_numpy(first), label)
    assert kept < maps.neighbour_purity(noise, label) + 0.1


def test_every_epoch_is_laid_out_however_long_it_takes():
    points, _ = blobs(40)
    found = maps.epoch_maps([points + i for i in range(9)], perplexity=10)
    assert len(found) == 9 and all(flat.shape == (len(points), 2) for flat in found)


@pytest.mark.parametrize(
    ("snapshots", "more", "message"),
    [
        ([], {}, "snapshots is empty"),
        ([torch.rand(50, 2), torch.rand(49, 2)], {}, r"must be \[50, D\]"),
        ([torch.full((50, 2), float("nan"))], {}, "snapshots"),
        ([torch.arange(40.0).view(20, 2)], {"perplexity": 30}, "perplexity is 30 for 20 points"),
        ([torch.ones(40, 3)], {"perplexity": 5}, "all the same"),
        ([torch.rand(40, 1)], {"perplexity": 5}, "two dimensions"),
    ],
)
def test_maps_refuse_what_they_cannot_lay_out(snapshots, more, message):
    with pytest.raises(ValueError, match=message):
        maps.epoch_maps(snapshots, **more)


def test_numbers_that_do_not_fit_are_named():
    points, label = blobs(40)
    with pytest.raises(ValueError, match="labels has 10 rows"):
        maps.neighbour_purity(points, label[:10])
    with pytest.raises(ValueError, match="flat has shape"):
        maps.trustworthiness(points, np.zeros((39, 2)))
    with pytest.raises(ValueError, match="popularity has 39 entries"):
        maps.matched_purity(torch.zeros(40, 2).long(), label, torch.arange(39), window=3)
    with pytest.raises(ValueError, match="labels has 1 rows"):
        maps.random_purity(label[:1])
    assert 0 <= maps.neighbour_purity(points.requires_grad_(), label) <= 1


@pytest.mark.parametrize("scale", [1e-24, 1e20])
def test_a_map_does_not_depend_on_the_scale(scale):
    points, label = blobs(60)
    [flat] = maps.epoch_maps([points.double() * scale], perplexity=10)
    assert maps.neighbour_purity(torch.from_numpy(flat), label) > 0.95


def test_neighbours_that_are_no_ids_are_refused():
    points, label = blobs(24)
    good = torch.zeros(24, 3).long()
    for bad in (good - 24, good + 24, good[:, 0], good[:, :0]):
        with pytest.raises(ValueError, match="neighbours"):
            maps.purity(bad, label)
    with pytest.raises(ValueError, match="popularity"):
        maps.matched_purity(good, label, torch.full((24,), torch.nan), window=3)
    for k in (0, 1.5, 12):
        with pytest.raises(ValueError, match="k is"):
            maps.trustworthiness(points, np.zeros((24, 2)), k=k)
