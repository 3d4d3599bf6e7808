"""A bound is data: it evaluates, explains itself, refuses what does not fit, and anybody can make one."""

import pickle
import re

import numpy as np
import pytest
import sympy

from anisotropic import bounds
from anisotropic.bounds import Bound, Requires, Solver, Source, symbols as s
from anisotropic.bounds.symbols import L, R, T, total, uniform_step_size
from anisotropic.records import Facts

H = 1 / np.arange(1.0, 101) ** 2
GIVEN = {"L": H, "sigma": np.sqrt(H), "D": 2.0, "T": 10_000, "M": 64}


def test_the_printed_example():
    b = bounds.convex_adagrad
    smooth, noise = 4 * 4 * H.sum() / 1e4, 2 * np.sqrt(2) * 2 * np.sqrt(H).sum() / np.sqrt(64e4)
    assert b(**GIVEN) == pytest.approx(smooth + noise, rel=1e-12)
    assert b.terms(**GIVEN) == pytest.approx({"bias": smooth, "noise": noise, "eps": 0.0}, rel=1e-12)
    assert round(b.critical_batch_size(L=H, sigma=np.sqrt(H), D=2.0, gap=1e-2), 1) == 3291.6
    half = np.sqrt(smooth * 1e4 / 4) + np.sqrt(smooth * 1e4 / 4 + noise * 1e4 / 2)
    assert b(form="quad", **GIVEN) == pytest.approx(half**2 / 1e4, rel=1e-12)


def test_a_bound_of_ones_own_in_a_few_lines():
    mine = Bound("mine", "mean_gap", terms=2 * total(L * R**2) / T, requires=Requires("sgd"))
    assert mine(L=[1.0, 0.5], R=2.0, T=12) == 1.0
    assert mine.terms(L=1.0, R=2.0, T=8) == {"bound": 1.0}
    assert mine.rate(noise=False) == {"T": -1.0, "M": 0.0, "d": 1.0}
    assert r"\frac{2 \sum_{j} L_{j} R_{j}^{2}}{T}" in mine.latex()
    assert mine.requires.unmet(Facts(optimizer="adam"))
    assert "mine" in str(mine)


def test_a_bound_may_have_constants_of_its_own():
    kappa, p = s.coordinate("kappa"), s.scalar("p")
    mine = Bound("mine", "gap", terms={"all": total(kappa) ** p / T})
    assert mine.constants == ("T", "kappa", "p")
    assert mine(kappa=[1.0, 2.0], p=2, T=9) == 1.0
    with pytest.raises(TypeError, match="unknown constant 'kapa'; did you mean 'kappa'"):
        mine(kapa=1, p=2, T=9)


def test_unknown_constants_are_a_type_error_with_the_nearest_name():
    with pytest.raises(TypeError, match="convex_adagrad got an unknown constant 'sgima'; did you mean 'sigma'"):
        bounds.convex_adagrad(L=1, sgima=1, D=1, T=1, M=1)
    with pytest.raises(TypeError, match="unknown constant 'l'; did you mean 'L'"):
        bounds.convex_adagrad(l=1, sigma=1, D=1, T=1, M=1)


def test_missing_constants_are_all_listed():
    with pytest.raises(ValueError, match="needs sigma, T and M; it takes L, sigma, D, eps, step_size, T, M, rho"):
        bounds.convex_adagrad(L=1, D=1)
    with pytest.raises(ValueError, match="convex_sgd needs R"):
        bounds.convex_sgd(L=1, sigma=1, T=1, M=1, R=None)
    with pytest.raises(ValueError, match="pl_sgd needs step_size"):
        bounds.pl_sgd(L=1, sigma=1, T=1, M=1, mu=1, Delta=1)


def test_missing_names_what_a_form_still_needs():
    assert bounds.convex_adagrad.missing(L=1.0, D=None) == ["sigma", "D", "T", "M"]
    assert bounds.nonconvex_adagrad.missing("bounded", L=1, sigma=1, step_size=1, T=1, M=1, Delta=1) == ["G"]
    assert bounds.nonconvex_adagrad.missing(L=1, sigma=1, step_size=1, T=1, M=1, Delta=1) == []


