"""Does the contract find every planted fault, name it in a sentence, and accept every noun of the package?"""

import inspect
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from faults import noises, objectives, updates
from numba import types
from numba.extending import intrinsic

import anisotropic as an
from anisotropic.simulation.contract import moments, require

F = an.problems.quadratic([1.0, 0.5])
PLANTED = {
    (kind, name): case
    for kind, cases in (
        ("optimizer", updates.OPTIMIZERS),
        ("schedule", updates.SCHEDULES),
        ("batch rule", updates.BATCH_RULES),
        ("measure", updates.MEASURES),
        ("objective", objectives.OBJECTIVES),
        ("noise", noises.NOISES),
    )
    for name, case in cases.items()
}


@pytest.mark.parametrize("fault", PLANTED, ids=" - ".join)
def test_a_planted_fault_is_found_and_named(fault):
    noun, rule, words = PLANTED[fault]
    findings = an.check(noun, F) if fault[0] == "measure" else an.check(noun)
    assert [f.rule for f in findings][:1] == [rule], findings
    sentence = str(findings)
    assert findings[0].noun.startswith(fault[0]) and all(w in sentence for w in words), sentence


def test_there_are_more_than_enough_of_them():
    assert len(PLANTED) >= 75


# ---- what is sound passes --------------------------------------------------------------------------------------------

