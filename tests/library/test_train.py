"""fit: early stopping, several optimizers, checkpoints, and being killed."""

import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch
from torch import nn

from recsys_book.arguments import NotFinite
from recsys_book.train import fit, seeded


def noisy_batches(epoch, generator):
    for _ in range(3):
        x = torch.randn(8, 4, generator=generator)
        yield x, x.sum(1, keepdim=True)


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))


def mse(model, batch):
    return nn.functional.mse_loss(model(batch[0]), batch[1])


def train(model, checkpoint=None, **more):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    options = {"validate": None, "max_epochs": 6, "patience": None, "schedules": [schedule]} | more
    return fit(model, noisy_batches, mse, optimizer, checkpoint=checkpoint, **options)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("patience", [2, None])
def test_the_best_weights_are_restored_also_when_max_epochs_ends_first(patience):
    model, kept = make_model(), []
    scores = iter([0.1, 0.9, 0.3, 0.2, 0.1, 0.0])

    def validate(model):
        kept.append(weights(model))
        return next(scores)

    history = train(model, validate=validate, patience=patience)
    assert history.best_epoch == 1 and history.best_score == 0.9
    assert torch.equal(weights(model), kept[1])
    assert len(history.loss) == (4 if patience else 6)


def test_somebody_may_look_on_after_every_epoch_and_changes_nothing():
    seen, alone, watched = [], make_model(), make_model()

    def look(epoch, model):
        assert not model.training and not torch.is_grad_enabled()
        seen.append((epoch, weights(model)))
        torch.rand(3)  # draws of its own disturb no epoch
        return -1.0  # nobody asks for it

    train(alone)
    history = train(watched, after_epoch=look)
    assert [epoch for epoch, _ in seen] == [*range(6)]
    assert torch.equal(seen[-1][1], weights(watched)) and history.score == []
    assert torch.equal(weights(watched), weights(alone))


def test_a_start_is_decided_by_its_seed_alone_and_the_stream_goes_on():
    torch.manual_seed(5)
    wanted = torch.rand(2)
    torch.manual_seed(5)
    starts = []
    for seed in (0, 0, 1):
        with seeded(seed):
            starts.append(nn.Linear(3, 2).weight)
    assert torch.equal(starts[0], starts[1]) and not torch.equal(starts[0], starts[2])
    assert torch.equal(torch.rand(2), wanted)


def test_a_run_does_not_depend_on_or_disturb_the_global_stream():
    runs = []
    for noise in (1, 2):
        model = make_model()
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        train(model)
        assert torch.equal(before, torch.get_rng_state())
        runs.append(weights(model))
    assert torch.equal(*runs)


def test_several_optimizers_step_on_one_loss():
    model = make_model()
    start = weights(model)
    first = torch.optim.SGD(model[0].parameters(), lr=0.1)
    second = torch.optim.Adagrad(model[3].parameters(), lr=0.1)
    fit(model, noisy_batches, mse, [first, second], validate=None, max_epochs=1, patience=None)
    assert (weights(model) != start).float().mean() > 0.5


def test_interrupted_training_resumes_to_the_same_result(tmp_path):
    whole = make_model()
    train(whole)

    calls = 0

    def interrupted_loss(model, batch):
        nonlocal calls
        calls += 1
        if calls == 8:  # in the third epoch
            raise KeyboardInterrupt
        return mse(model, batch)

    model, path = make_model(), tmp_path / "run.pt"
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    with pytest.raises(KeyboardInterrupt):
        fit(
            model, noisy_batches, interrupted_loss, optimizer, validate=None, max_epochs=6,
            patience=None, schedules=[schedule], checkpoint=path,
        )  # fmt: skip
    fresh = make_model()
    history = train(fresh, checkpoint=path)
    assert torch.equal(weights(fresh), weights(whole)) and len(history.loss) == 6


