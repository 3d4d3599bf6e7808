"""Models as libraries write them: records with logits, dictionaries, Conv1D, tied weights; and what it all costs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from anisotropic.batching import norm_test
from anisotropic.batching.torch import BatchSizeController
from anisotropic.geometry import exact_entries, r_med, torch as geometry
from anisotropic.geometry.torch import graph as graph_module, shortcuts
from anisotropic.geometry.torch.graph import LossGraph

torch.set_num_threads(1)


@dataclass
class ModelOutput:
    """What a Hugging Face model returns, as far as it matters here."""

    logits: torch.Tensor
    loss: torch.Tensor | None = None


class Conv1D(nn.Module):
    """x W + b with W (inputs, units), as in GPT-2."""

    def __init__(self, units, inputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, units) / inputs**0.5)
        self.bias = nn.Parameter(torch.zeros(units))

    def forward(self, x):
        return torch.addmm(self.bias, x.flatten(0, -2), self.weight).view(*x.shape[:-1], -1)


class ByHand(nn.Module):
    """x W^T without PyTorch's Linear."""

    def __init__(self, units, inputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(units, inputs) / inputs**0.5)

    def forward(self, x):
        return torch.einsum("...i,ui->...u", x, self.weight)


class Scaled(nn.Module):
    """One matrix, but no linear map of the input."""

    def __init__(self, units, inputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, units))

    def forward(self, x):
        return (x @ self.weight).tanh()


class LanguageModel(nn.Module):
    """Embedding, one causal mixing of tokens, a feed-forward part, logits in a record."""

    def __init__(self, tied=False, size=8, words=11):
        super().__init__()
        self.embed = nn.Embedding(words, size)
        self.up, self.down = Conv1D(12, size), Conv1D(size, 12)
        self.hand, self.scaled = ByHand(size, size), Scaled(size, size)
        self.lm_head = nn.Linear(size, words, bias=False)
        if tied:
            self.lm_head.weight = self.embed.weight

    def forward(self, input_ids, attention_mask=None, labels=None):
        x = self.embed(input_ids)
        mask = 1.0 if attention_mask is None else attention_mask.unsqueeze(-1).to(x.dtype)
        x = self.scaled(x + (x * mask).cumsum(dim=1) / 4)
        x = self.hand(x + self.down(F.silu(self.up(x))))
        logits = self.lm_head(x)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        return ModelOutput(logits, loss)


def shifted(output, y):
    return F.cross_entropy(output.logits[:, :-1].flatten(0, 1), y[:, 1:].flatten())


@pytest.fixture
def language():
    torch.manual_seed(0)
    return LanguageModel(), torch.randint(0, 11, (3, 5))


def entrywise(model, loss, batch, name):
    graph = LossGraph(model, loss, batch, [name], torch.float64)
    return exact_entries(graph.product(name), graph.parameters[name].numel())


def test_logits_in_a_record_and_layers_written_by_hand_have_their_shortcuts(language):
    model, ids = language
    methods = {name: found.method for name, found in geometry.r_med(model, shifted, (ids, ids)).items()}
    assert methods["lm_head.weight"] == "output layer"
    assert methods["up.weight"] == methods["down.weight"] == methods["hand.weight"] == "units"
    assert methods["scaled.weight"] == methods["embed.weight"] == "exact"
    names = ["lm_head.weight", "up.weight", "up.bias", "down.weight", "hand.weight"]
    found = geometry.hessian_diagonal(model, shifted, (ids, ids), names)
    assert found["up.weight"].shape == (8, 12)
    for name in names:
        direct = entrywise(model, shifted, (ids, ids), name)
        assert np.abs(found[name].ravel() - direct).max() <= 1e-10 * np.abs(direct).max()