P, N, O, S, B = an.problems, an.noises, an.optimizers, an.schedules, an.batching
RNG = np.random.default_rng(5)
X = RNG.standard_normal((30, 4))
Y = np.where(X[:, 0] + RNG.standard_normal(30) > 0, 1.0, -1.0)
Q = np.linalg.qr(RNG.standard_normal((4, 4)))[0]
BOX = (-1.0, 1.0)
SPARSE_X = np.where(np.abs(X) > 1.5, X, 0.0)
BUILT_IN = {
    "problems": [
        P.quadratic([1.0, 0.5, 0.0]), P.quadratic([1.0, 1e-9], center=0.9, box=BOX), P.quadratic(X[0] ** 2, rotation=Q),
        P.quadratic(1.0, center=1e6), P.quadratic([1.0, 2.0], center=1.5, box=BOX), P.pseudo_huber([1.0, 2.0], 0.5),
        P.huber([1.0, 2.0], 0.3, box=(-1, 2)), P.log_cosh([1.0, 2.0], 3.0), P.softplus([1.0, 2.0]),
        P.cosine([1.0, 0.5], 20.0), P.welsch([1.0, 2.0]), P.geman_mcclure([1.0, 2.0]), P.cosh([1.0, 2.0], 3.0),
        P.quadratic_cosine([1.0, 2.0], 0.1, 3.0), P.exponential([1.0, 2.0], 1.0), P.exponential(1.0, 1.0, box=BOX),
        P.power([1.0, 2.0], 3.0), P.power(1.0, [2.5, 4.0], L1=0.3), P.double_well(3), P.double_well(2, L1=3.0),
        P.absolute([1.0, 2.0]), P.absolute([1.0, 2.0], center=1.5, box=BOX),
        P.coupled([[1, 1], [1, -1]], "cosine", 0.5), P.coupled(X[:3], "quadratic", 0.5),
        P.logistic_regression(X, Y), P.logistic_regression(X, Y, l2=0.1),
        P.logistic_regression(X, Y, box=(-0.1, 0.1)), P.logistic_regression(SPARSE_X, Y, l2=0.1),
        P.logistic_regression(np.ones((4, 1)), [1, 1, 1, 1]), P.quadratic(1 / np.arange(1.0, 301) ** 2),
        P.kronecker(np.diag([1.0, 0.0])), P.kronecker(Q @ Q.T, Q.T @ Q), P.spectral_pseudo_huber(np.eye(2), 0.5),
    ],
    "noises": [
        N.gaussian(1.0), N.gaussian([1.0, 0.0, 1e-6]), N.rademacher(1.0), N.student_t(1.0, 2.05),
        N.student_t([1.0, 2.0], 30.0), N.sparse(1.0, 0.01), N.sparse([1.0, 0.1], 1.0), N.two_point(1.0, 1e-3),
        N.two_point(1.0, 0.7), N.two_phase(1.0, 0.01, 50), N.affine([1.0, 0.0], 2.0), N.affine(0.0, 5.0),
        N.dropout(0.1), N.none(), N.minibatch(),
        N.gaussian(1 / np.arange(1.0, 101)), N.rademacher(1 / np.arange(1.0, 41)),
        N.left_gaussian(np.diag([1.0, 0.1]), 3), N.rank_one(np.diag([1.0, 0.1]), [1.0, -2.0, 0.5]),
    ],
    "optimizers": [
        O.sgd(0.1), O.sgd([0.1, 0.2]), O.heavy_ball(0.1, 0.9), O.adagrad(0.1), O.adagrad([0.1, 0.2], eps=[0.1, 0.2]),
        O.adagrad(0.1, eps=0.1, preset="nonconvex"), O.adagrad(0.1, preset="torch"), O.adagrad(0.1, preset="optax"),
        O.adagrad_norm(0.1), O.adagrad_norm(0.1, eps=0.1, preset="nonconvex"), O.rmsprop(0.1, 0.9, eps=0.1),
        O.adam(0.1), O.amsgrad(0.1), O.sign_sgd(0.1), O.nesterov(0.1, 0.9), O.signum(0.1), O.lion(0.1), O.adamw(0.1),
        O.sgd(S.inverse_sqrt(0.1)), O.adagrad(S.halve_on_plateau(0.1)),
        O.asgo(0.1), O.asgo(0.1, ball=1.0, side="right"),
        O.muon(0.1), O.muon(0.1, newton_schulz="cubic"), O.row_adagrad(0.1), O.left_sgd(0.1, np.diag([1.0, 2.0])),
        O.shampoo(0.1, eps=0.1), O.full_adagrad(0.1),
    ],
    "schedules": [
        S.inverse_sqrt(0.1), S.inverse_time(0.1, 3.0), S.halve_on_plateau(0.1), S.restarted_search(0.1),
        S.constant(0.1), S.linear(0.1, 9), S.polynomial(0.1, 9, 2.0), S.cosine(0.1, 9), S.wsd(0.1, 9, warmup=2),
        S.from_vector([0.2, 0.1]), S.optimal(an.bounds.convex_sgd_last_nonsmooth, T=9, R=1.0, G=1.0),
    ],
    "batch rules": [
        *(B.norm_test(0.5, form, finite_population=True) for form in ("plug_in", "exact", "unbiased")),
        B.inner_product_test(0.5, 0.5, backup=3), B.inner_product_test(0.5, float("inf"), "unbiased"),
        B.coordinate_norm_test(0.5, 0.1), B.coordinate_norm_test(0.5, 0.1, "unbiased"), B.noise_scale(1.0),
    ],
}  # fmt: skip
SOUND = [(kind, noun) for kind, nouns in BUILT_IN.items() for noun in nouns]


@pytest.mark.parametrize(("kind", "noun"), SOUND, ids=[f"{kind} - {noun!r}"[:70] for kind, noun in SOUND])
def test_every_noun_of_the_package_is_accepted(kind, noun):
    """Noises are rejected by mistake at a rate of 1e-6 each."""
    assert not an.check(noun, seed=3), an.check(noun, seed=3)


def test_the_list_above_has_every_factory():
    text = Path(__file__).read_text(encoding="utf-8")
    for letter, module, noun in (("P", P, "Objective"), ("N", N, "Noise"), ("O", O, "Optimizer"), ("S", S, "Schedule"),
                                 ("B", B, "BatchRule")):  # fmt: skip
        made = [n for n, f in vars(module).items() if inspect.isfunction(f) and f.__annotations__.get("return") == noun]
        public = [n for n in made if not n.startswith("_")]
        assert len(public) >= 4 and not [n for n in public if f"{letter}.{n}(" not in text]


@pytest.mark.parametrize("noise", noises.SOUND.values(), ids=noises.SOUND)
def test_a_sound_law_of_ones_own_is_accepted(noise):
    assert not an.check(noise) and not an.check(noise, P.quadratic([1.0, 2.0, 3.0]))