def test_killed_training_resumes_to_the_same_result(tmp_path):
    path = tmp_path / "run.pt"
    script = textwrap.dedent(
        """
        import sys, time, torch
        sys.path.insert(0, sys.argv[2])
        import test_train as t
        def slow(model, batch):
            time.sleep(0.05)
            return t.mse(model, batch)
        model = t.make_model()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        t.fit(model, t.noisy_batches, slow, optimizer, validate=None, max_epochs=200,
              patience=None, schedules=[schedule], checkpoint=sys.argv[1])
        """
    )
    here = str(__import__("pathlib").Path(__file__).parent)
    process = subprocess.Popen([sys.executable, "-c", script, str(path), here])
    deadline = time.time() + 900
    while not path.exists() and time.time() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(torch.load(path, weights_only=True)["history"]["loss"])
    assert 1 <= done < 200
    resumed, whole = make_model(), make_model()
    train(resumed, checkpoint=path, max_epochs=done + 3)
    train(whole, max_epochs=done + 3)
    assert torch.equal(weights(resumed), weights(whole))


def test_a_finished_run_is_not_repeated(tmp_path):
    path, model = tmp_path / "run.pt", make_model()
    first = train(model, checkpoint=path)
    again = make_model()
    second = train(again, checkpoint=path)
    assert second.loss == first.loss and torch.equal(weights(again), weights(model))


def test_checkpoints_of_other_runs_are_refused(tmp_path):
    path = tmp_path / "run.pt"
    train(make_model(), checkpoint=path)
    with pytest.raises(ValueError, match="has seed 0, not 1"):
        train(make_model(), checkpoint=path, seed=1)
    with pytest.raises(ValueError, match="another model or optimizer"):
        train(nn.Sequential(nn.Linear(4, 1)), checkpoint=path)
    model = make_model()
    schedule = torch.optim.lr_scheduler.ExponentialLR(sgd := torch.optim.SGD(model.parameters()), 1)
    with pytest.raises(ValueError, match="other optimizers"):
        fit(
            model, noisy_batches, mse, sgd, validate=None, max_epochs=1, patience=None,
            schedules=[schedule], checkpoint=path,
        )  # fmt: skip
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="cannot be read"):
        train(make_model(), checkpoint=path)


def test_bad_training_stops_with_one_clear_error():
    with pytest.raises(ValueError, match="loss is nan in epoch 0, batch 0"):
        train_with = lambda model, batch: mse(model, batch) * float("nan")
        model = make_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        fit(model, noisy_batches, train_with, optimizer, validate=None, max_epochs=1, patience=None)
    with pytest.raises(ValueError, match="validate returned NaN"):
        train(make_model(), validate=lambda model: float("nan"))
    with pytest.raises(ValueError, match="max_epochs is 0"):
        train(make_model(), max_epochs=0)
    with pytest.raises(ValueError, match="clip_norm is 0"):
        train(make_model(), clip_norm=0)


@pytest.mark.parametrize(
    "bad", [float("nan"), float("inf"), -float("inf"), 10**400], ids=["nan", "inf", "-inf", "huge"]
)
@pytest.mark.parametrize("epochs", [(0,), (2,), (0, 1, 2, 3, 4, 5)])
def test_a_score_that_cannot_choose_an_epoch_is_one_clear_error(bad, epochs):
    model, seen = make_model(), []

    def validate(model):
        seen.append(len(seen))
        return bad if seen[-1] in epochs else 0.5

    with pytest.raises(NotFinite, match=rf"validate returned .* after epoch {epochs[0]}; it must"):
        train(model, validate=validate)


@pytest.mark.parametrize(
    "odd", [None, "0.5", b"1", True, [0.5], (0.5, 1), {}, 1j, torch.zeros(2), torch.zeros(0)]
)
def test_what_validate_returns_must_be_one_number(odd):
    with pytest.raises(
        ValueError, match=r"validate returned a \w+.* after epoch 0; it must be one"
    ):
        train(make_model(), validate=lambda model: odd)