def test_a_dictionary_is_a_batch(language):
    """All ways to say the same loss give the same diagonal."""
    model, ids = language
    mask = torch.ones_like(ids)
    mask[0, 3:] = 0
    whole = {"input_ids": ids, "attention_mask": mask, "labels": ids}
    wanted = geometry.r_med(model, shifted, ({"input_ids": ids, "attention_mask": mask}, ids), ["up"])["up.weight"]
    own = geometry.r_med(model, lambda output, batch: output.loss, whole, ["up"])["up.weight"]
    positional = geometry.r_med(model, shifted, ((ids, mask), ids), ["up"])["up.weight"]
    for found in (own, positional):
        assert found.value == pytest.approx(wanted.value, rel=1e-10) and found.method == "units"
    assert geometry.r_med(model, shifted, (ids, ids), ["up"])["up.weight"].value != pytest.approx(wanted.value)


def test_a_model_that_takes_a_dictionary_or_a_pair_as_one_argument_gets_it():
    class Features(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 3)

        def forward(self, x):
            a, b = (x["a"], x["b"]) if isinstance(x, dict) else x
            return self.inner(torch.cat([a, b], dim=1))

    torch.manual_seed(0)
    model, a, b, y = Features(), torch.randn(6, 3), torch.randn(6, 1), torch.randint(0, 3, (6,))
    wanted = geometry.r_med(model.inner, F.cross_entropy, (torch.cat([a, b], dim=1), y))["weight"]
    for x in ({"a": a, "b": b}, (a, b)):
        assert geometry.r_med(model, F.cross_entropy, (x, y))["inner.weight"].value == pytest.approx(wanted.value)
        controller = BatchSizeController(model, torch.optim.SGD(model.parameters(), 0.1), norm_test(0.3, start=6))
        controller.per_sample(F.cross_entropy, (x, y))
        assert controller.step() >= 6


def test_arithmetic_in_float32_inside_a_model_is_reckoned_with():
    """A norm in float32, as Llama has it: rounding is no coupling of samples, nor a curvature where there is none."""

    class Normed(nn.Module):
        def __init__(self, inside):
            super().__init__()
            self.first, self.last, self.inside = nn.Linear(6, 8), nn.Linear(8, 5), inside

        def forward(self, x):
            h = self.first(x).tanh().to(self.inside)
            return self.last((h / h.square().mean(dim=-1, keepdim=True).sqrt()).to(x.dtype))

    torch.manual_seed(0)
    model, batch = Normed(torch.float32), (torch.randn(9, 6), torch.randint(0, 5, (9,)))
    batch[0][:, 2] = 0.0
    coarse = geometry.r_med(model, F.cross_entropy, batch)
    model.inside = torch.float64
    fine = geometry.r_med(model, F.cross_entropy, batch)
    for name in ("first.weight", "last.weight"):
        assert coarse[name].method == fine[name].method and coarse[name].zeros == fine[name].zeros
        assert coarse[name].value == pytest.approx(fine[name].value, rel=1e-4)
    assert fine["first.weight"].zeros == 8
    graph = LossGraph(model, F.cross_entropy, batch, ["first.weight"], torch.float64)
    assert graph.eps == torch.finfo(torch.float64).eps


def test_reports_and_tracks_take_dictionaries(language):
    model, ids = language
    batches = [{"input_ids": i, "labels": i} for i in torch.randint(0, 11, (4, 3, 5))]
    report = geometry.anisotropy(model, lambda output, batch: output.loss, batches, ["up"])
    assert report.batch_size == 3 and list(report.layers) == ["up.weight"]
    watch = geometry.track(model, lambda output, batch: output.loss, batches[0], ["up"], every=1)
    assert watch.step()["up.weight"].value == pytest.approx(report.layers["up.weight"].r_med.value)
    batches[1] = {k: v[:2] for k, v in batches[1].items()}
    with pytest.raises(ValueError, match=r"the batches have \[2, 3\] samples"):
        geometry.anisotropy(model, lambda output, batch: output.loss, batches, ["up"])