# ---- what a simulation does with it ----------------------------------------------------------------------------------

SETTING = dict(noise=N.none(), start=[0.5, -0.5], steps=3, replicas=2)


def faulty(kind, name):
    return PLANTED[kind, name][0]


def test_simulate_raises_with_every_sentence_and_check_false_does_not():
    setting = SETTING | {"noise": faulty("noise", "a shifted mean"), "start": 0.5}
    f, method = P.quadratic([2.0, 1.0, 0.5]), faulty("optimizer", "w = w - ...")
    with pytest.raises(an.ContractViolation, match="these nouns break the contract") as raised:
        an.simulate(f, method, **setting)
    assert [f.rule for f in raised.value.findings] == ["moves", "unbiased"] and isinstance(raised.value, ValueError)
    assert "only gives a new array that name" in str(raised.value) and "check=False" in str(raised.value)
    assert (an.simulate(f, method, **setting, check=False).gap == 0.4375).all()  # it never moves


@pytest.mark.parametrize(
    "call",
    [
        lambda f, o: an.simulate(f, o, **SETTING),
        lambda f, o: an.tune(f, lambda s: o, [0.1, 0.2], **SETTING),
        lambda f, o: an.steps_to_target(f, o, target=0.1, max_steps=10, noise=N.none(), start=0.5, replicas=2),
        lambda f, o: an.tuned_steps_to_target(f, lambda s: o, [0.1], target=1, max_steps=9, noise=N.none(), start=0.5),
        lambda f, o: an.simulate_local(f, o, noise=N.none(), start=0.5, rounds=2, local_steps=2, workers=2, replicas=2),
    ],
    ids=["simulate", "tune", "steps_to_target", "tuned_steps_to_target", "simulate_local"],
)
def test_whatever_simulates_checks_first(call):
    with pytest.raises(an.ContractViolation, match="undeclared|index 1 is out of bounds"):
        call(F, faulty("optimizer", "two slots used, one declared"))


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"batch_size": faulty("batch rule", "the gradient is not its own")}, "side effects"),
        ({"measures": {"norm": faulty("measure", "w is not its own")}}, "side effects"),
        ({"noise": faulty("noise", "normals are not its own")}, "side effects"),
    ],
)
def test_rules_measures_and_noises_are_checked_as_well(options, rule):
    with pytest.raises(an.ContractViolation) as raised:
        an.simulate(P.quadratic([1.0, 0.5, 0.2]), O.sgd(0.1), **SETTING | {"start": 0.5, "batch_size": 2} | options)
    assert [f.rule for f in raised.value.findings] == [rule]


def test_a_schedule_inside_an_optimizer_is_checked_as_far_as_the_run_goes():
    falling = faulty("schedule", "negative")
    with pytest.raises(an.ContractViolation, match="the factor at t = 3 .* is -0.5"):
        an.simulate(F, O.sgd(falling), **SETTING)
    assert np.isfinite(an.simulate(F, O.sgd(falling), **SETTING | {"steps": 2}).gap).all()


def count_calls(monkeypatch, name):
    from anisotropic.simulation.contract import public

    calls, real = [], getattr(public, name)
    monkeypatch.setattr(public, name, lambda *a, **k: calls.append(a) or real(*a, **k))
    return calls


def test_a_sound_function_is_looked_at_once_and_what_the_package_made_never(monkeypatch):
    updates_seen, objectives_seen = (count_calls(monkeypatch, f"check_{n}") for n in ("optimizer", "objective"))
    for step_size in (0.1, 0.2):
        require(F, an.Optimizer("mine", updates.weighted, updates.Weights(np.ones(2)), step_size=step_size), N.none())
    assert len(updates_seen) == 1 and not objectives_seen
    require(F, O.adagrad(0.1), N.gaussian(1.0))
    assert len(updates_seen) == 1
    with pytest.raises(an.ContractViolation, match="weight"):  # other parameters are another layout
        require(F, an.Optimizer("mine", updates.weighted, updates.Number(1.0), step_size=0.1), N.none())
    assert len(updates_seen) == 2


