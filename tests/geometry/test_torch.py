"""R_med of PyTorch models: second derivatives against finite differences, shortcuts against entries, refusals."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from anisotropic.geometry import exact_entries, match_by_loss, r_med, torch as geometry
from anisotropic.geometry.torch import graph as graph_module
from anisotropic.geometry.torch.graph import LossGraph

torch.set_num_threads(1)


class TokenModel(nn.Module):
    """Embedding, PyTorch's own encoder, output layer; as a user would write it."""

    def __init__(self, tied=False):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 12, 0.1, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 11, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, x):
        return self.head(self.encoder(self.embed(x)))


def token_loss(logits, y):
    return F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=0)


@pytest.fixture
def tokens():
    torch.manual_seed(0)
    x, y = torch.randint(0, 11, (3, 4)), torch.randint(0, 11, (3, 4))
    return TokenModel().eval(), (x, y)


@pytest.fixture
def mlp():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(20, 12), nn.Tanh(), nn.Linear(12, 7), nn.SiLU(), nn.Linear(7, 5))
    return model, (torch.randn(9, 20), torch.randint(0, 5, (9,)))


def entrywise(model, loss, batch, name):
    graph = LossGraph(model, loss, batch, [name], torch.float64)
    return exact_entries(graph.product(name), graph.parameters[name].numel())


def test_products_equal_fourth_order_differences_through_layer_norm(tokens):
    """v^T H v from five values of the loss, along random directions in layers in front of and behind LayerNorm."""
    model, batch = tokens
    for name in ("layers.0.self_attn.in_proj_weight", "layers.1.linear1.weight", "layers.0.norm2.weight"):
        name = f"encoder.{name}"
        graph = LossGraph(model, token_loss, batch, [name], torch.float64)
        v = np.random.default_rng(0).standard_normal(graph.parameters[name].numel())
        v /= np.linalg.norm(v)
        step, values = 1e-2, []
        for k in (-2, -1, 0, 1, 2):
            moved = torch.as_tensor(k * step * v).reshape(graph.parameters[name].shape)
            parameters = {n: p.detach() + moved if n == name else p.detach() for n, p in graph.parameters.items()}
            values.append(float(graph_module.evaluate(model, token_loss, batch, parameters, torch.float64)[1]))
        difference = np.dot(values, [-1, 16, -30, 16, -1]) / (12 * step**2)
        assert v @ graph.product(name)(v) == pytest.approx(difference, rel=1e-6)


def test_diagonal_equals_the_dense_hessian(mlp):
    model, (x, y) = mlp
    model, x = model.double(), x.double()
    found = geometry.hessian_diagonal(model, F.cross_entropy, (x, y), ["0.weight", "2.weight", "2.bias", "4.weight"])
    for name, diagonal in found.items():
        def loss_of(w, name=name):
            return F.cross_entropy(torch.func.functional_call(model, {name: w}, (x,)), y)

        weight = dict(model.named_parameters())[name].detach()
        dense = torch.autograd.functional.hessian(loss_of, weight).reshape(weight.numel(), -1)
        assert np.abs(diagonal.ravel() - dense.diagonal().numpy()).max() <= 1e-10 * np.abs(diagonal).max()


@pytest.mark.parametrize(
    ("loss", "method"),
    [
        (F.cross_entropy, "output layer"),
        (nn.CrossEntropyLoss(reduction="sum", label_smoothing=0.2), "output layer"),
        (nn.CrossEntropyLoss(weight=torch.tensor([0.1, 1.0, 2.0, 3.0, 0.5], dtype=torch.float64)), "output layer"),
        (lambda z, y: (z**2).mean() + z.sin().mean(), "units"),
        (lambda z, y: (z @ z.T).square().mean(), "entries"),
    ],
)
def test_every_layer_of_an_mlp_is_exact_whatever_the_loss(mlp, loss, method):
    model, batch = mlp
    found = geometry.r_med(model, loss, batch)
    if method == "entries":                   # this loss couples the samples: no shortcut, small layers entry by entry
        assert {f.method for f in found.values()} == {"exact"}
    else:
        assert [f.method for f in found.values()] == ["units", "units", method]
    for name, f in found.items():
        direct = r_med(entrywise(model, loss, batch, name))
        assert f.maximum == pytest.approx(direct.maximum, rel=1e-10, abs=1e-18)
        assert f.median == pytest.approx(direct.median, rel=1e-9, abs=1e-14)


def test_token_local_layers_are_found_by_asking_the_loss(tokens):
    model, batch = tokens
    names = ["head.weight", "encoder.layers.1.linear1", "encoder.layers.1.linear2", "encoder.layers.0.linear1", "embed"]
    found = geometry.r_med(model, token_loss, batch, names)
    methods = {name: f.method for name, f in found.items()}
    assert methods["head.weight"] == "output layer"
    assert methods["encoder.layers.1.linear1.weight"] == methods["encoder.layers.1.linear2.weight"] == "units"
    assert methods["encoder.layers.0.linear1.weight"] == methods["embed.weight"] == "exact"
    for name in ("head.weight", "encoder.layers.1.linear1.weight"):
        diagonal = geometry.hessian_diagonal(model, token_loss, batch, [name])[name].ravel()
        direct = entrywise(model, token_loss, batch, name)
        assert np.abs(diagonal - direct).max() <= 1e-10 * np.abs(direct).max()


