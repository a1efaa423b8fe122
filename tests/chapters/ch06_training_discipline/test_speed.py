"""All variants train the same model, and what cannot run is told."""

import json
import math
from dataclasses import replace

import pytest
import torch

from recsys_book.chapters.ch06_training_discipline import runs_gpu as gpu_run
from recsys_book.chapters.ch06_training_discipline import runs_speed as run
from recsys_book.chapters.ch06_training_discipline import speed as lab
from recsys_book.chapters.ch06_training_discipline import speed_figures as figures
from recsys_book.service import simulate
from recsys_book.service.click_models import make_task
from recsys_book.show.claims import VERDICTS

SAME = [
    "1 worker", "in memory", "histories for every batch", "2 threads", "fused Adam",
    "no checks of ids",
]  # fmt: skip


@pytest.fixture(scope="module")
def task():
    return make_task(simulate(n_users=40, n_films=60, days=10, seed=3), test_from=8)


@pytest.fixture(scope="module")
def rows(task):
    return task.before(8)


def of(batch_size):
    return replace(lab.MEMORY, batch_size=batch_size)


def weights_after(task, rows, variant, steps=25):
    """Across an epoch's end, so that the second order is compared too."""
    trainer = lab.Trainer(task, rows, variant, seed=7)
    losses = [float(trainer.step()) for _ in range(steps)]
    return trainer.model.state_dict(), losses


@pytest.fixture(scope="module")
def few(rows):
    return rows[:1_000]


@pytest.fixture(scope="module")
def plain(task, few):
    return weights_after(task, few, replace(lab.PLAIN, batch_size=64))


@pytest.mark.parametrize("name", SAME)
def test_variants_train_the_same_model(task, few, plain, name):
    variant = replace(lab.VARIANTS[name], batch_size=64)
    found, losses = weights_after(task, few, variant)
    assert losses == pytest.approx(plain[1], abs=1e-4)
    for (key, a), (other, b) in zip(plain[0].items(), found.items(), strict=True):
        assert key == other
        exact = name in ("1 worker", "in memory", "histories for every batch", "no checks of ids")
        assert torch.equal(a, b) if exact else torch.allclose(a, b, atol=1e-3), key


def test_another_seed_trains_another_model(task, few, plain):
    trainer = lab.Trainer(task, few, replace(lab.MEMORY, batch_size=64), seed=8)
    losses = [float(trainer.step()) for _ in range(5)]
    assert losses != pytest.approx(plain[1][:5], abs=1e-4)


def test_sparse_gradients_are_the_same_algorithm_for_one_step(task, few):
    dense, sparse = (
        lab.Trainer(task, few, replace(v, batch_size=64), seed=7)
        for v in (lab.MEMORY, lab.VARIANTS["sparse gradients"])
    )
    dense.step(), sparse.step()
    for a, b in zip(dense.model.parameters(), sparse.model.parameters(), strict=True):
        # SparseAdam adds its epsilon elsewhere, which tells where gradients are next to nothing.
        clear = a.grad.abs() > 1e-4
        assert clear.any() and torch.allclose(a[clear], b[clear], atol=2e-5)
        assert torch.equal(a[a.grad == 0], b[a.grad == 0])
    assert sparse.model.model.vectors.table.weight.grad.is_sparse
    before = sparse.model.model.vectors.table.weight.detach().clone()
    dense_before = dense.model.model.vectors.table.weight.detach().clone()
    dense.step(), sparse.step()
    moved = lambda now, then: int((now != then).any(1).sum())
    # Adam moves what the first step touched too; SparseAdam only what the second does.
    assert moved(sparse.model.model.vectors.table.weight, before) < moved(
        dense.model.model.vectors.table.weight, dense_before
    )


def test_orders_are_permutations_and_differ_by_epoch():
    first, second = lab.shuffled(50, 0, 0), lab.shuffled(50, 0, 1)
    assert first.sort().values.tolist() == list(range(50)) and not torch.equal(first, second)
    sampler = lab.Shuffled(50, 0)
    assert list(sampler) == first.tolist() and list(sampler) == second.tolist()


