"""What runs on a processor runs on a GPU, to the same figures. Skipped where there is none."""

from dataclasses import replace

import pytest
import torch
from test_samplers import N_ITEMS, SAMPLERS, log_of
from test_wide_and_deep import examples as wide_examples
from test_wide_and_deep import small as wide_and_deep
from torch import nn

from recsys_book.chapters.ch03_neumf.lab import fine_tune
from recsys_book.chapters.ch06_training_discipline import speed as lab
from recsys_book.embeddings import nearest
from recsys_book.evaluate import full_catalogue, leave_one_out
from recsys_book.implicit import train_implicit
from recsys_book.losses import bce
from recsys_book.metrics import auc, user_auc
from recsys_book.models.dnn import DNN
from recsys_book.models.factorization_machine import FactorizationMachine
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.models.ncf import GMF, NCFMLP, NeuMF
from recsys_book.models.wide_and_deep import wide_and_deep_optimizers
from recsys_book.models.youtube_dnn import CandidateGenerator, WatchTimeRanker
from recsys_book.samplers import HardSampler
from recsys_book.service import simulate
from recsys_book.service.click_models import make_task
from recsys_book.train import fit

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
GPU = "cuda"
USERS, ITEMS = torch.tensor([0, 3, 1, 2]), torch.tensor([4, 0, 6, 6])
HISTORY = torch.tensor([[3, 5, 7, 7], [7, 7, 7, 7], [0, 6, 3, 3], [1, 1, 7, 7]])
FIELDS = torch.stack([USERS, ITEMS], dim=1)
MODELS = {
    "MF": (lambda: MatrixFactorization(4, 7), (USERS, ITEMS)),
    "GMF": (lambda: GMF(4, 7), (USERS, ITEMS)),
    "NCF's MLP": (lambda: NCFMLP(4, 7), (USERS, ITEMS)),
    "NeuMF": (lambda: NeuMF(4, 7), (USERS, ITEMS)),
    "FM": (lambda: FactorizationMachine([4, 7]), (FIELDS,)),
    "DNN": (lambda: DNN([4, 7]), (FIELDS,)),
    "candidates": (
        lambda: CandidateGenerator(7, cardinalities=(4, 7), oldest=9.0),
        (HISTORY, FIELDS, USERS.float()),
    ),
    "watch time": (
        lambda: WatchTimeRanker(7, cardinalities=(4, 7), n_continuous=1),
        (ITEMS, HISTORY, FIELDS, USERS[:, None] / 4),
    ),
}


def to(device, value):
    """A tensor, or tuples and dicts of them."""
    if isinstance(value, dict):
        return {key: to(device, one) for key, one in value.items()}
    return tuple(to(device, v) for v in value) if isinstance(value, tuple) else value.to(device)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_says_the_same_and_learns_the_same(name):
    make, inputs = MODELS[name]
    torch.manual_seed(0)
    here = make()
    there = make().to(GPU)
    there.load_state_dict(here.state_dict())
    a, b = here(*inputs), there(*to(GPU, inputs))
    assert b.device.type == GPU
    torch.testing.assert_close(b.cpu(), a, atol=1e-5, rtol=1e-4)
    a.square().sum().backward()
    b.square().sum().backward()
    for (key, one), other in zip(here.named_parameters(), there.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None), key
        if one.grad is not None:
            torch.testing.assert_close(
                other.grad.to_dense().cpu(), one.grad.to_dense(), atol=1e-5, rtol=1e-3
            )


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_draw_where_the_pairs_are(name):
    seen = log_of().to(GPU)
    if name == "hard":  # its scores come from a model, which is on the GPU too
        scores = lambda users: torch.arange(N_ITEMS, device=GPU).float().expand(len(users), -1)
        sampler = HardSampler(seen, scores, share=0.5, pool=3)
    else:
        sampler = SAMPLERS[name](seen)
    items, log_q = sampler(seen.user, seen.item, 8, torch.Generator(GPU).manual_seed(0))
    assert items.device.type == log_q.device.type == GPU
    keys = seen.user[:, None] * N_ITEMS + items
    assert not torch.isin(keys, seen.keys()).any() and torch.isfinite(log_q).all()
    if name != "hard":
        here = SAMPLERS[name](log_of())
        torch.testing.assert_close(log_q.cpu(), here.log_q(seen.user.cpu(), items.cpu()))


def test_figures_are_those_of_the_processor():
    torch.manual_seed(0)
    model = MatrixFactorization(4, 12)
    seen = log_of(n=12)
    keys = torch.arange(4 * 12)
    wanted = keys[~torch.isin(keys, seen.keys())][::5]
    relevant = replace(seen, user=wanted // 12, item=wanted % 12)
    there = MatrixFactorization(4, 12).to(GPU)
    there.load_state_dict(model.state_dict())
    a = full_catalogue(model.score, relevant, seen, k=3)
    b = full_catalogue(there.score, relevant.to(GPU), seen.to(GPU), k=3)
    torch.testing.assert_close(b.ndcg.cpu(), a.ndcg)
    candidates = torch.arange(12).expand(4, -1)
    a = leave_one_out(model, torch.arange(4), candidates, k=3)
    b = leave_one_out(there, torch.arange(4).to(GPU), candidates.to(GPU), k=3)
    torch.testing.assert_close(b.hit_rate.cpu(), a.hit_rate)
    labels, scores = (torch.rand(50) < 0.4).float(), torch.rand(50).round(decimals=1)
    users = torch.arange(50) % 4
    assert auc(labels.to(GPU), scores.to(GPU)) == pytest.approx(auc(labels, scores))
    one, other = user_auc(labels, scores, users), user_auc(*to(GPU, (labels, scores, users)))
    assert other.mean() == pytest.approx(one.mean())
    vectors = model.item_vectors.weight.detach()
    assert torch.equal(nearest(vectors.to(GPU), 3)[0].cpu(), nearest(vectors, 3)[0])


def noisy(epoch, generator):
    for _ in range(8):
        x = torch.randn(64, 8, generator=generator, device=generator.device)
        yield x, x[:, :2].sum(1, keepdim=True)


def mse(model, batch):
    return nn.functional.mse_loss(model(batch[0]), batch[1])


def tower():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 1)).to(GPU)


