"""The controller in loops as people write them: clipping, loss scaling, schedulers, last windows, loader processes."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.utils.checkpoint
from torch import nn
from torch.optim import lr_scheduler

from anisotropic.batching import norm_test
from anisotropic.batching.torch import BatchSampler, BatchSizeController, NonFiniteGradient

torch.set_num_threads(1)
LOSS = nn.functional.cross_entropy


def setup(rule, seed=0, lr=0.1, **options):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    return model, optimizer, BatchSizeController(model, optimizer, rule, **options)


def data(n=12):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 5, generator=generator), torch.randint(0, 3, (n,), generator=generator)


def accumulate(model, controller, x, y, parts, scale=1.0):
    model.zero_grad()
    for a, b in zip(x.chunk(parts), y.chunk(parts), strict=True):
        (scale * LOSS(model(a), b) / parts).backward()
        controller.micro_batch()


# ---- what happens to the gradients after they were seen --------------------------------------------------------------


@pytest.mark.parametrize("change", ["clip", "unscale", "zero", "optimizer"])
def test_micro_batches_are_remembered_as_they_were(change):
    """The decision is that of a loop which decides at once."""
    model, _, controller = setup(norm_test(0.3, start=12))
    accumulate(model, controller, *data(), 4)
    wanted = controller.step()
    assert wanted > 12
    model, optimizer, controller = setup(norm_test(0.3, start=12))
    accumulate(model, controller, *data(), 4, scale=1024.0 if change == "unscale" else 1.0)
    if change == "clip":
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
    elif change == "unscale":
        for p in model.parameters():
            p.grad /= 1024.0
    elif change == "zero":
        model.zero_grad()
    else:
        optimizer.step()
    assert controller.step() == wanted


def test_a_clipped_loop_stays_at_the_size_of_its_data():
    """Feed, clip, optimizer.step, controller.step for 12 steps: the same batches as with the decision before clipping.

    Reading the clipped gradient again had let the batch grow to 2,848,781.
    """

    def train(early):
        torch.manual_seed(0)
        x = torch.randn(600, 10)
        y = (x[:, 0] + 0.5 * torch.randn(600) > 0).long()
        model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 2))
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        controller, sizes = BatchSizeController(model, optimizer, norm_test(0.9, start=8)), []
        for _ in range(12):
            i = torch.randperm(600)[: min(controller.batch_size, 600)]
            optimizer.zero_grad()
            for part in i.chunk(4):
                (LOSS(model(x[part]), y[part]) / 4).backward()
                controller.micro_batch()
            if early:
                controller.step()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            if not early:
                controller.step()
            sizes.append(controller.batch_size)
        return sizes

    assert train(early=False) == train(early=True)
    assert max(train(early=False)) < 1000


def test_parameters_may_get_their_first_gradient_in_a_later_micro_batch_or_be_unfrozen():
    model, _, controller = setup(norm_test(0.3, start=12))
    model[0].weight.requires_grad_(False)
    x, y = data()
    (LOSS(model(x[:6]), y[:6]) / 2).backward()
    controller.micro_batch()
    model[0].weight.requires_grad_(True)
    (LOSS(model(x[6:]), y[6:]) / 2).backward()
    controller.micro_batch()
    assert controller.step() >= 12
    controller.per_sample(LOSS, (x, y))
    assert model[0].weight.grad is not None and controller.step() >= 12


def test_gradients_set_to_none_between_micro_batches_are_noticed():
    model, _, controller = setup(norm_test(0.3, start=12))
    x, y = data()
    (LOSS(model(x[:6]), y[:6]) / 2).backward()
    controller.micro_batch()
    model.zero_grad()
    (LOSS(model(x[6:]), y[6:]) / 2).backward()
    with pytest.raises(RuntimeError, match="replaced since the last micro-batch.*only once a step"):
        controller.micro_batch()


# ---- windows that are not full ---------------------------------------------------------------------------------------


def test_micro_batches_of_unequal_size_show_the_variance_of_one_sample():
    """E V = tr Sigma for independent samples: mean of 4,000 draws within 4 standard errors (1 in 15,000 by chance)."""
    sizes = [1, 2, 5]
    generator = torch.Generator().manual_seed(3)
    model = nn.Linear(3, 1, bias=False)
    sigma, truth = torch.tensor([1.0, 2.0, 0.5]), 5.25
    controller = BatchSizeController(model, torch.optim.SGD(model.parameters(), 0.1), norm_test(0.5, start=8))
    found = []
    for _ in range(4000):
        model.zero_grad()
        for n in sizes:
            x = torch.randn(n, 3, generator=generator) * sigma + 1.0
            (model(x).mean() / len(sizes)).backward()
            controller.micro_batch(count=n)
        seen = controller._window.seen(0)
        assert seen.used == pytest.approx(9 / (1 + 1 / 2 + 1 / 5))
        found.append((seen.square - 3.0 - seen.variance / seen.used, seen.variance))
        controller._forget()
    bias, variance = torch.tensor(found, dtype=torch.float64).T
    assert abs(variance.mean() - truth) < 4 * variance.std() / math.sqrt(4000)
    assert abs(bias.mean()) < 4 * bias.std() / math.sqrt(4000)


def test_a_last_window_of_one_micro_batch_is_counted_and_decides_nothing():
    model, _, controller = setup(norm_test(0.3, start=12, max_batch=24))
    x, y = data()
    accumulate(model, controller, x, y, 4)
    assert controller.step() == 24
    model.zero_grad()
    (LOSS(model(x[:3]), y[:3]) / 4).backward()
    controller.micro_batch(count=3)
    assert controller.step() == 24
    assert (controller.steps, controller.samples) == (2, 15)
    model.zero_grad()
    (LOSS(model(x[:3]), y[:3]) * math.inf).backward()
    controller.micro_batch(count=3)
    with pytest.raises(NonFiniteGradient, match="step 3"):
        controller.step()


def test_a_loop_with_one_micro_batch_a_step_is_told_so():
    model, _, controller = setup(norm_test(0.3, start=12))
    accumulate(model, controller, *data(), 1)
    with pytest.warns(UserWarning, match="one micro-batch shows no spread, so the batch stays.*at least 2"):
        assert controller.step() == 12


def test_counts_for_all_micro_batches_or_for_none():
    model, _, controller = setup(norm_test(0.3, start=12))
    x, y = data()
    LOSS(model(x), y).backward()
    controller.micro_batch(count=6)
    with pytest.raises(ValueError, match="count was given for some micro-batches"):
        controller.micro_batch()
    with pytest.raises(ValueError, match="count = 0; expected a whole number of at least 1"):
        controller.micro_batch(count=0)


# ---- loss scaling ----------------------------------------------------------------------------------------------------


def scaled_loop(controller, model, optimizer, scaler, steps, order, overflow=()):
    x, y = data()
    for t in range(steps):
        optimizer.zero_grad()
        for k, (a, b) in enumerate(zip(x.chunk(4), y.chunk(4), strict=True)):
            loss = LOSS(model(a), b) / 4
            scaler.scale(loss * math.inf if t in overflow and k == 2 else loss).backward()
            controller.micro_batch()
        if order == "early":
            controller.step()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        scaler.step(optimizer)
        scaler.update()
        if order == "late":
            controller.step()


@pytest.mark.parametrize("order", ["early", "late"])
def test_an_overflow_that_the_scaler_skips_is_routine(order):
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    model, optimizer, controller = setup(norm_test(0.3, start=12, max_batch=24), scaler=scaler)
    before = copy.deepcopy(model.state_dict())
    scaled_loop(controller, model, optimizer, scaler, 2, order, overflow=(0, 1))
    assert all(torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values(), strict=True))
    assert (controller.batch_size, controller.steps, controller.samples, controller.overflows) == (12, 2, 24, 2)
    assert scaler.get_scale() == 2.0**14
    scaled_loop(controller, model, optimizer, scaler, 3, order, overflow=(1,))
    assert (controller.batch_size, controller.overflows) == (24, 3)
    assert not torch.equal(before["0.weight"], model[0].weight)
    state = controller.state_dict()
    _, _, resumed = setup(norm_test(0.3, start=12, max_batch=24))
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state


def test_overflows_without_end_and_without_a_scaler_stop_the_loop():
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    model, optimizer, controller = setup(norm_test(0.3, start=12), scaler=scaler)
    with pytest.raises(NonFiniteGradient, match="step 41 is not finite.*the 40 steps before it: no loss scale cures"):
        scaled_loop(controller, model, optimizer, scaler, 100, "late", overflow=range(100))
    for off in (None, torch.amp.GradScaler("cpu", enabled=False)):
        _, _, controller = setup(norm_test(0.3, start=12), scaler=off)
        controller.norms([math.inf, 1.0], 1.0)
        with pytest.raises(NonFiniteGradient, match="if a GradScaler skips such steps, pass scaler="):
            controller.step()


# ---- learning rates --------------------------------------------------------------------------------------------------

SCHEDULERS = {
    "none": lambda o: None,
    "by hand": lambda o: None,
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2, gamma=0.5),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 20),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.4, total_steps=20, cycle_momentum=False),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 0.5, total_iters=4),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.5, total_iters=2), lr_scheduler.CosineAnnealingLR(o, 20)], [2]
    ),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=1),
}


def rates_used(scheduler, follow, order, steps=8):
    """Learning rates read off the weights (the gradient is 1), and batches whose gradients they moved."""
    weight = nn.Linear(1, 1, bias=False).double()
    optimizer = torch.optim.SGD(weight.parameters(), lr=0.1)
    rule = norm_test(0.5, start=8, max_batch=64, interval=2)
    controller = BatchSizeController(weight, optimizer, rule, learning_rate=follow)
    plan, used, batches = SCHEDULERS[scheduler](optimizer), [], []
    for t in range(steps):
        if scheduler == "by hand":
            for group in optimizer.param_groups:
                group["lr"] = 0.1 / (1 + t)
        before = float(weight.weight.detach())
        weight.weight.grad = torch.ones_like(weight.weight)
        batches.append(controller.batch_size)
        controller.norms([1.0, 1.0], 0.7)
        if order == "early":
            controller.step()
        shown = controller.learning_rates[0]
        optimizer.step()
        used.append(before - float(weight.weight.detach()))
        assert used[-1] == pytest.approx(shown, rel=1e-5)
        if order == "late":
            controller.step()
        if plan is not None:
            plan.step(*([1.0] if scheduler == "ReduceLROnPlateau" else []))
    return used, batches


@pytest.mark.parametrize("order", ["early", "late"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_rates_follow_the_batch_beside_any_scheduler(scheduler, order):
    """Every step uses the scheduler's rate, as without a controller's rule, times the factor of its own batch."""
    plain, _ = rates_used(scheduler, "keep", order)
    used, batches = rates_used(scheduler, "sqrt", order)
    assert len(set(batches)) == 3
    assert used == pytest.approx([rate * math.sqrt(b / 8) for rate, b in zip(plain, batches, strict=True)], rel=1e-5)


@pytest.mark.parametrize(("follow", "factor"), [
    ("keep", 1.0), ("linear", 12.0), ("sqrt", 12**0.5), (lambda batch, start: 1 + batch / start, 13 / 2),
])  # fmt: skip
def test_ways_to_follow_the_batch(follow, factor):
    model, optimizer, controller = setup(norm_test(0.5, start=4), learning_rate=follow)
    controller.norms([1.0, 1.0], 0.5)
    optimizer.step()
    assert controller.step() == 48
    assert controller.learning_rates == [pytest.approx(0.1 * factor)]
    assert optimizer.param_groups[0]["lr"] == 0.1
    _, _, resumed = setup(norm_test(0.5, start=4), learning_rate=follow)
    resumed.load_state_dict(controller.state_dict())
    assert resumed.learning_rates == controller.learning_rates


def test_an_optimizer_that_fails_keeps_its_own_rate():
    model, optimizer, controller = setup(norm_test(0.5, start=4), learning_rate="linear")
    controller.norms([1.0, 1.0], 0.5)
    optimizer.step()
    controller.step()

    def fail():
        raise KeyError

    with pytest.raises(KeyError):
        optimizer.step(fail)
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.1 and controller.learning_rates == [pytest.approx(1.2)]


def test_a_wrapped_optimizer_without_hooks_is_refused_where_rates_follow():
    class Wrapper:
        def __init__(self, optimizer):
            self.param_groups = optimizer.param_groups

    model, optimizer, _ = setup(norm_test(0.5, start=4))
    assert BatchSizeController(model, Wrapper(optimizer), norm_test(0.5, start=4)).learning_rates == [0.1]
    with pytest.raises(TypeError, match="Wrapper takes no hooks around its step.*pass the torch.optim optimizer"):
        BatchSizeController(model, Wrapper(optimizer), norm_test(0.5, start=4), learning_rate="sqrt")


# ---- limits of the batch ---------------------------------------------------------------------------------------------


def test_growth_is_limited_in_a_step_and_by_a_default_cap():
    _, _, controller = setup(norm_test(0.5, start=2), max_growth=1.6)
    sizes = []
    for _ in range(4):
        controller.norms([1.0, 1.0], 1e-3)
        sizes.append(controller.step())
    assert sizes == [3, 4, 6, 9]
    _, _, free = setup(norm_test(0.5, start=2))
    free.norms([1.0, 1.0], 1e-6)
    with pytest.warns(UserWarning, match="reached its default cap of 2048, 1024 times its start.*max_batch="):
        assert free.step() == 2048
    free.norms([1.0, 1.0], 1e-6)
    assert free.step() == 2048
    with pytest.raises(ValueError, match="max_growth = 1; expected a factor above 1, such as 2"):
        setup(norm_test(0.5, start=2), max_growth=1)


# ---- single gradients ------------------------------------------------------------------------------------------------


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(5, 3), nn.Tanh())

    def forward(self, x):
        return torch.utils.checkpoint.checkpoint(self.inner, x, use_reentrant=False)


@pytest.mark.parametrize(("model", "loss", "message"), [
    (nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3)), LOSS, "'1' is a batch norm in training mode, which couples"),
    (nn.Linear(5, 3), nn.CrossEntropyLoss(reduction="none"), r"the loss of one sample has shape \(1,\); expected one"),
    (Checkpointed(), LOSS, "cannot be taken through activation checkpointing"),
], ids=["batch norm", "vector", "checkpoint"])  # fmt: skip
def test_what_has_no_single_gradients_is_refused(model, loss, message):
    controller = BatchSizeController(model, torch.optim.SGD(model.parameters(), 0.1), norm_test(0.3, start=12))
    with pytest.raises(ValueError, match=message):
        controller.per_sample(loss, data())


# ---- loaders with processes ------------------------------------------------------------------------------------------


def loader_run(processes, epochs, stop=None, state=None):
    """Rows of every step of a loop with a DataLoader, and the states after `stop` steps."""
    _, _, controller = setup(norm_test(0.5, start=4, interval=3, max_batch=16))
    sampler = BatchSampler(controller, 64, seed=3)
    if state is not None:
        controller.load_state_dict(state[0])
        sampler.load_state_dict(state[1])
    rows = []
    loader = torch.utils.data.DataLoader(torch.arange(64), batch_sampler=sampler, num_workers=processes)
    for _ in range(epochs):
        for batch in loader:
            rows.append(batch.tolist())
            controller.norms([1.0, 1.0], 0.7)
            controller.step()
            if len(rows) == stop:
                return rows, (controller.state_dict(), sampler.state_dict())
    return rows, (controller.state_dict(), sampler.state_dict())


@pytest.mark.parametrize("processes", [0, 2])
def test_a_resumed_loader_gives_every_row_once(processes):
    """Also with worker processes, which draw batches ahead; each epoch covers the data up to a last partial batch."""
    begin, state = loader_run(processes, 1, stop=5)
    assert state[1]["position"] == sum(map(len, begin))
    rest, last = loader_run(processes, 1, state=state)
    used = sum(begin + rest, [])
    assert len(used) == len(set(used)) and 64 - len(used) < 16
    assert last[1] == {"epoch": 1, "position": 0, "seed": 3}


def test_a_loop_that_breaks_goes_on_with_the_rows_drawn_ahead():
    _, _, controller = setup(norm_test(0.5, start=4, max_batch=4))
    sampler = BatchSampler(controller, 40, seed=3)
    loader = torch.utils.data.DataLoader(torch.arange(40), batch_sampler=sampler, num_workers=2)
    used = []
    for stop in (3, 7):
        for k, batch in enumerate(loader):
            used += batch.tolist()
            controller.norms([1.0, 1.0], 0.7)
            controller.step()
            if k + 1 == stop:
                break
    assert sorted(used) == list(range(40))


def test_a_sampler_has_a_length_and_moves_on_where_nobody_counts_steps():
    _, _, controller = setup(norm_test(0.5, start=7))
    sampler = BatchSampler(controller, 40, seed=3)
    assert len(sampler) == 5 == len(list(sampler))
    assert sampler.state_dict() == {"epoch": 1, "position": 0, "seed": 3}
    first, second = list(sampler), list(sampler)
    assert first != second
    _, _, tokens = setup(norm_test(0.5, start=10), unit="tokens")
    packed = BatchSampler(tokens, 5, lengths=[4, 4, 4, 9, 3], shuffle=False)
    assert len(packed) == len(list(packed)) == 4