def test_unchecked_embedding_equals_the_checked_one_and_checks_nothing(task, few):
    variant = replace(lab.UNCHECKED, batch_size=64)
    checked, free = lab.make_model(task.cardinalities, lab.MEMORY), lab.make_model(
        task.cardinalities, variant
    )  # fmt: skip
    batch = next(lab.batches(task, few, variant))
    assert torch.equal(checked(batch), free(batch))
    wrong = replace(batch, ids=batch.ids.clone())
    wrong.ids[0, 0] = task.cardinalities[0]
    with pytest.raises(ValueError, match="ids contains"):
        checked(wrong)
    free(wrong)  # reads the next field's row: what a check is for


def test_the_race_tells_everything(task, few, monkeypatch):
    monkeypatch.setattr(lab.torch.cuda, "is_available", lambda: False)
    names = ["plain", "2 workers", "in memory", "GPU, batch 4,096"]
    variants = {
        name: replace(lab.VARIANTS[name], batch_size=64, base=lab.VARIANTS[name].base)
        for name in names
    }
    threads = torch.get_num_threads()
    found = lab.race(task, few, variants, rounds=2, seconds=0.05)
    assert list(found) == names and torch.get_num_threads() == threads
    assert found["plain"]["ratio"] == found["plain"]["low"] == found["plain"]["high"] == 1
    for name in names[:3]:
        row = found[name]
        assert row["absent"] is None and len(row["rates"]) == 2 and min(row["rates"]) > 0
        assert row["low"] <= row["ratio"] <= row["high"] and row["warm_up"] > 0
        assert (row["processor_rates"] is None) == (name == "2 workers")
        ratios = [a / b for a, b in zip(row["rates"], found["plain"]["rates"], strict=True)]
        assert row["ratio"] == pytest.approx(sum(ratios) / 2)
    gone = found["GPU, batch 4,096"]
    assert gone == {"base": "batch 4,096", "absent": "no CUDA device here"}
    json.dumps(found, allow_nan=False)
    with pytest.raises(ValueError, match="'plain' must be among them"):
        lab.race(task, few, {"in memory": lab.MEMORY})
    with pytest.raises(ValueError, match="rounds is 0"):
        lab.race(task, few, variants, rounds=0)


