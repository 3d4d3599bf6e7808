"""The pieces that the studies on language models share: optimizers, text, and which tokens count."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "studies"))

import _instructions
import _transformer as lm
import instruction_tuning
import language_model


def one_weight(value):
    weight = torch.nn.Parameter(torch.tensor(value, dtype=torch.float64))
    return weight, lambda gradient: setattr(weight, "grad", torch.tensor(gradient, dtype=torch.float64))


def test_adagrad_norm_and_sign_descent_are_one_liners():
    weight, gradient = one_weight([1.0, 2.0])
    method = lm.optimizer("adagrad_norm", [weight], 0.5)
    for g in ([3.0, 4.0], [0.0, 12.0]):
        gradient(g)
        method.step()
    expected = np.array([1.0, 2.0]) - 0.5 * np.array([3.0, 4.0]) / 5 - 0.5 * np.array([0.0, 12.0]) / 13
    assert weight.detach().numpy() == pytest.approx(expected)
    weight, gradient = one_weight([1.0, -1.0, 0.0])
    gradient([5.0, -0.1, 0.0])
    lm.optimizer("sign_sgd", [weight], 0.25).step()
    assert weight.tolist() == [0.75, -0.75, 0.0]


def test_targets_are_the_next_tokens():
    ids, classes = lm.corpus("topics", "word", 64)
    x, y = lm.sequences(ids, [0, 7], 5)
    assert classes == 64 and torch.equal(x[:, 1:], y[:, :-1]) and torch.equal(x[1], ids[7:12])


def test_attention_looks_back_only():
    net = lm.build("small", 20, 16, 1, 8, "cpu", seed=1)
    x = torch.arange(8)[None]
    changed = x.clone()
    changed[0, 5] = 19
    before, after = net(x), net(changed)
    assert torch.equal(before[0, :5], after[0, :5]) and not torch.equal(before[0, 5:], after[0, 5:])


def test_same_seed_same_start():
    a, b, c = (lm.build("small", 20, 16, 1, 8, "cpu", seed=s).head.weight for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_only_answers_count(tmp_path):
    """Question, mark, answer, end: the targets are the answer and the end, each read off one token earlier."""
    file = tmp_path / "pairs.json"
    file.write_text(json.dumps([{"instruction": "name", "input": "it", "output": "a module"}]))
    _, x, y, classes = _instructions.tokens(str(file), "topics", 512, 8, "small")
    assert classes == 512 and x.shape == y.shape == (1, 8)
    assert y[0].tolist() == [-100, -100, int(x[0, 3]), int(x[0, 4]), 2, -100, -100, -100]
    assert x[0, 2] == 1 and x[0, 5] == 2


def test_smoothness_fit_finds_the_line():
    """Secants that are exactly 2 + 3 |g_j|."""
    size = [np.random.default_rng(k).uniform(1, 2, 50) for k in range(6)]
    fit = instruction_tuning.along([(g, 2 + 3 * g) for g in size])
    assert fit["L0"] == pytest.approx(2) and fit["L1"] == pytest.approx(3) and fit["rising"] == 1.0


def test_the_seed_is_the_unit():
    from anisotropic.geometry import match_by_loss

    runs = [([2.0, 1.0], np.exp([[1.0, 2.0], [3.0, 4.0]])), ([2.0, 1.0], np.exp([[0.0, 0.0], [0.0, 2.0]]))]
    matches = [match_by_loss(*runs, [2.0, 1.0]), [], match_by_loss(runs[0], runs[0], [1.0])]
    assert language_model.seeds_log_ratio(matches) == pytest.approx([2.0, 0.0])


def test_divergence_is_an_error_that_studies_store():
    net = lm.build("small", 20, 16, 1, 8, "cpu", seed=1)
    x = torch.arange(8)[None]
    with pytest.raises(FloatingPointError, match="the training loss is nan after"):
        lm.train(net, lm.optimizer("sgd", net.parameters(), 1e30), lambda: (x, x), 20)