def test_the_functions_of_an_objective_once_and_its_constants_with_every_record(monkeypatch):
    seen = count_calls(monkeypatch, "check_objective")
    for smoothness in ([2.0, 1.0, 0.5], [3.0, 1.0, 0.5]):
        f = objectives.objective(smoothness=smoothness)
        for _ in range(2):
            require(f, O.sgd(0.1), N.none())
    assert len(seen) == 2
    with pytest.raises(an.ContractViolation, match="smoothness"):
        require(objectives.objective(smoothness=0.1), O.sgd(0.1), N.none())


def test_a_record_around_a_function_of_the_package_is_not_the_packages():
    """AdaGrad's update without its accumulator would write into memory of others; a false L is a false theorem."""
    params = O.adagrad(0.1).params
    with pytest.raises(an.ContractViolation, match="index 0 is out of bounds"):
        an.simulate(F, an.Optimizer("mine", O.adagrad(0.1).update, params, step_size=0.1), **SETTING)
    with pytest.raises(an.ContractViolation, match="smoothness = .* is too small"):
        an.simulate(objectives.stated(F, smoothness=0.1), O.sgd(0.1), **SETTING)


def test_a_mean_over_coordinates_is_simulated_right_where_it_claims_to_be_separable_only():
    """Of the theorems' property nothing follows for the layout: gaps of (w_1^2 + w_2^2) / 4 fall by 4 at each step."""
    f = objectives.objective(
        objectives.mean_value, objectives.mean_gradient, dim=2, smoothness=0.5, minimizer=0.0, minimum=0.0,
        properties={"convex", "interior minimizer", "separable"},
    )  # fmt: skip
    run = an.simulate(f, O.sgd(1.0), noise=N.none(), start=1.0, steps=3, replicas=40)
    np.testing.assert_array_equal(run.gap, [[0.125, 0.03125, 0.0078125]] * 40)
    assert an.verify(an.bounds.convex_sgd, run).status == "not contradicted"


def test_what_is_no_noun_is_refused():
    for noun in ("adagrad", O.adagrad, 3, an.bounds.convex_sgd):
        with pytest.raises(TypeError, match="expected an Objective, Noise, Optimizer, Schedule or BatchRule"):
            an.check(noun)
    with pytest.raises(ValueError, match=r"points has shape \(1, 3\); expected a number or shape \(k, 2\)"):
        an.check(F, points=[[0.0, 0.0, 0.0]])


def test_points_may_be_given_and_the_seed_repeats_the_findings():
    """The outer branch of a Huber function is wrong; within 0.1 of the center nothing can be seen."""
    f = faulty("objective", "the outer branch of Huber")
    assert not an.check(f, points=[[0.01, -0.02, 0.03]]) and an.check(f, points=[[0.5, 0.5, 0.5]])
    assert an.check(f, seed=4) == an.check(f, seed=4)


def test_findings_print_one_a_line_and_are_a_sequence():
    clean, found = an.check(F), an.check(faulty("objective", "a minimizer beside it"))
    assert not clean and str(clean) == repr(clean) == "no findings" and len(found) == str(found).count("- objective")
    assert found[0].rule == "minimizer" and found[0] == (found[0].noun, "minimizer", found[0].sentence)


# ---- when the compiler must judge ------------------------------------------------------------------------------------


@intrinsic
def halved(context, x):
    """Only the compiler knows what this does."""
    return types.float64(types.float64), lambda c, b, s, a: b.fmul(a[0], c.get_constant(types.float64, 0.5))


@an.leaf
def halving(w, gradient, state, step_size, t, params):
    for j in range(w.size):
        w[j] -= step_size[j] * halved(gradient[j])


@an.leaf
def halving_past_the_end(w, gradient, state, step_size, t, params):
    for j in range(w.size + 1):
        w[j] -= halved(0.1)


def test_instructions_that_only_the_compiler_knows():
    assert not an.check(an.Optimizer("mine", halving, step_size=0.1))
    found = an.check(an.Optimizer("mine", halving_past_the_end, step_size=0.1))
    assert [f.rule for f in found] == ["bounds"] and "writes outside of w, which has shape (1,)" in str(found)


