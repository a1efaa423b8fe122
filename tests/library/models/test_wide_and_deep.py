"""Wide & Deep: the wide side remembers, one loss trains both, and a logit can be taken apart."""

import pytest
import torch
from torch import nn

from recsys_book.losses import bce
from recsys_book.models.wide_and_deep import (
    Bag,
    Wide,
    WideAndDeep,
    hash_pairs,
    wide_and_deep_optimizers,
    wide_optimizer,
)
from recsys_book.train import fit

CARDINALITIES = [5, 4, 6]
CROSSES = [(0, 1), (Bag(2), 2), (Bag(2), 1)]


def examples(n=40, length=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    ids = torch.stack([torch.randint(c, (n,), generator=g) for c in CARDINALITIES], dim=1)
    bag = torch.randint(6, (n, length), generator=g)
    mask = torch.rand(n, length, generator=g) < 0.7
    label = torch.randint(2, (n,), generator=g).float()
    return ids, {2: (bag, mask)}, label


def small(**more):
    torch.manual_seed(0)
    return WideAndDeep(CARDINALITIES, CROSSES, dim=4, hidden=(8, 4), bag_fields=(2,), **more)


def fill(model):
    """Give the wide side weights that are all different."""
    with torch.no_grad():
        model.table.weight.copy_(torch.randn(model.table.weight.shape))
    return model


def one_hot_features(ids, bags):
    """[x, φ(x)] of equation 1, feature by feature, in the order of the table."""
    rows = []
    for row, (bag, mask) in zip(ids.tolist(), zip(*bags[2], strict=True), strict=True):
        x = []
        for value, n in zip(row, CARDINALITIES, strict=True):
            x += [float(value == v) for v in range(n)]
        members = [b for b, m in zip(bag.tolist(), mask.tolist(), strict=True) if m]
        x += [float((row[0], row[1]) == (a, b)) for a in range(5) for b in range(4)]
        x += [float(members.count(a) * (row[2] == b)) for a in range(6) for b in range(6)]
        x += [float(members.count(a) * (row[1] == b)) for a in range(6) for b in range(4)]
        rows.append(x)
    return torch.tensor(rows)


def test_the_wide_side_is_linear_in_one_hots_and_crosses():
    ids, bags, _ = examples()
    wide = fill(Wide(CARDINALITIES, CROSSES))
    expected = one_hot_features(ids, bags) @ wide.table.weight.squeeze(1)
    assert torch.allclose(wide(ids, bags), expected, atol=1e-5)


def test_moving_one_cross_weight_moves_the_rows_with_that_pair_alone():
    ids, bags, _ = examples(200)
    model = small()
    before = model(ids, bags)
    with torch.no_grad():
        model.wide.cross_weights(0)[3, 2] += 1.0
        model.wide.cross_weights(1)[4, 5] += 10.0
    moved = model(ids, bags) - before
    single = (ids[:, 0] == 3) & (ids[:, 1] == 2)
    bag, mask = bags[2]
    times = ((bag == 4) & mask).sum(1) * (ids[:, 2] == 5)
    assert single.any() and times.any()
    assert torch.allclose(moved, single * 1.0 + times * 10.0, atol=1e-5)


def test_padding_does_not_matter():
    ids, bags, _ = examples()
    model = small()
    fill(model.wide)
    bag, mask = bags[2]
    longer = torch.cat([bag, torch.zeros_like(bag)], 1), torch.cat([mask, mask & False], 1)
    assert torch.allclose(model(ids, {2: longer}), model(ids, bags), atol=1e-6)


def test_one_loss_reaches_both_sides():
    ids, bags, label = examples()
    model = small()
    bce(model(ids, bags), label).backward()
    residual = (model(ids, bags).sigmoid() - label).detach() / len(label)
    # The wide gradient is that of the summed logit: of the joint error, feature by feature.
    expected = one_hot_features(ids, bags).T @ residual
    assert torch.allclose(model.wide.table.weight.grad.squeeze(1), expected, atol=1e-6)
    for weight in (model.vectors.table.weight, model.out.weight, model.tower.layers[0].weight):
        assert weight.grad.abs().sum() > 0
    assert torch.allclose(model.wide.bias.grad, residual.sum(), atol=1e-6)


def test_the_wide_side_does_not_read_the_deep_vectors():
    ids, bags, _ = examples()
    model = small()
    fill(model.wide)
    before = model.wide(ids, bags)
    nn.init.normal_(model.vectors.table.weight)
    assert torch.equal(model.wide(ids, bags), before)


def test_explain_adds_up():
    ids, bags, _ = examples()
    model = small()
    fill(model.wide)
    with torch.no_grad():
        model.wide.bias.fill_(0.7)
    parts = model.explain(ids, bags)
    assert torch.allclose(parts.logits(), model(ids, bags), atol=1e-5)
    assert parts.fields.shape == (40, 3)
    assert [part.shape for part in parts.crosses] == [(40,), (40, 3), (40, 3)]
    assert torch.equal(parts.crosses[0], model.wide.cross_weights(0)[ids[:, 0], ids[:, 1]])
    assert (parts.crosses[1][~bags[2][1]] == 0).all()
    assert torch.allclose(parts.deep, model.deep(ids, bags))


@pytest.mark.parametrize("sparse", [False, True])
def test_both_optimizers_step_on_one_loss(sparse):
    ids, bags, label = examples(400)
    ids[ids[:, 0] == 4, 0] = 0  # id 4 of field 0 is never seen
    model = small(sparse=sparse)
    start = {name: weight.clone() for name, weight in model.state_dict().items()}
    batch = lambda epoch, g: [(ids, label)]
    loss = lambda model, batch: bce(model(batch[0], bags), batch[1])
    history = fit(
        model, batch, loss, wide_and_deep_optimizers(model), validate=None, max_epochs=30,
        patience=None,
    )  # fmt: skip
    assert history.loss[-1] < history.loss[0]
    for name, weight in model.state_dict().items():
        assert not torch.equal(weight, start[name]), name
    assert model.wide.table.weight[4] == 0  # its own weight
    assert (model.wide.cross_weights(0)[4] == 0).all()


def test_sparse_and_dense_tables_learn_the_same():
    ids, bags, label = examples(300)
    trained = []
    for sparse in (False, True):
        model = small(sparse=sparse)
        fit(
            model, lambda e, g: [(ids, label)], lambda m, b: bce(m(b[0], bags), b[1]),
            wide_and_deep_optimizers(model, l1=0.3, batch_size=300), validate=None,
            max_epochs=20, patience=None,
        )  # fmt: skip
        trained.append(model)
    assert torch.allclose(trained[0](ids, bags), trained[1](ids, bags), atol=1e-4)


def test_the_optimizers_share_no_weight_and_leave_none_out():
    model = small()
    ftrl, adagrad = wide_and_deep_optimizers(model, l1=1.0, l2=0.5, batch_size=2)
    of = lambda optimizer: [p for group in optimizer.param_groups for p in group["params"]]
    every = [id(p) for p in of(ftrl) + of(adagrad)]
    assert sorted(every) == sorted(id(p) for p in model.parameters())
    assert {id(p) for p in of(ftrl)} == {id(model.wide.bias), id(model.wide.table.weight)}
    assert [group["l1"] for group in ftrl.param_groups] == [0.5, 0.0]
    assert [group["l2"] for group in ftrl.param_groups] == [0.25, 0.0]
    assert [group["beta"] for group in ftrl.param_groups] == [0.5, 0.5]


def test_penalties_mean_the_same_whatever_the_batch():
    """The same examples over and over, one at a time as a sum or all at once as a mean."""
    ids, bags, label = examples(64)
    found = []
    for reduce, size in ((torch.sum, 1), (torch.mean, 64)):
        wide = Wide(CARDINALITIES, CROSSES)
        optimizer = wide_optimizer(wide, 0.3, l1=0.5, l2=0.2, batch_size=size)
        for _ in range(10):
            optimizer.zero_grad()
            losses = nn.functional.binary_cross_entropy_with_logits(
                wide(ids, bags), label, reduction="none"
            )
            reduce(losses).backward()
            optimizer.step()
        found.append(wide(ids, bags))
    assert torch.allclose(found[0], found[1], atol=1e-4)
    assert found[0].abs().max() > 0.1


def test_hashed_crosses_stay_in_their_table_and_exact_ones_stay_exact():
    ids, bags, _ = examples()
    wide = fill(Wide(CARDINALITIES, CROSSES, buckets=20))
    assert wide.cross_weights(0).shape == (5, 4)  # 20 pairs: no need to hash
    assert wide.cross_weights(1).shape == (20,)
    fields, crosses = wide.parts(ids, bags)
    bag, mask = bags[2]
    place = hash_pairs(bag, ids[:, 2, None], 20)
    assert torch.equal(crosses[1], wide.cross_weights(1)[place] * mask)
    assert fields.shape == (40, 3)


def test_the_hash_spreads_pairs_evenly_and_never_changes():
    left, right = torch.arange(1_000)[:, None], torch.arange(1_000)[None, :]
    place = hash_pairs(left, right, 1_000)
    counts = torch.bincount(place.flatten(), minlength=1_000).double()
    chi_squared = float(((counts - 1_000) ** 2 / 1_000).sum())
    assert abs(chi_squared - 999) < 5 * (2 * 999) ** 0.5
    assert place.min() >= 0
    known = hash_pairs(torch.tensor([0, 1, 2, 7]), torch.tensor([0, 1, 1, 3]), 1_000_003)
    assert known.tolist() == HASHES
    big = hash_pairs(torch.tensor([2**40]), torch.tensor([2**41]), 17)
    assert 0 <= int(big) < 17


HASHES = [0, 394_843, 259_470, 469_411]


@pytest.mark.parametrize(
    ("crosses", "buckets", "message"),
    [
        ([(1, 1)], None, "a field crossed with itself"),
        ([(0, 3)], None, "fields run from 0 to 2"),
        ([(0, Bag(1))], None, "a Bag stands in front"),
        ([(0, 1), (1, 0)], None, "twice"),
        ([(Bag(9), 1)], None, "fields run from 0 to 2"),
        ([(0, 1)], 0, "buckets is 0"),
        ([(0, 1, 2)], None, "a pair of fields"),
        ([(0.0, 1)], None, "a pair of fields"),
    ],
)
def test_bad_crosses_are_named(crosses, buckets, message):
    with pytest.raises(ValueError, match=message):
        Wide(CARDINALITIES, crosses, buckets)


def test_a_cross_too_large_for_memory_proposes_hashing():
    with pytest.raises(ValueError, match=r"10,000,000,000 pairs.*buckets=1_000_000"):
        Wide([100_000, 100_000], [(0, 1)])
    assert len(Wide([100_000, 100_000], [(0, 1)], buckets=1_000).table.weight) == 201_000


def test_bad_ids_bags_and_labels_are_named():
    ids, bags, label = examples()
    model = small()
    worse = ids.clone()
    worse[3, 1] = 4
    with pytest.raises(ValueError, match="ids contains 4 in field 1"):
        model(worse, bags)
    with pytest.raises(ValueError, match="needs one of field 2"):
        model(ids)
    with pytest.raises(ValueError, match="bag of field 2 contains 6"):
        model(ids, {2: (bags[2][0] + 1, bags[2][1])})
    with pytest.raises(ValueError, match="label"):
        bce(model(ids, bags), label + 1)
    with pytest.raises(ValueError, match="bag_fields contains 3"):
        WideAndDeep(CARDINALITIES, bag_fields=(3,))
    with pytest.raises(ValueError, match="a field has one bag"):
        WideAndDeep(CARDINALITIES, bag_fields=(2, 2))
    with pytest.raises(ValueError, match="ids has dtype"):
        model(ids.float(), bags)
    with pytest.raises(ValueError, match="deep side needs"):
        WideAndDeep(CARDINALITIES, dim=2, hidden=(4,), bag_fields=(2,))(ids)


@pytest.mark.parametrize(
    ("bag", "mask"),
    [
        (lambda b, m: b[:1], lambda b, m: m[:1]),
        (lambda b, m: b[:, 0], lambda b, m: m[:, 0]),
        (lambda b, m: b, lambda b, m: m[:, :1]),
        (lambda b, m: b, lambda b, m: m.float()),
        (lambda b, m: b[0], lambda b, m: m[0]),
    ],
)
def test_bags_and_masks_are_never_broadcast(bag, mask):
    ids, bags, _ = examples()
    wide = Wide(CARDINALITIES, [(Bag(2), 2)])
    with pytest.raises(ValueError, match="bag of field 2 has shape"):
        wide(ids, {2: (bag(*bags[2]), mask(*bags[2]))})


def test_bad_labels_and_weights_are_named():
    logits = torch.zeros(3)
    with pytest.raises(ValueError, match="labels has dtype"):
        bce(logits, torch.tensor([0, 1, 1]))
    with pytest.raises(ValueError, match="labels contains 0.5"):
        bce(logits, torch.tensor([0.0, 0.5, 1]))
    with pytest.raises(ValueError, match="and weight"):
        bce(logits, torch.ones(3), weight=torch.ones(1))
    with pytest.raises(ValueError, match="cardinalities is empty"):
        Wide([])


def test_a_value_never_seen_gets_no_wide_weight():
    """Id 0 is kept for it: its weights are never touched in training, so they stay 0."""
    ids, bags, label = examples(300)
    ids = ids.clamp(min=1)
    model = small()
    fit(
        model, lambda e, g: [(ids, label)], lambda m, b: bce(m(b[0], bags), b[1]),
        wide_and_deep_optimizers(model), validate=None, max_epochs=5, patience=None,
    )  # fmt: skip
    parts = model.explain(
        torch.zeros(1, 3, dtype=torch.int64), {2: (bags[2][0][:1], bags[2][1][:1])}
    )
    assert (parts.fields == 0).all()
    assert (parts.crosses[0] == 0).all()
    assert torch.isfinite(parts.logits()).all()