def test_known_constants_that_are_not_needed_are_ignored():
    needed = {"L": H, "sigma": 1.0, "D": 2.0, "T": 9, "M": 1}
    others = {"R": 1.0, "G": np.nan, "L0": None, "L1": None, "Delta": 3.0, "mu": None, "theta": 1.0, "beta": 0.9}
    assert bounds.convex_adagrad(**needed, **others) == bounds.convex_adagrad(**needed)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"L": np.ones((2, 3))}, r"L has shape \(2, 3\); expected a number or a 1-d array"),
        ({"L": []}, r"L has shape \(0,\)"),
        ({"sigma": np.ones(7)}, "sigma has 7 entries where another constant has 100"),
        ({"sigma": -1.0}, "sigma = -1; expected a finite number of at least 0"),
        ({"sigma": np.r_[np.ones(99), np.nan]}, r"sigma\[99\] = nan; expected a finite number of at least 0"),
        ({"D": np.inf}, "D = inf; expected a finite number"),
        ({"D": "wide"}, "D = 'wide'; expected a number or an array"),
        ({"T": 0}, "T = 0; expected a finite number above 0"),
        ({"step_size": 0.0}, "step_size = 0; expected a finite number above 0"),
        ({"d": 7}, "d = 7, but the longest array has 100 entries"),
        ({"d": 2.5}, "d = 2.5; expected a whole number"),
        ({"T": [1.0, 2.0]}, "T differs between coordinates; expected one number"),
    ],
)
def test_unusable_numbers_are_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        bounds.convex_adagrad(**(GIVEN | change))


def test_d_is_the_longest_array_else_the_keyword_else_one():
    one = bounds.convex_adagrad(L=1, sigma=1, D=1, T=9, M=1)
    assert bounds.convex_adagrad(L=1, sigma=1, D=1, T=9, M=1, d=5) == pytest.approx(5 * one)
    assert bounds.convex_adagrad(L=np.ones(5), sigma=1, D=1, T=9, M=1) == pytest.approx(5 * one)


def test_a_condition_that_fails_is_a_sentence_with_both_sides():
    c = {"L": [2.0, 4.0], "sigma": 1.0, "R": 1.0, "T": 9, "M": 1, "step_size": 0.5}
    told = r"does not apply: step_size <= .*max_j\(L_j\).* does not hold: 0.5 against 0.25"
    with pytest.raises(ValueError, match=told):
        bounds.convex_sgd(**c)
    told = bounds.convex_diag_sgd.violations(**c)
    assert len(told) == 1 and "0.5 against 0.25 in coordinate 1" in told[0]
    assert bounds.convex_sgd.violations(**(c | {"step_size": 0.25})) == []
    assert bounds.convex_sgd.violations(**(c | {"step_size": None})) == []


def test_violations_lists_what_is_missing_and_every_condition():
    told = bounds.pl_sgd.violations(L=1.0, step_size=3.0, rho=0.5, mu=None)
    assert len(told) == 3
    assert "needs sigma, T, M, Delta and mu, which are unknown" in told[0]
    assert "3 against 2" in told[1] and "rho = 0 does not hold" in told[2]
    assert bounds.convex_sgd.violations(L=1, sigma=1, R=1, T=1, M=1, step_size=[0.5, 0.25]) == [
        "step_size differs between coordinates; the theorem is about one step size for all of them"
    ]
    with pytest.raises(ValueError, match="step_size differs between coordinates"):
        bounds.convex_sgd(L=1, sigma=1, R=1, T=1, M=1, step_size=[1, 2])
    assert bounds.convex_sgd(L=1, sigma=1, R=1, T=1, M=1, step_size=[0.5, 0.5]) > 0


def test_unknown_forms_and_ids_name_what_there_is():
    with pytest.raises(ValueError, match="convex_sgd has no form 'quad'; it has simple"):
        bounds.convex_sgd(form="quad", **GIVEN)
    with pytest.raises(AttributeError, match="did you mean 'convex_adagrad'"):
        bounds.convex_adagard  # noqa: B018
    with pytest.raises(KeyError, match="did you mean 'convex_sgd'"):
        bounds["convex_sdg"]


def test_latex_with_numbers_leaves_the_rest_symbolic():
    printed = bounds.convex_sgd.latex(L=[1.0, 2.0], sigma=[3.0, 4.0], R=1.0, step_size=0.5)
    assert printed.endswith(r"\le \frac{2.0}{T} + \frac{6.25}{M}")
    assert r"\frac{4 \sum_{j} L_{j} D_{j}^{2}}{T}" in bounds.convex_adagrad_active.latex(tuned=True)
    assert bounds.convex_sgd._repr_latex_().startswith("$")