def test_shared_weights_get_no_shortcut():
    torch.manual_seed(0)
    model, batch = TokenModel(tied=True).eval(), (torch.randint(0, 11, (3, 4)), torch.randint(0, 11, (3, 4)))
    (name,) = [n for n, p in model.named_parameters() if p is model.head.weight]
    found = geometry.r_med(model, token_loss, batch, [name])[name]
    direct = r_med(entrywise(model, token_loss, batch, name))
    assert found.method == "exact" and found.value == pytest.approx(direct.value, rel=1e-9)


def test_large_layer_is_estimated_with_an_interval_that_holds(tokens):
    model, batch = tokens
    name = "encoder.layers.0.linear1"
    options = {"entries": 30, "probes": 24, "exact": 8}
    found = geometry.r_med(model, token_loss, batch, name, **options)[f"{name}.weight"]
    truth = r_med(entrywise(model, token_loss, batch, f"{name}.weight")).value
    assert found.method == "subset" and found.evaluated == 38
    assert found.interval[0] <= truth <= found.interval[1]


def test_absent_tokens_are_structural_zeros(tokens):
    model, (x, y) = tokens
    found = geometry.r_med(model, token_loss, (x.clamp(max=3), y), ["embed.weight"])["embed.weight"]
    absent = 11 - len(x.clamp(max=3).unique())
    assert math.isnan(found.value) and found.zeros == 8 * absent >= 56


def test_convolutional_net_in_training_mode_without_dropout_is_left_as_it_was():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 4))
    before = [p.clone() for p in model.parameters()]
    found = geometry.r_med(model, nn.CrossEntropyLoss(), (torch.randn(6, 1, 8, 8), torch.randint(0, 4, (6,))))
    assert found["0.weight"].method == "exact" and found["4.weight"].method == "output layer"
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, model.parameters(), strict=True))
    assert model.training and not model[4]._forward_hooks


def refusal(change, tokens):
    model, (x, y) = tokens
    loss, layers, options = token_loss, None, {}
    if change == "dropout":
        model.train()
    elif change == "batch norm":
        model, x, loss = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), torch.randn(4, 3), lambda z, y: z.sum()
    elif change == "functional dropout":
        loss = lambda z, y: F.dropout(z, 0.5).square().mean()  # noqa: E731
    elif change == "vector loss":
        loss = lambda z, y: z.sum(dim=-1)  # noqa: E731
    elif change == "no second derivative":
        loss = lambda z, y: F.multi_margin_loss(z[:, 0], y[:, 0])  # noqa: E731
    elif change == "float loss":
        loss = lambda z, y: 1.0  # noqa: E731
    elif change == "NaN":
        model, x, y, loss = nn.Linear(2, 2), torch.tensor([[1.0, math.nan]]), torch.zeros(1, 2), F.mse_loss
    elif change == "infinite loss":
        loss = lambda z, y: z.sum() / 0.0  # noqa: E731
    elif change == "half":
        model.bfloat16()
    elif change == "frozen":
        model.head.weight.requires_grad_(False)
        layers = ["head.weight"]
    elif change == "unused":
        loss, layers = (lambda z, y: z.sum()), ["spare.weight"]
        model.spare = nn.Linear(2, 2)
    elif change == "typo":
        layers = ["encoder.layers.1.linaer1.weight"]
    elif change == "batch":
        return model, loss, x, layers, options
    return model, loss, (x, y), layers, options


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("dropout", r"is in training mode and drops units .*model.eval\(\)"),
        ("batch norm", "batch norm in training mode, which couples the samples"),
        ("functional dropout", "the loss is random: two passes"),
        ("vector loss", r"the loss is \(3, 4\); expected one number"),
        ("no second derivative", "has no second derivative in PyTorch .*multi_margin_loss_backward"),
        ("float loss", "the loss is float; expected one number"),
        ("NaN", "the batch's input has 1 of 2 entries that are not finite"),
        ("infinite loss", "the loss is -?inf on this batch"),
        ("half", r"parameter 'embed.weight' and \d+ more are half precision"),
        ("frozen", "parameter 'head.weight' is frozen"),
        ("unused", "does not depend on parameter 'spare.weight'"),
        ("typo", "no parameter or module 'encoder.layers.1.linaer1.weight'.*mean 'encoder.layers.1.linear1.weight'"),
        ("batch", r"batch is a Tensor; expected a pair \(x, y\)"),
    ],
)
def test_refusals(change, message, tokens):
    model, loss, batch, layers, options = refusal(change, tokens)
    with pytest.raises(ValueError, match=message):
        geometry.r_med(model, loss, batch, layers, **options)


def test_memory_is_refused_before_it_is_taken(mlp, monkeypatch):
    model, batch = mlp
    monkeypatch.setattr(graph_module, "free_memory", lambda device: 1000)
    with pytest.raises(MemoryError, match=r"need about .* GB, and 1e-06 GB are free on cpu; pass fewer samples"):
        geometry.r_med(model, F.cross_entropy, batch)


