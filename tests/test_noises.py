"""Every noise law against its definition: values, mean, variance of a minibatch, independence, cost, edges."""

import numpy as np
import pytest
from numba import njit
from rounding import EPS
from scipy import stats

import anisotropic as an
from anisotropic.compiled import random

N = an.noises
SIGMA = np.array([1.0, 0.2, 3.0])
GRADIENT = np.array([0.5, -2.0, 0.0])
DRAWS = 40_000
LAWS = {
    "gaussian": lambda: N.gaussian(SIGMA),
    "rademacher": lambda: N.rademacher(SIGMA),
    "student_t": lambda: N.student_t(SIGMA, 12.0),
    "sparse": lambda: N.sparse(SIGMA, 0.2),
    "two_point": lambda: N.two_point(SIGMA, 0.15),
    "two_phase": lambda: N.two_phase(SIGMA, 0.15, 7),
    "affine": lambda: N.affine(SIGMA, 0.7),
    "dropout": lambda: N.dropout(0.3),
}
KEY = random.key_words(2024)


@njit
def minibatches(apply, gradient, normals, batch_size, key, params, out):
    for r in range(out.shape[0]):
        out[r] = gradient
        apply(out[r], normals[r], batch_size, random.Stream(key[0], key[1], r, 7), params)


def sample(noise, batch_size, draws=DRAWS, gradient=GRADIENT):
    """Minibatch gradients, shape (draws, 3); parameters are spread over coordinates as the simulator does."""
    fields = {k: np.resize(v, 3) if isinstance(v, np.ndarray) else v for k, v in noise.params._asdict().items()}
    normals, out = np.random.default_rng(1).normal(size=(draws, 3)), np.empty((draws, 3))
    minibatches(noise.apply, gradient, normals, batch_size, KEY, type(noise.params)(**fields), out)
    return out


@pytest.mark.parametrize("name", LAWS)
def test_mean_and_variance_of_a_minibatch(name):
    """Mean 0 and variance (sigma^2 + rho g^2) / M for M = 1, 7, 10^6, and uncorrelated coordinates.

    Per law at most 27 z-scores with estimated standard errors, together at a false-alarm rate of 1e-4.
    """
    noise, limit, scores = LAWS[name](), stats.norm.isf(0.5e-4 / 27), []
    for batch_size in (1, 7, 1_000_000 if noise.max_batch is None else 100):
        draws = DRAWS if batch_size < 100 or noise.max_batch is None else 5_000
        error = sample(noise, batch_size, draws) - GRADIENT
        variance = (noise.sigma**2 + noise.rho * GRADIENT**2) / batch_size
        assert (error[:, variance == 0] == 0).all()  # dropout where the gradient is 0
        x = error[:, variance > 0] / np.sqrt(variance[variance > 0])
        scores += list(np.sqrt(draws) * x.mean(axis=0))
        scores += list(np.sqrt(draws) * (x**2 - 1).mean(axis=0) / np.maximum((x**2).std(axis=0), 1e-9))
        first = x[:, :2].prod(axis=1)
        scores.append(np.sqrt(draws) * first.mean() / first.std())
    assert 15 <= len(scores) <= 27 and np.abs(scores).max() < limit
    assert np.std(scores) > 0.3  # scores that are all about 0 would be a comparison with itself


def frequencies(x, values):
    """How often each value occurs; every entry of x must be one of them."""
    nearest = np.abs(x[:, None] - np.asarray(values)).argmin(axis=1)
    np.testing.assert_allclose(x, np.asarray(values)[nearest], rtol=1e-13, atol=1e-15)
    return np.bincount(nearest, minlength=len(values))


@pytest.mark.parametrize(
    ("name", "values", "probabilities"),
    [
        ("rademacher", [-3.0, 3.0], [0.5, 0.5]),
        ("sparse", [-3 / np.sqrt(0.2), 0.0, 3 / np.sqrt(0.2)], [0.1, 0.8, 0.1]),
        ("two_point", [-3 * np.sqrt(0.15 / 0.85), 3 * np.sqrt(0.85 / 0.15)], [0.85, 0.15]),
        ("dropout", [0.0, -2.0 / 0.3], [0.7, 0.3]),
    ],
)
def test_one_sample_takes_the_values_of_its_law(name, values, probabilities):
    """Chi-square against the exact probabilities, false-alarm rate 1e-4."""
    x = sample(LAWS[name](), 1)[:, 1 if name == "dropout" else 2]
    counts = frequencies(x, values)
    assert stats.chisquare(counts, np.array(probabilities) * x.size).pvalue > 1e-4