def train(model, loss=mse, checkpoint=None, **more):
    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    options = {"validate": None, "max_epochs": 12, "patience": None} | more
    return fit(model, noisy, loss, adam, checkpoint=checkpoint, **options)


def test_half_precision_multiplies_in_float16_and_keeps_float32_weights():
    kinds = set()

    def spy(model, batch):
        hidden = model[0](batch[0])
        kinds.add(hidden.dtype)
        return nn.functional.mse_loss(model[1:](hidden), batch[1])

    half, full = tower(), tower()
    told = train(half, spy, amp=True)
    assert kinds == {torch.float16}
    assert {p.dtype for p in half.parameters()} == {torch.float32}
    exact = train(full)
    assert told.loss[-1] < 0.5 * told.loss[0]
    assert told.loss[-1] == pytest.approx(exact.loss[-1], rel=0.1)


def test_gradients_are_clipped_as_they_are_not_as_they_are_scaled():
    """A limit above every norm changes nothing, though the scaled gradients are far above it."""
    free, loose, tight = tower(), tower(), tower()
    train(free, amp=True)
    train(loose, amp=True, clip_norm=1e3)
    history = train(tight, amp=True, clip_norm=1e-9)
    for a, b in zip(free.parameters(), loose.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=1e-2)
    assert history.loss[-1] > 0.7 * history.loss[0]  # it hardly moves


def test_an_interrupted_half_precision_run_goes_on(tmp_path):
    whole, cut, resumed = tower(), tower(), tower()
    train(whole, amp=True)
    n = 0

    def power_cut(model, batch):
        nonlocal n
        n += 1
        if n == 60:
            raise KeyboardInterrupt
        return mse(model, batch)

    with pytest.raises(KeyboardInterrupt):
        train(cut, power_cut, tmp_path / "run.pt", amp=True)
    train(resumed, checkpoint=tmp_path / "run.pt", amp=True)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_ftrl_and_adagrad_on_one_loss(amp, sparse):
    ids, bags, label = wide_examples(200)
    loss = lambda model, batch: bce(model(batch[0], {2: (batch[1], batch[2])}), batch[3])
    batch = (ids, *bags[2], label)
    ends = {}
    for device, half in (("cpu", False), (GPU, amp)):
        model = wide_and_deep(sparse=sparse).to(device)
        here = to(device, batch)
        history = fit(
            model, lambda epoch, generator, here=here: [here], loss,
            wide_and_deep_optimizers(model, l1=0.001), validate=None, max_epochs=20, patience=None,
            amp=half,
        )  # fmt: skip
        ends[device] = history.loss
    assert ends[GPU][-1] < ends[GPU][0]
    assert ends[GPU][-1] == pytest.approx(ends["cpu"][-1], rel=0.02)


@pytest.mark.parametrize("n_negatives", [0, 3])
@pytest.mark.parametrize("side_by_side", [False, True])
def test_implicit_training_moves_with_model_and_pairs(n_negatives, side_by_side):
    seen, ends = log_of(n=200).to(GPU), []
    for seed in (0, 0):
        torch.manual_seed(seed)
        model = GMF(4, N_ITEMS).to(GPU)
        options = {"n_negatives": n_negatives, "side_by_side": side_by_side, "batch_size": 64}
        ends.append(train_implicit(model, seen, lr=0.05, epochs=5, seed=seed, **options).loss)
    assert ends[0][-1] < ends[0][0] and ends[0] == pytest.approx(ends[1], rel=1e-3)


def test_pretraining_goes_on_with_sgd_where_the_pairs_are():
    model = NeuMF(4, N_ITEMS).to(GPU)
    loss = fine_tune(model, log_of(n=200).to(GPU), lr=0.5, epochs=5, seed=0, batch_size=64).loss
    assert loss[-1] < loss[0]


@pytest.fixture(scope="module")
def task():
    return make_task(simulate(n_users=40, n_films=60, days=10, seed=3), test_from=8)


VARIANTS = {name: v for name, v in (lab.VARIANTS | lab.gpu_variants(2)).items() if v.device == GPU}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_line_trains_the_same_model(task, name):
    rows = task.before(8)[:1_000]
    variant = replace(VARIANTS[name], batch_size=64)
    losses = {}
    for one in (variant, replace(lab.PLAIN, batch_size=64, hidden=variant.hidden)):
        trainer = lab.Trainer(task, rows, one, seed=7)
        losses[one.device] = [float(trainer.step()) for _ in range(25)]
    close = 5e-2 if variant.half else 2e-3
    assert losses[GPU] == pytest.approx(losses["cpu"], abs=close)
