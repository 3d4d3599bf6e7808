"""Does the advice on models train as torch would, pair replicas, name a known winner, refuse nonsense?"""

import numpy as np
import pytest

import anisotropic as an
from anisotropic.advice import compare

torch = pytest.importorskip("torch")
by_model = pytest.importorskip("anisotropic.advice.torch")
nn, F = torch.nn, torch.nn.functional

METHODS = ["sgd", "sgd decaying", "adagrad", "adagrad_norm", "adam"]


def network():
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()


def points(n=40, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 3))
    return x, (x[:, 0] + 0.3 * rng.standard_normal(n) > 0).astype(np.int64)


@pytest.fixture
def small():
    return by_model.model(network, F.cross_entropy, points(), None, 0)


@pytest.mark.parametrize("method", METHODS)
def test_stacked_replicas_are_those_trained_one_by_one(small, method):
    """In double precision, 25 iterations: equal to rounding, which tanh and the roots carry on."""
    assert small.stacked
    together = by_model.run(small, {}, 100, method, 4, 0.1, 3, 5)
    alone = by_model.run(small._replace(stacked=False), {}, 100, method, 4, 0.1, 3, 5)
    for name in by_model.MEASURES:
        assert together[name].shape == (3,) and len(set(together[name])) == 3
        np.testing.assert_allclose(together[name], alone[name], rtol=1e-10)


def test_a_run_is_the_loop_one_would_write(small):
    """SGD by hand: the seed's weights, the seed's order, losses over all rows at the end."""
    found = by_model.run(small, {}, 60, "sgd", 6, 0.2, 2, 9)
    rows = by_model.orders(2, 10, 6, len(small.train[0]), 9)
    x, y = small.train
    for r in range(2):
        torch.manual_seed(9 * 1_000_003 + r)
        model = network()
        for t in range(10):
            model.zero_grad()
            F.cross_entropy(model(x[rows[r, t]]), y[rows[r, t]]).backward()
            with torch.no_grad():
                for p in model.parameters():
                    p -= 0.2 * p.grad
        losses = [F.cross_entropy(model(a), b).item() for a, b in (small.train, small.held_out)]
        assert [found[m][r] for m in by_model.MEASURES] == pytest.approx(losses, rel=1e-10)


def test_rows_come_in_passes_and_replicas_differ():
    rows = by_model.orders(2, 6, 5, 10, 1).reshape(2, 30)
    for r in range(2):
        for k in range(3):
            assert sorted(rows[r, 10 * k : 10 * k + 10].tolist()) == list(range(10))
    assert rows[0].tolist() != rows[1].tolist()
    np.testing.assert_array_equal(by_model.orders(1, 6, 5, 10, 1).reshape(30), rows[0])


def test_adagrad_norm_by_hand():
    """Gradients (3, 4) and then (0, 12): sums of squares 25 and 169, steps of length lr and lr 12/13."""
    w = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    rule = by_model.AdaGradNorm([w], lr=0.5)
    for gradient, expected in (((3.0, 4.0), (-0.3, -0.4)), ((0.0, 12.0), (-0.3, -0.4 - 0.5 * 12 / 13))):
        w.grad = torch.tensor(gradient, dtype=torch.float64)
        rule.step()
        assert w.tolist() == pytest.approx(expected, rel=1e-12)
    still = torch.ones(1, requires_grad=True)
    still.grad = torch.zeros(1)
    by_model.AdaGradNorm([still], lr=1.0).step()
    assert still.item() == 1.0  # 0/0 is no step


def test_models_that_cannot_be_stacked_are_trained_all_the_same():
    def normalized():
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))

    m = by_model.model(normalized, F.cross_entropy, points(), None, 0)
    assert not m.stacked
    found = by_model.run(m, {}, 64, "adam", 8, 0.01, 2, 0)
    assert np.isfinite(found["training_loss"]).all()


def test_dropout_is_on_in_training_and_off_in_measurement():
    """With every unit dropped, training moves nothing but the last bias; measured without dropout the units count."""
    def dropped():
        return nn.Sequential(nn.Linear(3, 5), nn.Dropout(1.0), nn.Linear(5, 2)).double()

    for stacked in (True, False):
        m = by_model.model(dropped, F.cross_entropy, points(), None, 0)._replace(stacked=stacked)
        rows = by_model.orders(1, 1, 4, len(m.train[0]), 0)
        fresh = by_model._fresh(m, [3])
        group = by_model._Stack(m, fresh) if stacked else by_model._Single(m, fresh[0])
        before = group.evaluate(m.train)
        group.losses(rows[:, 0]).sum().backward()
        first = next(iter(group.params.values()))
        assert float(first.grad.abs().max()) == 0.0
        model = by_model._fresh(m, [3])[0].eval()
        assert before[0] == pytest.approx(F.cross_entropy(model(m.train[0]), m.train[1]).item(), rel=1e-12)