NUMBER = r"-?\d+\.?\d*(?: \\cdot 10\^\{-?\d+\})?"


def shown_numbers(latex):
    """The numbers right of the relation, as floats."""
    right = re.split(r"\\le |\\ge ", latex)[1].partition(r" \quad")[0]
    return [float(x.replace(r" \cdot 10^{", "e").rstrip("}")) for x in re.findall(NUMBER, right)]


@pytest.mark.parametrize("form", bounds.convex_adagrad.forms)
def test_latex_with_all_numbers_is_the_value_of_that_form(form):
    b = bounds.convex_adagrad
    for digits in (3, 6, 12):
        printed = b.latex(form, digits=digits, **GIVEN)
        *terms, whole = shown_numbers(printed)
        want = [value for value in b.terms(form, **GIVEN).values() if value]
        assert (terms or [whole]) == pytest.approx(want, rel=5 * 10.0**-digits)
        assert whole == pytest.approx(b(form, **GIVEN), rel=5 * 10.0**-digits)
        assert rf"\text{{(form {form})}}" in printed
    with pytest.raises(ValueError, match="digits = 0; expected a whole number of significant digits"):
        b.latex(form, digits=0, **GIVEN)


def test_latex_of_a_form_that_is_solved_for_puts_in_the_numbers_that_are_known():
    assert "64" not in bounds.convex_adagrad.latex("sharp") and "T" in bounds.convex_adagrad.latex("sharp", M=64)
    assert r"\frac{\sigma_{j} \sqrt{T}}{8}" in bounds.convex_adagrad.latex("sharp", M=64, rho=0)


def test_symbols_of_ones_own_are_typeset_as_words_and_letters():
    momentum, beta, k = s.scalar("momentum"), s.scalar("beta_1"), s.coordinate("kappa")
    b = Bound("mine", "gap", terms={"a": momentum * s.R_norm / T, "b": beta * total(k) / T, "c": s.scalar("step_max")})
    printed = b.latex()
    assert r"\mathrm{momentum}" in printed and r"\mathrm{step}_{\mathrm{max}}" in printed
    assert r"\left\|R\right\|_{2}" in printed and r"\beta_{1}" in printed and r"\kappa_{j}" in printed
    assert s.latex(1 / s.sigma_norm) == r"\frac{1}{\left\|\sigma\right\|_{2}}"


def test_a_form_evaluates_like_its_expression():
    b = Bound("x", "gap", forms={"root": {"a": sympy.sqrt(1 - T)}, "over": {"a": 1 / (s.uniform_eps * T)}})
    assert np.isnan(b("root", T=4)) and b("over", T=4, eps=0.0) == np.inf and b("over", T=4, eps=0.5) == 0.5
    assert b.tightest(T=4, eps=0.5).form == "over", "NaN is no value"


@pytest.mark.parametrize("name", list(bounds))
def test_every_bound_prints_in_80_columns_cites_and_survives_a_pickle(name):
    b = bounds[name]
    text = str(b)
    assert b.name == name and name in text and b.source.status in text
    assert max(map(len, text.splitlines())) < 80
    assert re.match(r"@\w+\{\w+,", b.cite()) and b.cite().count("{") == b.cite().count("}")
    copy = pickle.loads(pickle.dumps(b))
    assert copy.constants == b.constants and repr(copy) == repr(b)
    for form in b.forms:
        latex = b.latex(form)
        assert latex.count("{") == latex.count("}") and "eta_j" not in latex
        assert re.search(r"\\le|\\ge|=", latex)


def test_cite_needs_a_source_and_takes_any():
    with pytest.raises(ValueError, match="has no source"):
        Bound("x", "gap", terms=1 / T).cite()
    own = Bound("x", "gap", terms=1 / T, source=Source("me2026", "2601.00001", "Theorem 2", "as stated"))
    assert own.cite().startswith("@misc{me2026") and "2601.00001" in own.cite()
    with pytest.raises(ValueError, match="source status = 'guessed'"):
        Source("me2026", status="guessed")


