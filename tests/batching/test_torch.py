"""The controller of a PyTorch loop: three ways to feed it, ranks that agree, resuming, and what it refuses."""

import json
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
import torch
from rounding import EPS32
from torch import nn

from anisotropic import batching
from anisotropic.batching import coordinate_norm_test, inner_product_test, noise_scale, norm_test
from anisotropic.batching.torch import BatchSampler, BatchSizeController, NonFiniteGradient
from anisotropic.batching.torch.gradients import per_sample_gradients

torch.set_num_threads(1)
LOSS = nn.functional.cross_entropy


def setup(rule, seed=0, **options):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, optimizer, BatchSizeController(model, optimizer, rule, **options)


def data(n=12):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 5, generator=generator), torch.randint(0, 3, (n,), generator=generator)


def one_by_one(model, x, y):
    """Gradients of single samples as rows, by one backward pass each."""
    rows = []
    for i in range(len(x)):
        model.zero_grad()
        LOSS(model(x[i : i + 1]), y[i : i + 1]).backward()
        rows.append(torch.cat([p.grad.flatten() for p in model.parameters()]).double().numpy())
    model.zero_grad()
    return np.array(rows)


def test_importing_the_controller_starts_no_compiler():
    heavy = {"numba", "scipy", "sympy", "matplotlib"}
    code = f"import sys, anisotropic.batching.torch; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("rule", [
    norm_test(0.3, start=12), norm_test(0.3, "unbiased", start=12), noise_scale(5.0, start=12),
    inner_product_test(0.2, 0.3, start=12), inner_product_test(0.9, 0.3, start=12),
    coordinate_norm_test(0.5, 1e-3, start=12), coordinate_norm_test(0.5, 1e-3, "unbiased", start=12),
], ids=lambda r: f"{r.name} {r.form}")  # fmt: skip
def test_single_samples_give_the_rule_of_whole_gradients(rule):
    """Against the rule's own function on gradients taken one by one: variances are not summed by layer."""
    model, _, controller = setup(rule)
    x, y = data()
    rows = one_by_one(model, x, y)
    mean, V = rows.mean(axis=0), rows.var(axis=0, ddof=1)
    along = np.var(rows @ mean, ddof=1)
    wanted = rule.decide(12, mean, V, along, 0, 1, np.zeros((0, 1)), rule.params)
    loss = controller.per_sample(LOSS, (x, y))
    assert float(loss) == pytest.approx(float(LOSS(model(x), y).detach()), rel=1e-6)
    found = torch.cat([p.grad.flatten() for p in model.parameters()]).numpy()
    assert found == pytest.approx(mean, abs=8 * EPS32 * np.abs(rows).max())  # two ways through three layers in float32
    assert controller.step() == pytest.approx(max(np.ceil(wanted), 12), abs=1)
    assert wanted > 12, "the rule must ask for more, or nothing is tested"


def test_norms_and_micro_batches_agree_with_their_definition():
    rule = norm_test(0.3, start=12)
    model, _, controller = setup(rule)
    x, y = data()
    rows = one_by_one(model, x, y)
    parts = rows.reshape(4, 3, -1).mean(axis=1)
    mean = parts.mean(axis=0)
    S = 3 / 3 * np.sum((parts - mean) ** 2)
    expected = np.ceil(S / (0.09 * mean @ mean))
    assert expected > 12
    controller.norms(np.linalg.norm(parts, axis=1), np.linalg.norm(mean))
    assert controller.step() == expected
    _, _, second = setup(rule)
    for k in range(4):
        (LOSS(second.model(x[3 * k : 3 * k + 3]), y[3 * k : 3 * k + 3]) / 4).backward()
        second.micro_batch()
    assert second.step() == expected
    assert (second.steps, second.samples) == (1, 12)


def test_statistics_are_those_before_clipping_if_taken_before_it():
    model, optimizer, controller = setup(norm_test(0.3, start=12))
    x, y = data()
    controller.per_sample(LOSS, (x, y))
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
    optimizer.step()
    _, _, unclipped = setup(norm_test(0.3, start=12))
    unclipped.per_sample(LOSS, (x, y))
    assert controller.step() == unclipped.step() > 12


