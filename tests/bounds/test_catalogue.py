"""What every bound must obey: the scalings of the problem, monotonicity, terms that sum, noise terms that vanish."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from anisotropic import bounds
from anisotropic.bounds.decay import DECAY, Decay
from anisotropic.bounds.lower import TIGHT

positive = st.floats(0.05, 20)
vectors = st.lists(positive, min_size=3, max_size=3).map(np.array)
CONSTANTS = st.fixed_dictionaries(
    dict.fromkeys(("L", "L0", "L1", "sigma", "R", "D", "G", "G_star", "gradient_bound", "noise_bound"), vectors)
    | {"T": st.floats(1, 1e4), "M": st.floats(1, 1e3), "eps": st.floats(0.01, 2), "delta": st.floats(0.001, 0.5)}
    | {"Delta": positive, "beta": st.floats(0.3, 0.99), "relative": st.floats(0.05, 1)}
    | {"jump_probability": st.floats(1e-4, 0.9), "first_phase": st.floats(1, 100)}
)
SCALE = st.floats(0.1, 10)
NAMES = list(bounds)
SCHEDULED = {n for n in NAMES if "schedule" in bounds[n].constants}
GRADIENT_STEP = SCHEDULED | {"convex_sgd_proj", "pl_sgd", "nonconvex_sgd", "nonconvex_diag_sgd", "sgd_separation_lower"}
STATED = [name for name in NAMES if bounds[name].source.status == "as stated"]
GRADIENT_STEP |= set(STATED)
#: Bounds that are invariant under a rescaling of each coordinate of its own.
DIAGONAL = SCHEDULED | {
    "convex_diag_sgd",
    "convex_adagrad",
    "convex_adagrad_active",
    "convex_adagrad_hp",
    "convex_adagrad_nonsmooth",
    "convex_adagrad_free_separable",
    "adagrad_drift_lower",
    "adagrad_lower",
}
#: Bounds with conditions that random constants would not meet.
NO_EPS = {"adagrad_lower", "adagrad_every_step_lower"}
ENCLOSED = {"sgd_every_step_lower"}
ONE_SAMPLE = {"nonconvex_adagrad_lower"}
#: What may rise with T: started below its noise floor, the gap grows towards it; a first step may end farther away;
#: noise alone drives AdaGrad away; at T = 1 it has not come far; a schedule is made for its T.
MAY_RISE = {"pl_sgd", "adagrad_lower", "adagrad_every_step_lower", "adagrad_drift_lower", "nonconvex_adagrad_lower"}
MAY_RISE |= SCHEDULED | {f"convex_adagrad_{which}free_{kind}" for which in ("", "norm_") for kind in ("variance", "hp")}
#: Forms of which neither is always the smaller one.
UNORDERED = {"nonconvex_adagrad", "convex_adagrad_free_variance"}
NOISE_TERMS = {"noise", "cross", "deviation", "noise floor"}


def ready(name, c):
    """Constants for one bound; where it has no tuned step, a step below every cap; for PL, mu below every curvature."""
    b = bounds[name]
    c = c | {"mu": 0.5 * c["L"].min()}
    if b.step_rule is None:
        c["step_size"] = c["relative"] * (
            0.5 / c["L1"].max() if name == "nonconvex_adagrad_gen" else 0.9 / c["L"].max() if "sgd" in name else 3.0
        )
    if name in SCHEDULED:
        c["T"] = int(min(c["T"], 200))
        c["schedule"] = np.linspace(1.0, 0.2, c["T"]) ** 2
        c["step_size"] = c["relative"] * 0.9 / c["L"]
    c |= {"eps": 0.0} if name in NO_EPS else {}
    c |= {"eps": c["eps"] + np.sqrt(np.sum(c["noise_bound"] ** 2))} if name.endswith("free_hp") else {}
    c |= {"M": 1.0} if name in ONE_SAMPLE else {}
    c |= stated_step(name, c) if name in STATED else {}
    return {k: v for k, v in c.items() if k in b.constants}


def stated_step(name, c):
    """The step size, and momentum, that a published rate is about."""
    L, mu = c["L"].max(), c["mu"]
    step_size = {"deklerk_gd": 2 / (L + mu), "nesterov_gd_short": 1 / L, "abbaszadehpeivasti_gd_pl": 1.8 / L}.get(
        name, 0.9 * c["relative"] / L
    )
    momentum = np.sqrt(max((1 - step_size * mu) * (1 - step_size * L), 0))
    return {"step_size": step_size, "momentum": momentum}


def usable(b, c):
    """The forms whose own conditions these constants meet."""
    return [form for form in b.forms if not b.broken_conditions(form, **c)]


def scaled(name, c, factor=1.0, a=1.0):
    """The constants of factor * f(a u) as a function of u."""
    both = {"L": (1, 2), "L0": (1, 2), "mu": (1, 2), "sigma": (1, 1), "G": (1, 1), "G_star": (1, 1), "eps": (1, 1)}
    both |= {"gradient_bound": (1, 1), "noise_bound": (1, 1)}
    powers = both | {"L1": (0, 1), "D": (0, -1), "R": (0, -1), "Delta": (1, 0)}
    powers["step_size"] = (-1, -2) if name in GRADIENT_STEP else (0, -1)
    return {k: v * factor ** powers[k][0] * a ** powers[k][1] if k in powers else v for k, v in c.items()}


def of_gradient(b):
    """Power of a gradient's size in the measure: it scales like 1/u where a gap does not."""
    return {"gradient_l1": 1, "gradient_l2": 1, "gradient_l2_squared": 2}.get(b.measure, 0)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=6, deadline=None)