def test_a_bound_refuses_terms_that_cannot_be_a_number():
    with pytest.raises(ValueError, match="term 'bound' of bound 'x' depends on the coordinate: L_j/T; add it up"):
        Bound("x", "gap", terms=L / T)
    with pytest.raises(ValueError, match="neither terms nor forms"):
        Bound("x", "gap")
    with pytest.raises(ValueError, match="kind = 'above'"):
        Bound("x", "gap", "above", terms=1 / T)
    with pytest.raises(ValueError, match="uses h, which NumPy cannot evaluate"):
        Bound("x", "gap", terms=sympy.Function("h")(T))
    with pytest.raises(TypeError, match="is not a SymPy relational"):
        Bound("x", "gap", terms=1 / T, conditions=[True])


def _root(values):
    return {"all": np.sqrt(2.0 * values["T"])}


def test_one_name_is_one_constant():
    with pytest.raises(ValueError, match="bound 'x' uses R both as one number per coordinate and as a single number"):
        Bound("x", "gap", terms=total(R) / T + s.scalar("R") / T)


def test_a_solver_may_be_the_only_form():
    S = sympy.Symbol("S")
    b = Bound("x", "gap", forms={"solved": Solver(_root, (T,), sympy.Eq(S**2, 2 * T))})
    assert b.forms == ("solved",) and b(T=8) == 4.0
    assert b.expression == sympy.Eq(S**2, 2 * T) and "S^{2} = 2 T" in b.latex()
    assert b.scaled(0.5)(T=8) == 2.0
    assert "S, where" in str(b)


def test_scaled_plants_an_error():
    b = bounds.convex_adagrad
    for form in b.forms:
        whole = b.terms(form, **GIVEN)
        assert b.scaled(0.5)(form, **GIVEN) == pytest.approx(0.5 * b(form, **GIVEN))
        assert b.scaled(noise=0)(form, **GIVEN) == pytest.approx(whole["bias"] + whole["eps"])
        assert pickle.loads(pickle.dumps(b.scaled(0.5)))(form, **GIVEN) == pytest.approx(0.5 * b(form, **GIVEN))
    with pytest.raises(ValueError, match="has no term 'noisy'; it has bias, eps, noise"):
        b.scaled(noisy=0)


def test_critical_batch_size_refuses_what_it_cannot_answer():
    c = {"L": 1.0, "sigma": 1.0, "R": 1.0}
    with pytest.raises(ValueError, match="either gap .* or T"):
        bounds.convex_sgd.critical_batch_size(**c)
    with pytest.raises(ValueError, match="gap = -1; expected a finite number above 0"):
        bounds.convex_sgd.critical_batch_size(gap=-1, **c)
    with pytest.raises(ValueError, match="that of its tuned step size; leave it out"):
        bounds.convex_sgd.critical_batch_size(gap=1, step_size=0.1, **c)
    with pytest.raises(ValueError, match="no term of convex_sgd_nonsmooth depends on M"):
        bounds.convex_sgd_nonsmooth.critical_batch_size(gap=1, R=1.0, G=1.0)
    with pytest.raises(ValueError, match="is not a power of T"):
        bounds.pl_sgd.critical_batch_size(gap=1, Delta=1, mu=1, step_size=0.1, **c)
    with pytest.raises(ValueError, match="fixed = 'M'"):
        bounds.convex_sgd.critical_batch_size_formula("M")


def test_a_tuned_step_without_a_stationary_point_is_refused():
    with pytest.raises(ValueError, match="holds no step size to tune"):
        Bound("x", "gap", terms=1 / T, step_rule=bounds.StepRule(1 / T)).tuned_step_size(T=1)
    with pytest.raises(ValueError, match="0 stationary step sizes"):
        rule = bounds.StepRule(uniform_step_size / T)
        Bound("x", "gap", terms=uniform_step_size / T, step_rule=rule).tuned_step_size(T=1)
    with pytest.raises(ValueError, match="tuned step size of convex_sgd_nonsmooth is unbounded"):
        bounds.convex_sgd_nonsmooth(R=1.0, G=0.0, T=4)


def test_the_table_lists_every_bound():
    rows = bounds.table()
    assert [r["id"] for r in rows] == list(bounds) and len(rows) == len(bounds)
    row = next(r for r in rows if r["id"] == "convex_adagrad")
    assert row["rate"] == {"T": -0.5, "M": -0.5, "d": 1.0} and row["bias_rate"] == {"T": -1.0, "M": 0.0, "d": 1.0}
    assert row["forms"] == ["simple", "quad", "tight", "sharp"] and row["arxiv"] == "2406.15244"
    assert "convex_adagrad" in bounds and "convex_adagrad" in dir(bounds)
    assert bounds["convex_adagrad"] is bounds.convex_adagrad