def test_half_precision_norms_are_summed_in_float32():
    from anisotropic.batching.torch.gradients import squared_norm

    big = torch.full((1000,), 60_000.0, dtype=torch.float16)
    assert squared_norm([big]).dtype == torch.float32
    assert float(squared_norm([big])) == pytest.approx(1000 * float(big[0]) ** 2, rel=1000 * EPS32)
    model, _, controller = setup(norm_test(0.3, start=12))
    x, y = data()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        controller.per_sample(LOSS, (x, y))
    assert all(p.grad.dtype == torch.float32 for p in model.parameters())
    _, _, exact = setup(norm_test(0.3, start=12))
    exact.per_sample(LOSS, (x, y))
    assert controller.step() == pytest.approx(exact.step(), rel=0.1)


def test_tokens_count_what_they_are():
    """Sequences of 10 tokens: the variance of a token is 10 times that of a sequence, so is the batch asked for."""
    x, y = data()
    _, _, plain = setup(norm_test(0.3, start=12))
    _, _, tokens = setup(norm_test(0.3, start=120), unit="tokens")
    plain.per_sample(LOSS, (x, y))
    tokens.per_sample(LOSS, (x, y), count=120)
    assert tokens.step() == pytest.approx(10 * plain.step(), abs=10)
    assert tokens.samples == 120
    with pytest.raises(ValueError, match="unit = 'tokens' needs count="):
        tokens.norms([1.0, 1.0], 0.5)



def test_interval_cap_and_shrinking():
    _, _, controller = setup(norm_test(0.5, start=4, interval=2, max_batch=40))
    sizes = []
    for _ in range(4):
        controller.norms([1.0, 1.0], 0.5)
        sizes.append(controller.step())
    assert sizes == [4, 40, 40, 40]
    assert controller.skip() == 40 and (controller.steps, controller.samples) == (5, 128)
    _, _, free = setup(norm_test(0.5, start=40, shrink=True))
    free.norms([1.0, 1.0], 1.0)
    assert free.step() == 2


def test_a_gradient_that_is_not_finite_stops_with_its_step_and_leaves_the_state(tmp_path):
    model, optimizer, controller = setup(norm_test(0.5, start=12), checkpoint=tmp_path / "last.pt")
    x, y = data()
    controller.per_sample(LOSS, (x, y))
    optimizer.step()
    batch = controller.step()
    controller.per_sample(LOSS, (x * torch.inf, y))
    with pytest.raises(NonFiniteGradient, match="the gradient of step 2 is not finite; model, optimizer and") as error:
        controller.step()
    assert error.value.step == 2 and error.value.state["batch_size"] == batch
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    assert saved["controller"] == error.value.state and set(saved) == {"model", "optimizer", "controller"}
    controller.norms([np.nan, 1.0], 1.0)
    with pytest.raises(NonFiniteGradient, match="step 2"):
        controller.step()


def test_state_resumes_with_the_sampler_in_the_middle_of_an_epoch():
    def train(controller, sampler, steps):
        seen = []
        stream = iter(sampler)
        for _ in range(steps):
            try:
                rows = next(stream)
            except StopIteration:
                stream = iter(sampler)
                rows = next(stream)
            seen.append(rows)
            controller.norms([1.0, 1.0], 0.7)
            controller.step()
        return seen

    def fresh():
        _, _, controller = setup(norm_test(0.5, start=4, interval=3))
        return controller, BatchSampler(controller, 200, seed=3)

    controller, sampler = fresh()
    whole = train(controller, sampler, 12)
    first, its = fresh()
    begin = train(first, its, 5)
    second, sampler = fresh()
    second.load_state_dict(first.state_dict())
    sampler.load_state_dict(its.state_dict())
    assert begin + train(second, sampler, 7) == whole
    assert second.state_dict() == controller.state_dict()
    sizes = [len(rows) for rows in whole]
    assert sizes[:3] == [4] * 3 and sizes[3] > 4