def test_absence_has_a_reason(monkeypatch):
    monkeypatch.setattr(lab.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(lab.os, "cpu_count", lambda: 1)
    monkeypatch.setattr(lab, "has_bfloat16", lambda: False)
    monkeypatch.setattr(lab.shutil, "which", lambda name: None)
    reasons = {name: lab.absent(variant) for name, variant in lab.VARIANTS.items()}
    gone = {name for name, reason in reasons.items() if reason}
    assert gone == {
        "2 threads", "2 threads, batch 4,096", "compiled", "bfloat16", "bfloat16, batch 4,096",
        "GPU, batch 4,096", "GPU, float16, batch 4,096",
        "all together, 1 thread", "all together, 2 threads",
    }  # fmt: skip
    assert "compiler" in reasons["compiled"] and "cores" in reasons["2 threads"]


def test_a_compiler_that_fails_is_told(task, few, monkeypatch):
    def broken(model):
        def call(batch):
            raise RuntimeError("no headers")

        return call

    monkeypatch.setattr(lab.torch, "compile", broken)
    monkeypatch.setattr(lab, "absent", lambda variant: None)
    variants = {n: replace(lab.VARIANTS[n], batch_size=64) for n in ("plain", "compiled")}
    found = lab.race(task, few, variants, rounds=1, seconds=0.02)
    assert found["compiled"]["absent"] == "torch.compile failed here: RuntimeError"
    assert "ratio" not in found["compiled"]


def test_each_variant_changes_one_thing():
    for name, variant in lab.VARIANTS.items():
        if variant.base is None or name == "all together, 1 thread":
            continue
        base = lab.VARIANTS[variant.base]
        changed = [k for k, v in vars(variant).items() if k != "base" and v != getattr(base, k)]
        assert len(changed) == 1, (name, changed)


def test_bad_input(task, few):
    with pytest.raises(ValueError, match="a batch wants 4096"):
        lab.batches(task, few, lab.LARGE)
    with pytest.raises(ValueError, match="loader is 'disk'"):
        lab.batches(task, few, replace(lab.PLAIN, loader="disk"))
    with pytest.raises(ValueError, match="one of them at a time"):
        lab.make_model(task.cardinalities, replace(lab.MEMORY, sparse=True, checks=False))
    sparse = replace(lab.MEMORY, sparse=True)
    with pytest.raises(ValueError, match="weight_decay is 0.1"):
        lab.make_optimizers(lab.make_model(task.cardinalities, sparse), sparse, weight_decay=0.1)
    with pytest.raises(ValueError, match="rule is 'cube'"):
        lab.scaled_rate("cube", 512)
    with pytest.raises(ValueError, match="make 3 steps"):
        lab.learn(task, few, few, of(300), 0.01)


def test_rates_scale():
    assert [lab.scaled_rate(r, 1_024, lr=0.01) for r in lab.RULES[:3]] == pytest.approx(
        [0.01, 0.02, 0.04]
    )
    assert lab.scaled_rate("linear", 256, lr=0.01) == 0.01


def test_learning_is_looked_at(task, rows):
    looks = lab.learn(task, rows[:2_000], rows[2_000:2_500], of(100), 0.01, epochs=2, seed=1)
    assert [one["examples"] for one in looks] == [500 * i for i in range(1, 9)]
    seconds = [one["seconds"] for one in looks]
    assert seconds == sorted(seconds) and seconds[0] > 0
    again = lab.learn(task, rows[:2_000], rows[2_000:2_500], of(100), 0.01, epochs=2, seed=1)
    assert [one["log_loss"] for one in looks] == [one["log_loss"] for one in again]
    assert lab.final(looks) < math.log(2)
    assert looks[0]["log_loss"] > min(one["log_loss"] for one in looks)


def test_a_training_that_goes_to_pieces_is_no_number(task, rows):
    looks = lab.learn(task, rows[:2_000], rows[2_000:2_500], of(100), 1e30, epochs=1)
    assert looks[-1]["log_loss"] is None and lab.final(looks) == math.inf
    assert lab.seconds_to(looks, math.inf) in (None, looks[0]["seconds"])


def test_seconds_to_a_target():
    looks = [
        {"seconds": 1.0, "log_loss": 0.6}, {"seconds": 2.0, "log_loss": None},
        {"seconds": 3.0, "log_loss": 0.4}, {"seconds": 4.0, "log_loss": 0.3},
    ]  # fmt: skip
    assert lab.seconds_to(looks, 0.6) == 1 and lab.seconds_to(looks, 0.45) == 3
    assert lab.seconds_to(looks, 0.2) is None and lab.final(looks) == 0.3


@pytest.fixture(scope="module")
def record(task, few):
    """A record of the same parts as the real one, from a world that takes no time."""
    tuned = run.tune(40, (256, 512), (0.003, 0.006))
    runs = [run.batches(seed, tuned, 40) for seed in (0, 1)]
    variants = {n: replace(lab.PLAIN, batch_size=64) for n in ("plain", "1 worker")}
    race = lab.race(task, few, variants, rounds=2, seconds=0.02)
    race["GPU, batch 4,096"] = {"base": "batch 4,096", "absent": "no CUDA device here"}
    tables = lab.table_sizes(task, few, (0, 100), rounds=2, steps=1)
    return {"figures": {"race": race, "tables": tables, "tuned": tuned, "batches": runs}}


def test_the_records_keys(record):
    parts = record["figures"]
    json.dumps(record, allow_nan=False)
    assert [set(row) for row in parts["tables"]] == [{"rows", *lab.ADAMS}] * 2
    assert parts["tables"][1]["rows"] - parts["tables"][0]["rows"] == 100
    for world in parts["batches"]:
        assert set(world) == {"256", "512", "target"}
        for size in ("256", "512"):
            assert tuple(world[size]) == lab.RULES
            for rule, one in world[size].items():
                assert set(one) == {"rate", "looks", "seconds_to_target"}
                assert len(one["looks"]) == lab.EPOCHS * lab.LOOKS
                if rule == "tuned":
                    assert one["rate"] == parts["tuned"][size]["rate"]
        assert world["256"]["tuned"]["seconds_to_target"] is not None
        assert world["target"] == pytest.approx(
            world["256"]["tuned"]["looks"][-1]["log_loss"] + lab.WITHIN
        )
    for one in parts["tuned"].values():
        assert len(one["log_loss"]) == 2
        assert one["rate"] == (0.003, 0.006)[one["log_loss"].index(min(one["log_loss"]))]


def test_figures(record):
    alt = figures.race_figure(record).alt
    assert "plain 1.00" in alt and "not run: GPU, batch 4,096 (no CUDA device here)" in alt
    alt = figures.batch_figure(record).alt
    assert "after 2 epochs" in alt and "tuned +0.0000" in alt and "mean of 2 worlds" in alt
    assert "SparseAdam" in figures.tables_figure(record).alt


def test_multiples_and_costs_by_hand():
    race = {
        "plain": {"base": None, "rates": [10.0, 20.0]},
        "in memory": {"base": "plain", "rates": [20.0, 60.0]},
        "compiled": {"base": "in memory", "rates": [10.0, 90.0]},
    }
    run = lambda end: {"looks": [{"log_loss": 9.0}, {"log_loss": end}]}
    worlds = [
        {"256": {"tuned": run(a)}, "4096": {"tuned": run(b), "same": run(c)}, "target": a}
        for a, b, c in ((0.40, 0.41, 0.45), (0.42, 0.45, 0.49))
    ]
    record = {"figures": {"race": race, "batches": worlds}}
    interval = figures.times_base(record, "in memory")
    assert (interval.value, interval.gap.n, interval.gap.over) == (2.5, 2, "rounds")
    assert figures.times_base(record, "compiled").value == 1  # .5 and 1.5
    assert figures.batch_cost(record, 4096).value == pytest.approx(0.02)
    cost = figures.batch_cost(record, 4096, "same")
    assert cost.value == pytest.approx(0.06) and cost.gap.over == "simulated worlds"
    assert figures.batch_cost(record, 256).value == 0


def test_a_training_stops_when_its_target_is_met(task, rows):
    few, held = rows[:2_000], rows[2_000:2_500]
    whole = lab.learn(task, few, held, of(100), 0.01, epochs=2, seed=1)
    target = whole[2]["log_loss"]
    first = next(i for i, one in enumerate(whole) if one["log_loss"] <= target)
    found = lab.learn(task, few, held, of(100), 0.01, epochs=2, until=target, seed=1)
    assert [one["log_loss"] for one in found] == [one["log_loss"] for one in whole[: first + 1]]


def test_more_epochs_spread_the_fall_of_the_rate(task, rows, monkeypatch):
    rates = []
    step = lab.Trainer.step

    def spy(self):
        rates.append(self.optimizers[0].param_groups[0]["lr"])
        return step(self)

    monkeypatch.setattr(lab.Trainer, "step", spy)
    for epochs in (2, 4):
        rates.clear()
        lab.learn(task, rows[:400], rows[400:500], of(100), 0.01, epochs=epochs)
        by_epoch = rates[:: len(rates) // epochs]
        assert by_epoch == pytest.approx([0.01 * 0.6 ** (e * 2 / epochs) for e in range(epochs)])


def test_gpu_lines_change_one_thing_each():
    variants = lab.gpu_variants(3)
    assert {variants[f"all cores, batch {n:,}"].threads for n in lab.GPU_SIZES} == {3}
    for name, variant in variants.items():
        if variant.base is None:
            continue
        base = variants[variant.base]
        changed = [k for k, v in vars(variant).items() if k != "base" and v != getattr(base, k)]
        assert len(changed) == 1, (name, changed)
    assert {v.half for n, v in variants.items() if "float16" in n} == {True}
    assert {v.device for n, v in variants.items() if "GPU" in n} == {"cuda"}
    assert {v.hidden for n, v in variants.items() if "wide" in n} == {lab.WIDE}


def test_no_gpu_no_record(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="measures a CUDA device"):
        gpu_run.ready()


def test_what_is_chosen_meets_the_target_soonest(monkeypatch):
    """With the processor in the GPU's place, and looks made up."""
    ends = {
        (256, 0.1, 2): [0.50, 0.40], (256, 0.2, 2): [0.50, 0.45],
        (512, 0.1, 2): [0.50, 0.45], (512, 0.2, 2): [0.60, None],
        (512, 0.1, 4): [0.45, 0.401], (512, 0.2, 4): [0.45, 0.43, 0.40],
        (1_024, 0.1, 4): [0.47], (1_024, 0.2, 4): [0.46],
    }  # fmt: skip

    def learn(task, rows, held, variant, lr, *, epochs, until=None):
        looks = ends[variant.batch_size, lr, epochs]
        return [{"examples": 100 * (i + 1), "log_loss": x} for i, x in enumerate(looks)]

    monkeypatch.setattr(lab, "learn", learn)
    monkeypatch.setattr(gpu_run, "cut", lambda *_: (None, None, None))
    tuned = gpu_run.tune(
        40, "cpu", {n: ((0.1, 0.2), e) for n, e in ((256, (2,)), (512, (2, 4)), (1_024, (4,)))}
    )
    chosen = {size: (one["rate"], one["epochs"]) for size, one in tuned.items()}
    assert chosen == {"256": (0.1, 2), "512": (0.1, 4), "1024": (0.2, 4)}
    assert [0.2, 2, None, None] in tuned["512"]["tried"]
    assert [0.2, 4, 300, 0.40] in tuned["512"]["tried"]


@pytest.fixture(scope="module")
def gpu_record(task, few):
    """A record of the same parts as the real one, the processor in the GPU's place."""
    variants = {
        name: replace(v, device="cpu", hidden=(8,), threads=1, batch_size=64)
        for name, v in lab.gpu_variants(2).items()
        if "compiled" not in name
    }
    tuned = gpu_run.tune(40, "cpu", {256: ((0.003, 0.01), (2,)), 512: ((0.01,), (2, 4))})
    worlds = [gpu_run.reach(seed, tuned, 40, "cpu") for seed in (0, 1)]
    race = lab.race(task, few, variants, rounds=2, seconds=0.01)
    return {"figures": {"device": "none", "race": race, "tuned": tuned, "reach": worlds}}


def test_the_gpu_records_keys(gpu_record):
    json.dumps(gpu_record, allow_nan=False)
    for world in gpu_record["figures"]["reach"]:
        assert set(world) == {"256", "512", "target"}
        for size in ("256", "512"):
            assert set(world[size]) == {"one thread", "all cores", "GPU"}
            for one in world[size].values():
                last = one["looks"][-1]
                met = one["seconds_to_target"] is not None
                assert met == (last["log_loss"] <= world["target"])
        # Here all lines are the same arithmetic, so they meet it at the same look.
        ends = {line: one["looks"][-1]["log_loss"] for line, one in world["256"].items()}
        assert ends["GPU"] == ends["one thread"]


def test_the_gpus_figure(gpu_record):
    """Every line is drawn or named as absent, as half precision is without bfloat16."""
    alt, race = figures.gpu_figure(gpu_record).alt, gpu_record["figures"]["race"]
    for line in lab.GPU_LINES:
        rows = [row for name, row in race.items() if name.startswith(f"{line}, batch")]
        gone = all(row["absent"] for row in rows)
        assert rows and (f"{line} from " in alt) == (not gone), line
        if gone:
            assert f"{line} (" in alt.partition("not run: ")[2], line
    assert "Soonest at the log-loss" in alt and "all cores" in alt


@pytest.mark.parametrize("at_hand", [True, False])
def test_half_precision_is_run_where_the_processor_has_it(monkeypatch, at_hand):
    monkeypatch.setattr(lab, "has_bfloat16", lambda: at_hand)
    reason = lab.absent(lab.VARIANTS["bfloat16"])
    assert reason == (None if at_hand else "this processor does not multiply in bfloat16")


def test_soonest_by_hand():
    """Each line takes the batch that is quickest for it in the mean, and none that fails."""
    seconds = {
        "256": {"one thread": (4.0, 6.0), "GPU": (8.0, 8.0)},
        "512": {"one thread": (6.0, 8.0), "GPU": (1.0, 2.0)},
        "1024": {"one thread": (1.0, None), "GPU": (0.5, None)},
    }
    worlds = [
        {size: {line: {"seconds_to_target": found[w]} for line, found in lines.items()}
         for size, lines in seconds.items()} | {"target": 0.4}
        for w in (0, 1)
    ]  # fmt: skip
    record = {"figures": {"reach": worlds}}
    soon = figures.sooner(record, "GPU", "one thread")
    assert (soon.value, soon.gap.n, soon.gap.over) == (
        3.5,
        2,
        "simulated worlds",
    )  # 4 / 1 and 6 / 2
    assert figures.seconds_to_target(record, "GPU")[1024].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("says", "variants"),
    [(figures.SAYS, lab.VARIANTS), (figures.SAYS_GPU, lab.gpu_variants(2))],
    ids=["processor", "GPU"],
)
def test_what_the_chapter_says_is_of_lines_that_there_are(says, variants):
    for name, (_, relation) in says.items():
        assert variants[name].base in variants and relation in VERDICTS