@pytest.mark.parametrize(
    "score", [3, torch.tensor(0.5), torch.tensor([0.5]), np.float32(0.5), np.array(0.5), -1e300]
)
def test_any_kind_of_number_is_a_score(score):
    history = train(make_model(), validate=lambda model: score, max_epochs=2)
    assert history.best_epoch == 0 and history.best_score == float(score)


@pytest.mark.parametrize("odd", [1.0, None, torch.zeros(3)])
def test_a_loss_must_be_one_number(odd):
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"loss returned a .* in epoch 0; it must be a tensor"):
        fit(model, noisy_batches, lambda m, b: odd, optimizer, validate=None, max_epochs=1,
            patience=None)  # fmt: skip


@pytest.mark.parametrize("option", ["max_epochs", "patience"])
@pytest.mark.parametrize("odd", [0, -1, float("nan"), 2.5, True, "3"])
def test_numbers_of_epochs_are_whole(option, odd):
    with pytest.raises(ValueError, match=f"{option} is"):
        train(make_model(), **{option: odd})


def test_a_checkpoint_without_a_best_epoch_is_refused(tmp_path):
    """As a run left it whose every score was −inf, when such scores were let through."""
    train(make_model(), validate=lambda model: 0.5, checkpoint=tmp_path / "run.pt")
    state = torch.load(tmp_path / "run.pt", weights_only=True)
    state["history"] |= {"best_epoch": -1, "score": [-float("inf")] * 6}
    torch.save(state, tmp_path / "run.pt")
    with pytest.raises(ValueError, match="holds no best epoch"):
        train(make_model(), validate=lambda model: 0.5, checkpoint=tmp_path / "run.pt")


def spiked_batches(epoch, generator):
    """One row of the second epoch was logged in another unit."""
    for step, (x, y) in enumerate(noisy_batches(epoch, generator)):
        if epoch == 1 and step == 0:
            y = y * 1e6
        yield x, y


def test_a_planted_spike_survives_with_clipping_and_diverges_without():
    def run(clip_norm):
        model = make_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        return fit(
            model, spiked_batches, mse, optimizer, validate=None, max_epochs=6, patience=None,
            clip_norm=clip_norm,
        )  # fmt: skip

    with pytest.raises(ValueError, match="epoch 1"):
        run(None)
    history = run(1.0)
    assert history.loss[1] > 1e9 and history.loss[-1] < 2 * history.loss[0]


def test_clipping_bounds_the_norm_over_all_parameters():
    model, norms = make_model(), []

    class Watching(torch.optim.SGD):
        def step(self, closure=None):
            gradients = [p.grad.flatten() for p in model.parameters()]
            norms.append(float(torch.cat(gradients).norm()))
            return super().step(closure)

    optimizer = Watching(model.parameters(), lr=0.01)
    fit(model, noisy_batches, mse, optimizer, validate=None, max_epochs=2, patience=None,
        clip_norm=0.1)  # fmt: skip
    assert max(norms) == pytest.approx(0.1, rel=1e-4) and len(norms) == 6


def test_step_schedules_move_after_every_batch_and_resume(tmp_path):
    def run(model, max_epochs, checkpoint=None):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=9)
        fit(model, noisy_batches, mse, optimizer, validate=None, max_epochs=max_epochs,
            patience=None, step_schedules=[warm_up], checkpoint=checkpoint)  # fmt: skip
        return optimizer.param_groups[0]["lr"]

    assert run(make_model(), 1) == pytest.approx(0.01 * (0.1 + 0.9 * 3 / 9))
    whole, resumed = make_model(), make_model()
    run(whole, 5)
    # A run of two epochs counts as finished; take that mark off, as if it had been killed there.
    run(resumed, 2, tmp_path / "run.pt")
    state = torch.load(tmp_path / "run.pt", weights_only=True)
    state["history"]["finished"] = False
    torch.save(state, tmp_path / "run.pt")
    assert run(fresh := make_model(), 5, tmp_path / "run.pt") == pytest.approx(0.01)
    assert torch.equal(weights(fresh), weights(whole))