def test_what_is_no_batch_and_what_is_not_finite_in_one_is_said(language):
    model, ids = language
    with pytest.raises(ValueError, match=r"batch is a Tensor; .*or a dictionary, used as loss\(model\(\*\*batch\)"):
        geometry.r_med(model, shifted, ids)
    bad = {"input_ids": ids, "attention_mask": torch.full(ids.shape, torch.nan)}
    with pytest.raises(ValueError, match="the batch's input 'attention_mask' has 15 of 15 entries that are not finite"):
        geometry.r_med(model, shifted, (bad, ids))


def test_both_names_of_a_tied_weight_mean_the_one_weight():
    torch.manual_seed(0)
    model, ids = LanguageModel(tied=True), torch.randint(0, 11, (3, 5))
    found = [geometry.r_med(model, shifted, (ids, ids), [name]) for name in ("lm_head.weight", "lm_head", "embed")]
    assert found[0] == found[1] == found[2] and list(found[0]) == ["embed.weight"]
    direct = r_med(entrywise(model, shifted, (ids, ids), "embed.weight"))
    assert found[0]["embed.weight"].value == pytest.approx(direct.value, rel=1e-9)
    assert found[0]["embed.weight"].method == "exact"


def test_the_controller_takes_dictionaries(language):
    model, ids = language
    model.scaled = nn.Identity()
    sizes = []
    for loss, batch in ((shifted, (ids, ids)), (lambda output, batch: output.loss, {"input_ids": ids, "labels": ids})):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        controller = BatchSizeController(model, optimizer, norm_test(0.3, start=3))
        value = controller.per_sample(loss, batch)
        assert float(value.detach()) == pytest.approx(float(shifted(model(ids), ids).detach()), rel=1e-5)
        sizes.append(controller.step())
    assert sizes[0] == sizes[1] > 3


# ---- cost ------------------------------------------------------------------------------------------------------------


def test_a_wide_layer_keeps_one_number_a_row_and_unit():
    """512 units and 768 rows: one array of 3 MB. Keeping every product had taken 1.6 GB."""
    code = """
        import resource, torch
        from torch import nn
        import anisotropic.geometry.torch as geometry
        torch.set_num_threads(1)
        model = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 10))
        batch = torch.randn(768, 64), torch.randint(10, (768,))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(geometry.r_med(model, nn.functional.cross_entropy, batch, ["0.weight"])["0.weight"].method)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    method, kilobytes = done.stdout.split()
    assert method == "units" and int(kilobytes) < 500_000


def test_memory_of_the_units_is_refused_before_it_is_taken(monkeypatch):
    torch.manual_seed(0)
    model, batch = nn.Linear(4, 6), (torch.randn(5, 4), torch.randn(5, 6))
    graph = LossGraph(model, F.mse_loss, batch, ["weight"], torch.float64)
    monkeypatch.setattr(graph_module, "free_memory", lambda device: 500)
    with pytest.raises(MemoryError, match="second derivatives of this batch need about 9.6e-07 GB"):
        shortcuts.unit_curvature(graph.captured[""])


def test_units_are_worth_ten_estimates():
    """40 units against 10 times the products of an estimate."""
    torch.manual_seed(0)
    model, batch = nn.Linear(3, 40), (torch.randn(5, 3), torch.randn(5, 40))
    loss = lambda z, y: (z - y).pow(4).mean()  # noqa: E731
    few, enough = ({"entries": 1, "probes": 2, "exact": exact} for exact in (0, 1))
    assert geometry.r_med(model, loss, batch, **enough)["weight"].method == "units"
    assert geometry.r_med(model, loss, batch, **few)["weight"].method == "subset"
    direct = entrywise(model, loss, batch, "weight")
    found = geometry.hessian_diagonal(model, loss, batch, ["weight"])["weight"]
    assert np.abs(found.ravel() - direct).max() <= 1e-10 * np.abs(direct).max()


def test_more_entries_than_a_layer_has_mean_all_of_them():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 4))
    batch = torch.randn(6, 1, 8, 8), torch.randint(0, 4, (6,))
    found = geometry.r_med(model, F.cross_entropy, batch, entries=1000)
    assert found["0.weight"].evaluated == 27 and found["0.weight"].method == "exact"