@pytest.mark.parametrize("batch_size", [1, 7, 10**6])
def test_two_phases_are_two_laws(batch_size):
    """The samples here belong to iteration 7: the last of the first phase, or the first of the second one."""
    same = {"rtol": 1e-12, "atol": 1e-12}
    first, second = (sample(N.two_phase(SIGMA, 0.15, switch), batch_size, 500) for switch in (7, 6))
    np.testing.assert_allclose(first, sample(N.two_point(SIGMA, 0.15), batch_size, 500), **same)
    np.testing.assert_allclose(second, sample(N.rademacher(SIGMA), batch_size, 500), **same)
    assert not np.allclose(first, second)


def test_phases_are_refused_with_a_sentence():
    with pytest.raises(ValueError, match=r"first_phase = 2.5; expected a whole number of at least 1"):
        N.two_phase(1.0, 0.1, 2.5)
    with pytest.raises(ValueError, match="p = 1 leaves no noise"):
        N.two_phase(1.0, 1.0, 3)


def test_a_minibatch_of_signs_is_a_binomial():
    """The mean of 7 signs: 8 values with binomial probabilities; chi-square at 1e-4."""
    x = sample(N.rademacher(SIGMA), 7)[:, 2]
    counts = frequencies(x, 3.0 * (2 * np.arange(8) - 7) / 7)
    assert stats.chisquare(counts, stats.binom.pmf(np.arange(8), 7, 0.5) * x.size).pvalue > 1e-4


def test_student_t_samples_have_their_law():
    """Kolmogorov-Smirnov of one-sample noise, rescaled to Student-t; false-alarm rate 1e-4."""
    x = sample(N.student_t(SIGMA, 3.0), 1)[:, 2] / 3.0 / np.sqrt(1 / 3)
    assert stats.kstest(x, stats.t(3.0).cdf).pvalue > 1e-4


def test_gaussian_and_affine_noise_scale_the_given_normals():
    z = np.random.default_rng(1).normal(size=(10, 3))
    for noise, spread in ((N.gaussian(SIGMA), SIGMA), (N.affine(SIGMA, 0.7), np.sqrt(SIGMA**2 + 0.7 * GRADIENT**2))):
        error = np.abs(sample(noise, 4, 10) - (GRADIENT + spread / 2 * z))
        assert (error <= 8 * EPS * (np.abs(GRADIENT) + spread / 2 * np.abs(z))).all()  # eight operations at most


@pytest.mark.parametrize("name", ["rademacher", "sparse", "two_point", "dropout"])
def test_a_batch_beyond_a_billion_has_the_right_spread(name):
    """M = 10^12 by the normal limit: variance within 4.5 standard errors (rate 2e-5 with 3 coordinates)."""
    noise, m = LAWS[name](), 10**12
    variance = (noise.sigma**2 + noise.rho * GRADIENT**2) / m
    error = (sample(noise, m, 10_000) - GRADIENT)[:, variance > 0] / np.sqrt(variance[variance > 0])
    assert (np.abs(error.var(axis=0) - 1) < 4.5 * np.sqrt(2 / 10_000)).all()


@pytest.mark.parametrize("p", [0.5, 0.01, 0.999])
def test_uniforms_per_binomial_do_not_grow_with_the_batch(p, monkeypatch):
    """Counted in the interpreted source: on average below 3 pairs of uniforms a draw, for M from 10 to 10^12."""
    drawn = []
    compiled = random.uniform_pair
    monkeypatch.setattr(random, "uniform_pair", lambda *place: drawn.append(place) or compiled(*place))
    for name in ("_inversion", "_transformed_rejection"):
        monkeypatch.setattr(random, name, getattr(random, name).py_func)
    for batch_size in (10, 10**3, 10**6, 10**9, 10**12):
        drawn.clear()
        for replica in range(100):
            k = random.binomial.py_func(batch_size, p, random.Stream(*KEY, replica, 1), 0)
            assert 0 <= k <= batch_size
        assert 100 <= len(drawn) < 300