def test_a_sampler_covers_an_epoch_once_and_never_exceeds_the_data():
    _, _, controller = setup(norm_test(0.5, start=4))
    sampler = BatchSampler(controller, 20, shuffle=False)
    rows = list(sampler)
    assert sum(rows, []) == list(range(20)) and controller.cap == 20
    controller.batch_size = 7
    assert [len(r) for r in sampler] == [7, 7]
    controller.norms([1.0, 1.0], 1e-6)
    assert controller.step() == 20
    with pytest.raises(ValueError, match="starts with 20 samples a step, the data has 6; without replacement"):
        BatchSampler(controller, 6)
    _, _, tokens = setup(norm_test(0.5, start=10), unit="tokens")
    packed = BatchSampler(tokens, 5, lengths=[4, 4, 4, 9, 3], shuffle=False)
    assert list(packed) == [[0, 1], [2], [3], [4]]
    with pytest.raises(ValueError, match="pass lengths="):
        BatchSampler(tokens, 5)
    with pytest.raises(ValueError, match="lengths has 2 entries for 5 samples"):
        BatchSampler(tokens, 5, lengths=[1, 2])


@pytest.mark.parametrize(("make", "message"), [
    (lambda: setup(norm_test(0.5, "exact")), "the exact form of the norm test needs the true gradient"),
    (lambda: setup(inner_product_test(0.5, 1.0, backup=10)), "keeps 10 past gradients"),
    (lambda: setup(norm_test(0.5), learning_rate="cubic"), "learning_rate = 'cubic'; expected one of keep, linear"),
    (lambda: setup(norm_test(0.5), unit="bytes"), "unit = 'bytes'; expected 'samples' or 'tokens'"),
    (lambda: setup(norm_test(0.5))[2].norms([1.0], 1.0), "needs at least 2 of them"),
    (lambda: setup(norm_test(0.5))[2].average_gradients(), "needs at least 2 of them"),
    (lambda: setup(inner_product_test(0.5, 1.0))[2].norms([1.0, 1.0], 1.0), "needs more than norms; use per_sample"),
    (lambda: setup(norm_test(0.5))[2].per_sample(LOSS, tuple(v[:1] for v in data())), "variance of a batch of one"),
    (lambda: setup(norm_test(0.5))[2].load_state_dict({"rule": "noise scale"}), "the state is that of a noise scale"),
])  # fmt: skip
def test_what_cannot_be_measured_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_step_that_saw_nothing_is_refused():
    _, _, controller = setup(norm_test(0.5))
    with pytest.raises(RuntimeError, match="needs to see gradients first"):
        controller.step()
    with pytest.raises(RuntimeError, match="no parameter has a gradient"):
        controller.micro_batch()
    with pytest.raises(TypeError, match="expected a batch rule such as"):
        BatchSizeController(controller.model, controller.optimizer, 8)


def test_frozen_parameters_and_buffers_are_left_alone():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7).eval(), nn.Linear(7, 3))
    model[0].weight.requires_grad_(False)
    x, y = data()
    found = per_sample_gradients(model, LOSS, (x, y))
    assert len(found.gradients) == 5 and found.losses.shape == (12,)


# ---- several processes ----------------------------------------------------------------------------------------------