def test_frozen_and_unused_matrices_are_named(mlp):
    model, batch = mlp
    model[0].weight.requires_grad_(False)
    with pytest.warns(UserWarning, match="left out, since frozen: 0.weight"):
        assert list(geometry.r_med(model, F.cross_entropy, batch)) == ["2.weight", "4.weight"]
    model[0].weight.requires_grad_(True)
    model.register_module("spare", None)
    model.spare = nn.Linear(2, 2)
    model.forward = lambda x: model[:5](x)
    with pytest.warns(UserWarning, match="the loss on this batch does not depend on them: spare.weight"):
        geometry.r_med(model, F.cross_entropy, batch)


def test_single_precision_on_request(mlp):
    model, batch = mlp
    single = geometry.r_med(model, F.cross_entropy, batch, ["2.weight"], dtype=torch.float32)["2.weight"]
    double = geometry.r_med(model, F.cross_entropy, batch, ["2.weight"])["2.weight"]
    assert single.value != double.value and single.value == pytest.approx(double.value, rel=1e-3)


def train(model, optimizer, batch, watch, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(batch[0]), batch[1]).backward()
        optimizer.step()
        watch.step()
        if watch.finished:
            break


def test_tracks_are_matched_at_equal_loss():
    runs = []
    for make in (lambda p: torch.optim.SGD(p, 0.05, momentum=0.9), lambda p: torch.optim.Adam(p, 0.003)):
        torch.manual_seed(2)
        model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.0), nn.Tanh(), nn.Linear(8, 3))
        batch = torch.randn(40, 6), torch.randint(0, 3, (40,))
        watch = geometry.track(model, F.cross_entropy, batch, every=1, levels=[1.05, 1.0])
        train(model, make(model.parameters()), batch, watch, 600)
        assert watch.finished and model.training and watch.trajectory.interval.shape == (2, 2, 2)
        runs.append(watch.trajectory)
    matches = match_by_loss(*runs, [1.05, 1.0])
    assert [m.log_ratio.shape for m in matches] == [(2,), (2,)]
    final = geometry.r_med(model.eval(), F.cross_entropy, batch)
    assert runs[1].r_med[-1] == pytest.approx([f.value for f in final.values()], rel=1e-6)


def test_track_measures_at_every_call_without_levels(mlp):
    model, batch = mlp
    watch = geometry.track(model, F.cross_entropy, batch, ["2.weight"], every=2, smooth=2)
    train(model, torch.optim.SGD(model.parameters(), 0.1), batch, watch, 4)
    assert watch.trajectory.steps.tolist() == [2, 4] and not watch.finished
    with pytest.raises(ValueError, match="every = 0"):
        geometry.track(model, F.cross_entropy, batch, every=0)


def test_anisotropy_of_a_linear_model_with_known_noise():
    """Least squares at w = 0 with y independent of x: sigma_j^2 = 4 s_j var(y), H = 2 diag(s) for orthogonal inputs."""
    torch.manual_seed(3)
    s = torch.logspace(0, -3, 50, dtype=torch.float64)
    model = nn.Linear(50, 1, bias=False).double()
    nn.init.zeros_(model.weight)

    def draw():
        return torch.randn(4000, 50, dtype=torch.float64) * s.sqrt(), torch.randn(4000, 1, dtype=torch.float64)

    report = geometry.anisotropy(model, F.mse_loss, [draw() for _ in range(24)], level=1e-3)
    layer = report.layers["weight"]
    truth = float(s.sqrt().sum() / (math.sqrt(50) * s.sum().sqrt()))
    assert layer.noise_interval[0] < truth < layer.noise_interval[1] and layer.noise_interval[1] < 1.5 * truth
    assert layer.noise_l1 == pytest.approx(2 * float(s.sqrt().sum()), rel=0.1)
    assert layer.smoothness_ratio == pytest.approx(float(s.mean() / s.max()), rel=0.05)
    assert layer.smoothness_interval == (layer.smoothness_ratio, layer.smoothness_ratio)
    assert report.batch_size == 4000
    assert layer.row_sum == pytest.approx(layer.size * layer.r_med.mean, rel=0.1)
    assert "promise no speed" in " ".join(str(report).split()) and "noise is uneven" not in report.advice


def test_bad_reports(mlp):
    model, (x, y) = mlp
    with pytest.raises(ValueError, match="2 batches and 8 secants; expected at least 3 batches"):
        geometry.anisotropy(model, F.cross_entropy, [(x, y)] * 2)
    with pytest.raises(ValueError, match=r"the batches have \[8, 9\] samples"):
        geometry.anisotropy(model, F.cross_entropy, [(x, y), (x, y), (x[1:], y[1:])])


def test_missing_torch_is_a_sentence_with_the_pip_line():
    code = "import sys; sys.modules['torch'] = None; import anisotropic.geometry as g; g.r_med([1.0]); g.torch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'anisotropic[torch]'" in done.stderr and done.returncode == 1