def test_the_callers_random_state_and_threads_stay(small):
    torch.manual_seed(4)
    before = torch.random.get_rng_state()
    by_model.run(small, {}, 40, "sgd", 4, 0.1, 2, 0)
    by_model.model(network, F.cross_entropy, points(), None, 0)
    assert torch.equal(before, torch.random.get_rng_state())


def test_rare_features_are_adagrads_case_in_torch_too():
    rng = np.random.default_rng(0)
    d = 100
    x = (rng.random((800, d)) < 0.9 / np.arange(1, d + 1)).astype(float)
    y = (rng.random(800) < 1 / (1 + np.exp(-x @ rng.choice([-3.0, 3.0], size=d)))).astype(float)

    def linear():
        model = nn.Linear(d, 1)
        nn.init.zeros_(model.weight)
        return model

    def loss(out, target):
        return F.binary_cross_entropy_with_logits(out[:, 0], target)

    methods = ["sgd", "sgd decaying", "adagrad"]
    found = an.advise(linear, loss, (x, y), batch_sizes=[64], methods=methods, budget=2000, replicas=6)
    race = found.races[64, "training_loss"]
    assert "adagrad" in compare.decide(race).ahead
    assert found.sentences[0].startswith("Adaptive step sizes help here at every batch size tried: at batch size 64")
    assert "(training loss, ratio to tuned SGD's" in found.sentences[0] and found.critical is None
    assert found.problem == {"name": "Linear", "rows": 640, "held_out": 160, "parameters": d + 1}
    assert race.tuned["adagrad"].step_size > 0 and "held-out loss" in str(found)


def test_an_optimizer_of_ones_own_in_torch(small):
    mine = an.Method(lambda size: lambda params: torch.optim.SGD(params, lr=size, momentum=0.5), [0.1])
    found = by_model.run(small, {"mine": mine}, 40, "mine", 4, 0.1, 2, 0)
    plain = by_model.run(small, {}, 40, "sgd", 4, 0.1, 2, 0)
    assert np.isfinite(found["training_loss"]).all() and (found["training_loss"] != plain["training_loss"]).all()


def test_a_diverged_replica_is_nan_alone():
    def huge():
        model = network()
        with torch.no_grad():
            model[2].weight.mul_(1.0 if float(model[0].weight[0, 0]) > 0 else 1e200)
        return model

    m = by_model.model(huge, lambda out, y: (out**2).mean(), points(), None, 0)
    found = by_model.run(m, {}, 40, "sgd", 4, 1e-3, 12, 0)["training_loss"]
    assert 0 < np.isfinite(found).sum() < 12


SAME = network()
X3, Y3 = points(12)


@pytest.mark.parametrize(
    ("factory", "loss", "data", "error", "message"),
    [
        (lambda: 3, F.cross_entropy, (X3, Y3), TypeError, r"model_factory\(\) returned int; expected a new"),
        (lambda: SAME, F.cross_entropy, (X3, Y3), ValueError, "returned the same model twice"),
        (nn.Identity, F.cross_entropy, (X3, Y3), ValueError, "Identity has no parameter to train"),
        (network, nn.CrossEntropyLoss(reduction="none"), (X3, Y3), ValueError, r"returned \(2,\); expected one number"),
        (network, lambda out, y: 1.0, (X3, Y3), ValueError, "returned float; expected one number"),
        (network, F.cross_entropy, X3, TypeError, r"data is ndarray; expected tensors \(x, y\)"),
        (network, F.cross_entropy, (X3, Y3[:5]), ValueError, "data: x has 12 rows and y has 5"),
        (network, F.cross_entropy, (np.where(X3[2] == X3, np.nan, X3), Y3), ValueError, "x has a number that is not "
                                                                                        "finite in row 2"),
        (network, F.cross_entropy, None, TypeError, r"a model needs a loss and data"),
        (network, None, (X3, Y3), TypeError, r"a model needs a loss and data"),
    ],
)  # fmt: skip
def test_wrong_models(factory, loss, data, error, message):
    with pytest.raises(error, match=message):
        an.advise(factory, loss, data)


def test_words_of_rows_and_of_models_do_not_mix():
    with pytest.raises(ValueError, match="l2 is the ridge of logistic regression"):
        an.advise(network, F.cross_entropy, (X3, Y3), l2=0.1)
    with pytest.raises(TypeError, match=r"data goes with a model"):
        an.advise(X3, Y3, X3)
    with pytest.raises(ValueError, match="batch size 64 is above the 10 rows"):
        an.advise(network, F.cross_entropy, (X3, Y3), batch_sizes=[64])