@pytest.mark.parametrize(
    "noise", [N.none(), N.gaussian(0.0), N.rademacher(0.0), N.sparse(0.0, 0.5), N.dropout(1.0), N.affine(0.0, 0.0)]
)
def test_no_noise_leaves_the_gradient_bit_for_bit(noise):
    for batch_size in (1, 1000):
        np.testing.assert_array_equal(sample(noise, batch_size, 5), np.tile(GRADIENT, (5, 1)))


def test_sparse_noise_that_always_hits_is_a_sign():
    assert set(sample(N.sparse(1.0, 1.0), 1, 100)[:, 2]) == {-1.0, 1.0}


def test_noise_differs_between_replicas_steps_seeds_and_coordinates():
    x = sample(N.rademacher(1.0), 1_000, 200)
    assert len(np.unique(x[:, 2])) > 20 and not (x[:, 0] - GRADIENT[0] == x[:, 2]).all()
    a, b, noise = np.empty((200, 3)), np.empty((200, 3)), N.rademacher(np.ones(3))
    minibatches(noise.apply, GRADIENT, a, 1_000, random.key_words(2024), noise.params, a)
    minibatches(noise.apply, GRADIENT, b, 1_000, random.key_words(2025), noise.params, b)
    np.testing.assert_array_equal(a, x)
    assert (a != b).mean() > 0.9


def test_nan_gradients_stay_visible():
    for make in LAWS.values():
        assert np.isnan(sample(make(), 3, 2, np.array([np.nan, 0.0, 1.0]))[:, 0]).all()


def test_records_state_what_bounds_need():
    known = {name: make() for name, make in LAWS.items()}
    assert {name: n.law for name, n in known.items()} == {
        "gaussian": "gaussian", "affine": "gaussian", "student_t": "heavy", "rademacher": "bounded",
        "sparse": "bounded", "two_point": "bounded", "two_phase": "bounded", "dropout": "bounded",
    }  # fmt: skip
    assert known["affine"].rho == 0.7 and known["dropout"].rho == pytest.approx(1 / 0.3 - 1)
    assert known["gaussian"].rho == known["student_t"].rho == 0.0
    assert known["dropout"].sigma.tolist() == [0.0] and N.none().law == "none" and N.none().sigma.tolist() == [0.0]
    assert known["student_t"].max_batch == 10_000 and N.minibatch(replace=False).replace is False
    assert N.minibatch().law == "rows" and N.minibatch().sigma is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: N.gaussian([1.0, -1.0]), r"sigma\[1\] = -1; expected numbers of at least 0"),
        (lambda: N.gaussian(np.nan), r"sigma\[0\] = nan; expected"),
        (lambda: N.gaussian(np.inf), r"sigma\[0\] = inf; expected finite numbers"),
        (lambda: N.gaussian("loud"), "sigma = 'loud'; expected a number or an array"),
        (lambda: N.gaussian(np.ones((2, 2))), r"sigma has shape \(2, 2\); expected a number or shape"),
        (lambda: N.student_t(1.0, 2.0), "df = 2; expected a finite number above 2"),
        (lambda: N.sparse(1.0, 0.0), "p = 0; expected a finite number above 0"),
        (lambda: N.sparse(1.0, 1.5), "p = 1.5; expected a probability above 0 and at most 1"),
        (lambda: N.two_point(1.0, 1.0), "p = 1 leaves no noise; expected a probability strictly between"),
        (lambda: N.dropout(np.nan), "p = nan; expected a finite number"),
        (lambda: N.affine(1.0, -0.1), "rho = -0.1; expected a finite number of at least 0"),
        (lambda: an.Noise("mine", N.add_nothing, law="loud"), "law = 'loud'; expected one of 'gaussian', 'bounded'"),
    ],
)
def test_wrong_constants_are_a_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_unknown_law_suggests_the_nearest():
    with pytest.raises(AttributeError, match="no name 'gausian'; did you mean 'gaussian'"):
        _ = N.gausian