@an.leaf
def long_gradient(w, params, out):
    for j in range(w.size):
        out[j] = params.h[j] * w[j]
    out[w.size] = 7.0


def test_a_large_objective_is_compiled_and_its_margins_are_watched():
    large = objectives.Curvature(1 / np.arange(1.0, 5001))
    sound = dict(params=large, dim=5000, smoothness=large.h, minimizer=0.0, minimum=0.0, coordinatewise=True)
    assert not an.check(objectives.objective(**sound))
    found = an.check(objectives.objective(gradient=long_gradient, **sound))
    assert [f.rule for f in found] == ["bounds"] and "writes outside of out" in str(found)
    found = an.check(objectives.objective(gradient=objectives.doubled, **sound))
    assert found[0].rule == "gradient"


def test_without_the_compiler():
    """NUMBA_DISABLE_JIT: functions are plain Python; what is sound passes, and memory is as safe as Python's."""
    code = """
import anisotropic as an
from faults import noises, objectives, updates
for cases in (updates.OPTIMIZERS, updates.SCHEDULES, updates.BATCH_RULES, objectives.OBJECTIVES, noises.NOISES):
    for name, (noun, rule, words) in cases.items():
        print(name, an.check(noun)[0].rule == rule, sep=": ")
print("sound", not any(an.check(n) for n in [*noises.SOUND.values(), an.problems.cosh([1.0, 2.0], 1.0)]), sep=": ")
"""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    answers = dict(line.rsplit(": ", 1) for line in done.stdout.splitlines())
    assert len(answers) >= 65 and set(answers.values()) == {"True"}, (answers, done.stderr[-1000:])


# ---- the rate of false alarms ----------------------------------------------------------------------------------------


def test_the_binomial_limit_is_the_smallest_one():
    """Against the sum of probabilities: P(Bin(40, 1/2) >= k) first falls to 1e-6 at k = 35."""
    tail = {k: sum(math.comb(40, i) for i in range(k, 41)) / 2**40 for k in range(41)}
    k = moments.most(40, 0.5, 1e-6)
    assert tail[k] <= 1e-6 < tail[k - 1]
    assert moments.most(5, 0.9, 1e-6) == 6  # even all five are not rare enough


LAWS = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "heavy": lambda rng, n: rng.standard_t(2.1, n) / math.sqrt(21),
    "skewed": lambda rng, n: np.where(rng.random(n) < 0.01, math.sqrt(99), -math.sqrt(1 / 99)),
    "exponential": lambda rng, n: rng.exponential(1.0, n) - 1.0,
}


@pytest.mark.parametrize("law", LAWS)
def test_a_stated_rate_of_false_alarms_is_not_exceeded(law, monkeypatch):
    """At a rate of 0.05, 2,000 sound samples give at most 0.05 + 4.9 standard errors rejections, whatever the law."""
    monkeypatch.setattr(moments, "FALSE_ALARMS", 0.05)
    rng, trials = np.random.default_rng(8), 2000
    normal = float(law == "normal")
    found = sum(bool(moments.contradiction(LAWS[law](rng, 200), normal, bool(normal), 1)) for _ in range(trials))
    assert found <= trials * 0.05 + 4.9 * math.sqrt(trials * 0.05 * 0.95)


@pytest.mark.parametrize("law", LAWS)
def test_a_shift_is_seen_whatever_the_law(law):
    """By one and a half deviations: each of 20 samples of 2,000 errors is rejected, for its mean or its mean square."""
    rng, normal = np.random.default_rng(9), float(law == "normal")
    seen = {moments.contradiction(LAWS[law](rng, 2000) + 1.5, normal, False, 1) for _ in range(20)}
    assert "mean" in seen and seen <= {"mean", "large"}


@pytest.mark.parametrize("law", ["normal", "exponential"])
def test_a_deviation_above_the_claim_is_seen_where_tails_are_light(law):
    rng, normal = np.random.default_rng(9), float(law == "normal")
    assert {moments.contradiction(4.0 * LAWS[law](rng, 200), normal, False, 1) for _ in range(20)} == {"large"}