WORKER = """
import json, sys, time, warnings
import torch, torch.distributed as dist
from torch import nn
from anisotropic import batching

rank, world, ways, store, state = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], json.loads(sys.argv[5])
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
loss = nn.functional.cross_entropy


def train(way):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    if way == "ddp":
        model = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    rule = batching.norm_test(0.5, start=8, max_batch=32)
    controller = batching.torch.BatchSizeController(model, optimizer, rule, learning_rate="sqrt")
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(400, 5, generator=generator), torch.randint(0, 3, (400,), generator=generator)
    sampler = batching.torch.BatchSampler(controller, 400, seed=2)
    if state:
        controller.load_state_dict(state["controller"]); sampler.load_state_dict(state["sampler"])
    sizes, rows, twice = [], [], ""
    if way == "ddp":
        for part in (0, 4):
            loss(model(x[part:part + 4]), y[part:part + 4]).backward()
        try:
            controller.step()
        except RuntimeError as error:
            twice = str(error)
        controller.skip(count=0)
    for chosen in sampler:
        if rank == world - 1:
            time.sleep(0.05)
        batch = x[chosen], y[chosen]
        optimizer.zero_grad()
        if way == "per_sample":
            controller.per_sample(loss, batch)
        else:
            loss(model(batch[0]), batch[1]).backward()
            if way == "average":
                controller.average_gradients()
        optimizer.step()
        rows.append(chosen)
        sizes.append(controller.step())
        if len(sizes) == 6:
            break
    weights = float(sum(p.detach().double().sum() for p in model.parameters()))
    return {"sizes": sizes, "rows": rows, "weights": weights, "lr": controller.learning_rates, "twice": twice,
            "state": {"controller": controller.state_dict(), "sampler": sampler.state_dict()}}


print(json.dumps({way: train(way) for way in ways.split()}))
dist.destroy_process_group()
"""
WAYS = ["ddp", "per_sample", "average"]


def launch(folder, world, ways, state=None):
    """What each rank found, for each way; a process imports torch once for all of them."""
    script = folder / "worker.py"
    script.write_text(textwrap.dedent(WORKER))
    arguments = [str(world), " ".join(ways), str(folder / f"store-{world}"), json.dumps(state or {})]
    running = [
        subprocess.Popen([sys.executable, script, str(rank), *arguments], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE) for rank in range(world)
    ]  # fmt: skip
    found = []
    for process in running:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        found.append(json.loads(out.splitlines()[-1]))
    return {way: [ranks[way] for ranks in found] for way in ways}


@pytest.fixture(scope="module")
def four_ranks(tmp_path_factory):
    return launch(tmp_path_factory.mktemp("ranks"), 4, WAYS)


@pytest.mark.parametrize("way", WAYS)
def test_all_ranks_take_the_same_batch_at_the_same_step(four_ranks, tmp_path, way):
    """One rank is late at every step; no row is used twice, and the model stays the same everywhere."""
    ranks = four_ranks[way]
    assert all(r["sizes"] == ranks[0]["sizes"] and r["lr"] == ranks[0]["lr"] for r in ranks)
    assert max(ranks[0]["sizes"]) > 8 and all(size % 4 == 0 for size in ranks[0]["sizes"])
    assert max(r["weights"] for r in ranks) - min(r["weights"] for r in ranks) < 1e-6
    assert way != "ddp" or "averaged gradients more than once since the last step()" in ranks[0]["twice"]
    used = [row for r in ranks for part in r["rows"] for row in part]
    assert len(used) == len(set(used)) == ranks[0]["state"]["controller"]["samples"]
    if way == "per_sample":
        _, _, lone = setup(norm_test(0.5, start=8, max_batch=32))
        generator = torch.Generator().manual_seed(1)
        x, y = torch.randn(400, 5, generator=generator), torch.randint(0, 3, (400,), generator=generator)
        first = next(iter(BatchSampler(lone, 400, seed=2)))
        lone.per_sample(LOSS, (x[first], y[first]))
        assert -(-lone.step() // 4) * 4 == ranks[0]["sizes"][0], "variances are those of the whole batch"
        more = launch(tmp_path, 1, [way], ranks[0]["state"])[way][0]
        assert not set(used) & {row for part in more["rows"] for row in part}, "resumed on another number of ranks"
        assert more["state"]["controller"]["steps"] > 6 and more["sizes"][0] >= ranks[0]["sizes"][-1]


def test_the_public_names_are_there():
    assert batching.torch.BatchSizeController is BatchSizeController
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert batching.torch.BatchSampler is BatchSampler