@given(c=CONSTANTS, factor=SCALE)
def test_scaling_the_function_scales_the_bound(name, c, factor):
    b, c = bounds[name], ready(name, c)
    power = 0.5 if b.measure == "root_mean_gap" else max(of_gradient(b), 1)
    for form in usable(b, c):
        assert b(form, **scaled(name, c, factor=factor)) == pytest.approx(factor**power * b(form, **c), rel=1e-7)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=6, deadline=None)
@given(c=CONSTANTS, a=vectors)
def test_rescaling_the_coordinates_scales_gradients_only(name, c, a):
    b, c = bounds[name], ready(name, c)
    a = a if name in DIAGONAL else a[0]
    for form in usable(b, c):
        expected = b(form, **c) * (a ** of_gradient(b) if of_gradient(b) else 1.0)
        assert b(form, **scaled(name, c, a=a)) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=6, deadline=None)
@given(c=CONSTANTS, more=st.floats(1, 100))
def test_terms_sum_and_a_larger_batch_never_hurts(name, c, more):
    b, c = bounds[name], ready(name, c)
    for form in usable(b, c):
        value, terms = b(form, **c), b.terms(form, **c)
        vanishes = b.kind == "lower" or name in STATED  # geometric decay may underflow
        assert (value > 0 or vanishes) and sum(terms.values()) == pytest.approx(value, rel=1e-12)
        assert all(t >= 0 for t in terms.values())
        if "M" in c and name not in ONE_SAMPLE:
            room = 2 * TIGHT if name in ENCLOSED else 1e-9
            assert b(form, **(c | {"M": more * c["M"]})) <= value * (1 + room)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in MAY_RISE])
@settings(max_examples=6, deadline=None)
@given(c=CONSTANTS, more=st.floats(100, 1e4))
def test_the_bound_falls_with_the_number_of_updates_to_its_floor(name, c, more):
    b, c = bounds[name], ready(name, c)
    for form in usable(b, c):
        assert b(form, **(c | {"T": more * c["T"]})) <= b(form, **c) * (1 + 1e-9)


def test_pl_sgd_tends_to_its_floor_from_either_side():
    c = {"L": [1.0, 3.0], "mu": 0.5, "sigma": 1.0, "M": 2.0, "step_size": 0.2}
    floor = bounds.pl_sgd(T=1e6, Delta=5.0, **c)
    assert floor == pytest.approx(0.2 * 4 / (2 * 2 * 0.5 * (2 - 0.6)), rel=1e-12)
    assert bounds.pl_sgd(T=3, Delta=0.0, **c) < floor < bounds.pl_sgd(T=3, Delta=5.0, **c)


#: Without noise there is nothing left of them.
ONLY_NOISE = {"sgd_every_schedule_lower"}
NOISY = [n for n in NAMES if "sigma" in bounds[n].constants]


@pytest.mark.parametrize("name", NOISY)
@settings(max_examples=6, deadline=None)
@given(c=CONSTANTS)
def test_without_noise_the_noise_terms_vanish(name, c):
    b, c = bounds[name], ready(name, c)
    for form in usable(b, c):
        quiet = b.terms(form, **(c | {"sigma": 0.0}))
        idle = {term: value for term, value in quiet.items() if term in NOISE_TERMS}
        assert idle and all(value <= 1e-12 * sum(quiet.values()) for value in idle.values())
        assert name in ONLY_NOISE or quiet["bias"] > 0 or name == "pl_sgd", "geometric decay may underflow"


#: Bounds whose default form is the smallest, beside a looser one from a paper.
SHARPEST_FIRST = {"convex_sgd_last_nonsmooth"}
#: Forms that hold under a condition of their own, or that are the smaller one for large T only.
APART = {"late", "first"}


@pytest.mark.parametrize("name", [n for n in NAMES if len(bounds[n].forms) > 1 and n not in UNORDERED])
@settings(max_examples=8, deadline=None)
@given(c=CONSTANTS)
def test_forms_are_ordered_loosest_first(name, c):
    b, c = bounds[name], ready(name, c)
    values = [b(form, **c) for form in b.forms if form not in APART]
    values = values[::-1] if name in SHARPEST_FIRST else values
    assert all(x >= y * (1 - 1e-9) for x, y in zip(values, values[1:], strict=False))


@pytest.mark.parametrize("name", NAMES)
def test_every_bound_says_where_it_comes_from_and_for_whom_it_holds(name):
    b = bounds[name]
    assert b.source is not None and b.source.status in ("derived here", "in the spirit of", "as stated")
    assert ("theorem" in b.source.place.lower() or "corollary" in b.source.place.lower()) == (name in STATED)
    assert b.title and b.requires.optimizers and b.kind in ("upper", "lower", "equality")


def test_the_exponents_kept_for_lists_are_those_that_sympy_derives():
    def exponents(rate):
        return None if rate is None else (rate["T"] + 0.0, rate["M"] + 0.0, rate["d"] + 0.0)  # -0.0 becomes 0.0

    derived = {
        row["id"]: Decay(row["measure"], exponents(row["rate"]), exponents(row["bias_rate"])) for row in bounds.table()
    }
    told = "".join(
        f'    "{name}": Decay("{row.measure}", {row.noise}, {row.bias}),\n'
        for name, row in derived.items()
        if DECAY.get(name) != row
    )
    assert derived == DECAY, f"in bounds/decay.py these rows should stand:\n{told}"
