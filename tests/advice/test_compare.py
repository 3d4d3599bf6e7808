"""Do ratios and critical batch sizes cover the truth, is what is open called open, and is the best step size found?"""

import math

import numpy as np
import pytest
from scipy.special import digamma

from anisotropic.advice import compare, critical, grids
from anisotropic.evidence.entries import TUNED, Entry, Race

DRAWS, REPLICAS = 400, 24
rng = np.random.default_rng(12)


def gamma_pair(shape, scale):
    """Gaps of two methods with a common factor: E log x - E log y = log scale, whatever the shape."""
    common = rng.gamma(2.0, size=REPLICAS)
    return scale * common * rng.gamma(shape, size=REPLICAS), common * rng.gamma(shape, size=REPLICAS)


def chi_square_pair(ours, theirs):
    x, y = (rng.chisquare(k, size=REPLICAS) for k in (ours, theirs))
    return x, y


def lognormal_pair(s, correlation):
    z = rng.standard_normal((2, REPLICAS))
    z[1] = correlation * z[0] + math.sqrt(1 - correlation**2) * z[1]
    return np.exp(0.3 + s * z[0]), np.exp(s * z[1])


SETTINGS = {
    "gamma 1": (lambda: gamma_pair(1.0, 0.8), math.log(0.8)),
    "gamma 1/2": (lambda: gamma_pair(0.5, 1.0), 0.0),
    "gamma 5": (lambda: gamma_pair(5.0, 2.0), math.log(2.0)),
    "chi-square 3 and 8": (lambda: chi_square_pair(3, 8), digamma(1.5) - digamma(4.0)),
    "lognormal 1": (lambda: lognormal_pair(1.0, 0.5), 0.3),
    "lognormal 2": (lambda: lognormal_pair(2.0, 0.9), 0.3),
    "lognormal 3": (lambda: lognormal_pair(3.0, 0.0), 0.3),
    "student 4": (lambda: (np.exp(rng.standard_t(4, size=REPLICAS)), np.ones(REPLICAS)), 0.0),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_paired_ratios_cover(name):
    draw, truth = SETTINGS[name]
    found = [compare.paired_ratio(*draw(), level=0.05) for _ in range(DRAWS)]
    assert sum(r.low <= math.exp(truth) <= r.high for r in found) >= 0.93 * DRAWS


def test_all_pairs_of_a_race_hold_together():
    """Five equal methods: the share of races in which any is called ahead of another is at most the level."""
    races = [race({f"m{k}": rng.lognormal(0, 1, REPLICAS) for k in range(5)} | {}) for _ in range(DRAWS)]
    called = sum(len(compare.decide(r).open) < 5 for r in races)
    # 400 draws at 0.05: above 33 with probability 0.002
    assert called <= 33


def race(values, reference=None, replicas=REPLICAS):
    entries = tuple(Entry(m, TUNED, 1.0, np.asarray(v, dtype=float)) for m, v in values.items())
    return Race(entries, reference or next(iter(values)), "gap", 100, 8, replicas, None, 0.05)


def test_a_decision_says_who_is_ahead_who_is_open_and_who_diverged():
    base = rng.lognormal(0, 0.3, REPLICAS)
    noise = np.exp(0.01 * rng.standard_normal(REPLICAS))
    found = compare.decide(race({
        "sgd": base, "adagrad": 0.5 * base * noise, "adam": 0.5 * base / noise, "adagrad_norm": 2 * base * noise,
        "lion": np.where(np.arange(REPLICAS) == 3, np.nan, 0.1),
    }))  # fmt: skip
    assert found.winner is None and set(found.open) == {"adagrad", "adam"}
    assert set(found.ahead) == {"adagrad", "adam"} and found.behind == ("adagrad_norm",)
    assert found.diverged == {"lion": 1} and math.isnan(found.ratios["lion"].estimate)
    assert found.ratios["adagrad"].low < 0.5 < found.ratios["adagrad"].high


def test_two_forms_of_sgd_are_one_winner():
    base = np.linspace(1.0, 2.0, REPLICAS)
    found = compare.decide(race({"sgd": base, "sgd decaying": base, "adam": 2 * base}))
    assert found.winner == "sgd" and set(found.open) == {"sgd", "sgd decaying"}
    nobody = compare.decide(race({"sgd": np.full(REPLICAS, np.nan), "adam": np.full(REPLICAS, np.nan)}))
    assert nobody.winner is None and nobody.open == () and nobody.ahead == ()


def test_gaps_at_the_floor_are_equal():
    r = compare.paired_ratio(np.full(8, 1e-16), np.full(8, -1e-17))
    assert r[:3] == (1.0, 1.0, 1.0)


def test_what_more_replicas_would_resolve():
    """Four times the replicas halve the width of the logarithm, within what Student's quantile changes."""
    logs = 0.1 * rng.standard_normal(REPLICAS)
    two = race({"sgd": np.ones(REPLICAS), "adam": np.exp(logs)})
    width = math.log(compare.ratio(two, "adam", "sgd").high / compare.ratio(two, "adam", "sgd").low) / 2
    assert compare.resolvable(two, 3 * REPLICAS) == pytest.approx(math.exp(width / 2), rel=1e-12)
    shifted = race({"sgd": np.ones(REPLICAS), "adam": np.exp(logs - logs.mean() + 0.6 * width)})
    assert compare.decide(shifted).winner is None
    assert compare.still_open(shifted, 0) and not compare.still_open(shifted, 3 * REPLICAS)


@pytest.mark.parametrize("best", [1e-3, 0.3, 1.0, 5.0, 700.0])
def test_the_search_finds_the_best_step_size_wherever_it_lies(best):
    tried = []

    def loss(size):
        tried.append(size)
        return {"loss": np.full(3, 1 + np.log(size / best) ** 2)}

    found = grids.search(loss, 1.0, ("loss",))
    assert 1 / math.sqrt(2) <= found.best["loss"] / best <= math.sqrt(2) and not found.at_edge["loss"]
    assert found.tried == len(tried) == len(set(tried)) and found.diverged == 0


def test_the_search_serves_two_measures_and_flees_from_divergence():
    def loss(size):
        if size > 0.01:
            return {m: np.array([1.0, np.nan]) for m in ("a", "b")}
        return {"a": np.full(2, 1 + np.log(size / 0.008) ** 2), "b": np.full(2, 1 + np.log(size / 1e-4) ** 2)}

    found = grids.search(loss, 1.0, ("a", "b"))
    assert found.best["a"] == pytest.approx(2.0**-7) and 0.7e-4 < found.best["b"] < 1.4e-4
    assert found.diverged > 0 and not any(found.at_edge.values())


def test_a_search_without_an_end_stops_and_says_so():
    found = grids.search(lambda size: {"loss": np.array([1.0 / size])}, 1.0, ("loss",))
    assert found.at_edge["loss"] and found.tried < 40
    lost = grids.search(lambda size: {"loss": np.array([np.nan])}, 1.0, ("loss",))
    assert math.isnan(lost.best["loss"]) and lost.diverged == lost.tried < 40


def test_critical_batch_sizes_cover():
    """Decrease 1 / (1 + b/90): below 0.9 of that at b = 1 from about b = 11 on; the truth by the same interpolation."""
    sizes = 2.0 ** np.arange(8)
    means = 1 / (1 + sizes / 90.0)
    truth = critical.crossing(sizes, means)
    assert 8 < truth < 16
    hits = 0
    for k in range(DRAWS):
        decrease = means + 0.05 * (rng.gamma(2.0, size=(REPLICAS, sizes.size)) - 2.0) / math.sqrt(2.0)
        _, low, high = critical.critical_interval(sizes, decrease, 0.05, seed=k)
        hits += low <= truth <= high
    assert hits >= 0.93 * DRAWS


def test_a_critical_batch_size_without_an_end_or_a_start():
    flat = np.ones((5, 3)) + 0.001 * rng.standard_normal((5, 3))
    assert critical.critical_interval(np.array([1, 2, 4]), flat, 0.05)[::2] == (np.inf, np.inf)
    assert all(map(math.isnan, critical.critical_interval(np.array([1, 2, 4]), -flat, 0.05)))
