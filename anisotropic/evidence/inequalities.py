"""Which inequalities of the derivations are proved by machine, and how is each taken apart?

Statements are those of the pages, in their symbols; a proof may change variables, the statement may not.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp
from sympy import E, Max, Rational, exp, log, oo, sqrt

from .proof_steps import (
    AtLeast,
    Domain,
    Falling,
    Intervals,
    Rising,
    Signs,
    Split,
    Squares,
    Step,
    Times,
    Vanishing,
    Where,
)  # fmt: skip


@dataclass(frozen=True)
class Inequality:
    """`left` <= `right` on `domain`, as the step `step` of a page of the documentation uses it.

    Attributes
    ----------
    name : str
    statement, where : str
        LaTeX, verbatim on the page.
    page, step : str
        Name of the page in docs/theory, and the step of its proof.
    bounds : tuple of str
        Bounds whose proof rests on it.
    left, right : SymPy expressions
    domain : dict
        Symbol -> (low, high), all of the statement's domain.
    proof : Step
    """

    name: str
    statement: str
    where: str
    page: str
    step: str
    bounds: tuple[str, ...]
    left: sp.Expr
    right: sp.Expr
    domain: Domain
    proof: Step


def _cosh(angle: sp.Expr) -> sp.Expr:
    return (exp(angle) + exp(-angle)) / 2


def _sinh(angle: sp.Expr) -> sp.Expr:
    return (exp(angle) - exp(-angle)) / 2


N1 = ("nonconvex_adagrad", "nonconvex_adagrad_norm", "nonconvex_adagrad_gen", "nonconvex_rmsprop")
NORM_FREE = ("convex_adagrad_norm_free_variance", "convex_adagrad_norm_free_hp")
REGRET = ("convex_adagrad", "convex_adagrad_active", "convex_adagrad_free_separable", "convex_adagrad_hp",
          "convex_adagrad_nonsmooth", "convex_adagrad_norm", "convex_adagrad_norm_free")  # fmt: skip

c, e, g, y = sp.symbols("c e g y", real=True)
a, b, d, m, p, q, r, s, u, v, w, x, z = sp.symbols("a b d m p q r s u v w x z", nonnegative=True)
K, L, R, G, T, eta, ell, lam, mu, tau, theta, alpha, Y = sp.symbols(
    "K L R G T eta ell lambda mu tau theta alpha Y", nonnegative=True
)
NONNEGATIVE = (0, oo)
REAL = (-oo, oo)

_return = u / (2 * (2 - 3 * u / 10)) - tau / (Rational(6, 10) * (2 - 3 * u / 10) ** 2) + (1 - exp(-4 * u)) / (4 * u)
_bend = (eta**2 - alpha**2) ** Rational(1, 2) * alpha**2

CATALOGUE: tuple[Inequality, ...] = (
    # ---- lemma N1 ---------------------------------------------------------------------------------------------------
    Inequality(
        "n1-pointwise", r"2cg-c^2(v+g^2)\le\frac{g^2}{v+g^2}", r"v\ge0,\ g,c\in\mathbf R", "lemma_n1", "4", N1,
        2 * c * g - c**2 * (v + g**2), g**2 / (v + g**2), {v: NONNEGATIVE, g: REAL, c: REAL},
        Signs((g - c * (v + g**2)) ** 2 / (v + g**2)),
    ),
    Inequality(
        "n1-opposite-sign", r"(r-|g|)^2\le r^2-a^2+(|g|+a)^2", r"a,|g|,r\ge0", "lemma_n1", "2", N1,
        (r - g) ** 2, r**2 - a**2 + (g + a) ** 2, {a: NONNEGATIVE, g: NONNEGATIVE, r: NONNEGATIVE}, Signs(),
    ),
    Inequality(
        "n1-split", r"\sqrt2xy-\lambda x^2\le(\sqrt2-\lambda)y^2", r"0\le x\le y,\ 0\le\lambda\le1/\sqrt2", "lemma_n1",
        "remark on splits", N1, sqrt(2) * x * y - lam * x**2, (sqrt(2) - lam) * y**2,
        {x: NONNEGATIVE, y: (x, oo), lam: (0, 1 / sqrt(2))}, Signs(),
    ),
    Inequality(
        "log-lemma", r"1-x\le-\ln x", r"x>0", "lemma_n1", "log lemma", (*N1, *NORM_FREE), 1 - x, -log(x),
        {x: NONNEGATIVE}, Split(x, 1, Falling(x, Signs()), Rising(x, Signs())),
    ),
    # ---- sign methods -----------------------------------------------------------------------------------------------
    Inequality(
        "sign-cantelli", r"\frac{2|a|s^2}{s^2+a^2}\le s", r"a\in\mathbf R,\ s\ge0", "nonconvex_signsgd", "proof",
        ("nonconvex_signsgd",), 2 * a * s**2 / (s**2 + a**2), s, {a: NONNEGATIVE, s: NONNEGATIVE},
        Signs(s * (a - s) ** 2 / (s**2 + a**2)),
    ),
    Inequality(
        "sign-gaussian", r"2x\Phi(-x)\le0.34", r"x\ge0", "nonconvex_signsgd", "proof", ("nonconvex_signsgd_gaussian",),
        x * sp.erfc(x / sqrt(2)), Rational(34, 100), {x: NONNEGATIVE},
        Split(x, 4, Intervals(), Rising(x, Vanishing(x, Signs()))),
    ),
    # ---- AdaGrad under (L0, L1)-smoothness --------------------------------------------------------------------------
    Inequality(
        "gen-kappa", r"e^r-1-r\le\frac{r^2}{c^2}(e^c-1-c)", r"0\le r\le c", "nonconvex_adagrad_gen", "assumptions",
        ("nonconvex_adagrad_gen",), exp(r) - 1 - r, r**2 / c**2 * (exp(c) - 1 - c), {r: NONNEGATIVE, c: (r, oo)},
        Times(c**2, Rising(c, Rising(c, Rising(c, Signs(), Rising(r, Rising(r, Signs()))),
                                     Times(1 / r, Rising(r, Rising(r, Signs())))))),
    ),
    Inequality(
        "gen-cosh-outward", r"\cosh(w+u)-\cosh w-u\sinh w\le(e^u-1-u)(1+\sinh w)", r"w,u\ge0", "nonconvex_adagrad_gen",
        "checked", ("nonconvex_adagrad_gen",), _cosh(w + u) - _cosh(w) - u * _sinh(w),
        (exp(u) - 1 - u) * (1 + _sinh(w)), {w: NONNEGATIVE, u: NONNEGATIVE},
        Where(w, -log(q), q, (0, 1), Times(2 * q, Rising(u, Rising(u, Rising(u, Signs(), Signs()))))),
    ),
    Inequality(
        "gen-cosh-inward", r"\cosh(w-u)-\cosh w+u\sinh w\le(e^u-1-u)(1+\sinh w)", r"w,u\ge0", "nonconvex_adagrad_gen",
        "checked", ("nonconvex_adagrad_gen",), _cosh(w - u) - _cosh(w) + u * _sinh(w),
        (exp(u) - 1 - u) * (1 + _sinh(w)), {w: NONNEGATIVE, u: NONNEGATIVE},
        Where(w, -log(q), q, (0, 1), Times(2 * q, Rising(u, Rising(u, Rising(u, Signs(), Signs()))))),
    ),
    Inequality(
        "gen-cap", r"e^c\le1+2c", r"0\le c\le1.2564", "nonconvex_adagrad_gen", "step condition",
        ("nonconvex_adagrad_gen",), exp(c), 1 + 2 * c, {c: (0, Rational(12564, 10000))}, Intervals([(c, 0, 1)]),
    ),
    Inequality(
        "gen-share", r"\sqrt2\,\frac{e^c-1-c}c\le\frac14", r"0<c\le0.317", "nonconvex_adagrad_gen", "corollary",
        ("nonconvex_adagrad_gen",), sqrt(2) * (exp(c) - 1 - c) / c, Rational(1, 4), {c: (0, Rational(317, 1000))},
        Times(c, Intervals([(c, 0, 1)])),
    ),
    Inequality(
        "gen-noise", r"\frac{\sqrt2+\mu/\sqrt2}{1-\mu}\le2.13", r"0\le\mu\le\frac14", "nonconvex_adagrad_gen",
        "corollary", ("nonconvex_adagrad_gen",), (sqrt(2) + mu / sqrt(2)) / (1 - mu), Rational(213, 100),
        {mu: (0, Rational(1, 4))}, Signs(),
    ),
    Inequality(
        "gen-lemma", r"\frac{a^2+s^2}b\le\sqrt{1+\theta^{-2}}\,\frac a{\sqrt b}",
        r"s,v\ge0,\ \theta>0,\ a\ge\theta s,\ b=v+a^2+s^2", "nonconvex_adagrad_gen", "proof",
        ("nonconvex_adagrad_gen",), (a**2 + s**2) / (v + a**2 + s**2),
        sqrt(1 + theta**-2) * a / sqrt(v + a**2 + s**2),
        {s: NONNEGATIVE, v: NONNEGATIVE, theta: NONNEGATIVE, a: (theta * s, oo)},
        Squares((a**2 + s**2) / (v + a**2 + s**2), sqrt(1 + theta**-2) * a / sqrt(v + a**2 + s**2), Signs()),
    ),
    # ---- AdaGrad in a box, and without ------------------------------------------------------------------------------
    Inequality(
        "regret-root", r"\frac{b^2-a^2}b\le2(b-a)", r"0\le a\le b", "adagrad_regret", "3", REGRET,
        (b**2 - a**2) / b, 2 * (b - a), {a: NONNEGATIVE, b: (a, oo)}, Signs(),
    ),
    Inequality(
        "sharp-maximum", r"K\sqrt{B+n}-\frac B{2\ell}\le K\sqrt n+\frac{(\ell K-\sqrt n)_+^2}{2\ell}",
        r"B,n,K\ge0,\ \ell>0", "convex_adagrad", "proof of sharp", ("convex_adagrad", "convex_adagrad_active"),
        K * sqrt(z + m**2) - z / (2 * ell), K * m + Max(ell * K - m, 0) ** 2 / (2 * ell),
        {m: NONNEGATIVE, ell: NONNEGATIVE, K: NONNEGATIVE, z: NONNEGATIVE},
        Where(z, Y**2 - m**2, Y, (m, oo), Split(K, m / ell, Signs(), Signs())),
    ),
    Inequality(
        "free-overshoot", r"\frac{\eta Lx}{Lx+\epsilon}-x\le\bigl(\sqrt\eta-\sqrt{\epsilon/L}\bigr)^2",
        r"x,\eta,\epsilon\ge0,\ L>0", "convex_adagrad_free_separable", "1", ("convex_adagrad_free_separable",),
        eta**2 * L * x / (L * x + L * e**2) - x, (eta - e) ** 2,
        {x: NONNEGATIVE, eta: NONNEGATIVE, e: NONNEGATIVE, L: NONNEGATIVE},
        Signs((x + e**2 - eta * e) ** 2 / (x + e**2)),
    ),
    Inequality(
        "free-overshoot-later", r"\frac{\eta x}{\sqrt{a^2+x^2}}-x\le\bigl(\eta^{2/3}-a^{2/3}\bigr)^{3/2}",
        r"x\ge0,\ 0<a\le\eta", "convex_adagrad_free_separable", "3", ("convex_adagrad_free_separable",),
        eta**3 * x / sqrt(alpha**6 + x**2) - x, (eta**2 - alpha**2) ** Rational(3, 2),
        {alpha: NONNEGATIVE, eta: (alpha, oo), x: NONNEGATIVE},
        Split(x, _bend, Falling(x, Falling(x, Signs())), Rising(x, Rising(x, Signs()))),
    ),
    Inequality(
        "free-first", r"\frac12\Bigl(1+\frac{p^3}2\Bigr)^2+(p(1-p))^{3/2}\le\frac98", r"0\le p\le1",
        "convex_adagrad_free_separable", "6", ("convex_adagrad_free_separable",),
        (1 + p**3 / 2) ** 2 / 2 + (p * (1 - p)) ** Rational(3, 2), Rational(9, 8), {p: (0, 1)},
        Split(p, Rational(9, 25), Where(p, x**2, x, (0, Rational(3, 5)), Intervals()),
              Where(p, 1 - z**2, z, (0, Rational(4, 5)), Intervals([(z, 0, 2)]))),
    ),
    Inequality(
        "norm-free-distance", r"2\Bigl(1-\frac1x\Bigr)\le\Bigl(1+\frac1x\Bigr)\ln x", r"x\ge1",
        "convex_adagrad_norm_free", "statement", ("convex_adagrad_norm_free",), 2 * (1 - 1 / x), (1 + 1 / x) * log(x),
        {x: (1, oo)}, Times(x, Rising(x, Rising(x, Signs()))),
    ),
    Inequality(
        "norm-free-angle", r"\sqrt6\,x+\tfrac12\eta\le\tfrac52\sqrt{x^2+\eta^2}", r"x,\eta\ge0",
        "convex_adagrad_norm_free_hp", "2", ("convex_adagrad_norm_free_hp",), sqrt(6) * x + eta / 2,
        Rational(5, 2) * sqrt(x**2 + eta**2), {x: NONNEGATIVE, eta: NONNEGATIVE},
        Squares(sqrt(6) * x + eta / 2, Rational(5, 2) * sqrt(x**2 + eta**2), Signs((x / 2 - sqrt(6) * eta) ** 2)),
    ),
    Inequality(
        "norm-free-solvable", r"\tfrac52\theta+e^\theta-1-\theta\le e^{-\theta}", r"0\le\theta\le0.28",
        "convex_adagrad_norm_free_hp", "statement", ("convex_adagrad_norm_free_hp",),
        Rational(5, 2) * theta + exp(theta) - 1 - theta, exp(-theta), {theta: (0, Rational(28, 100))}, Intervals(),
    ),
    Inequality(
        "norm-free-concave", r"(1-e^{-\mu})p\le1-e^{-\mu p}", r"\mu\ge0,\ 0\le p\le1", "convex_adagrad_norm_free_hp",
        "3", ("convex_adagrad_norm_free_hp",), (1 - exp(-mu)) * p, 1 - exp(-mu * p), {p: (0, 1), mu: NONNEGATIVE},
        Rising(mu, Times(exp(mu), Rising(mu, Signs(), Signs()))),
    ),
    Inequality(
        "norm-free-exponential", r"e^z\le1+(e-1)z", r"0\le z\le1", "convex_adagrad_norm_free_hp", "4",
        ("convex_adagrad_norm_free_hp",), exp(z), 1 + (E - 1) * z, {z: (0, 1)}, Intervals([(z, 0, 1), (z, 1, 1)]),
    ),
    Inequality(
        "active-regular", r"(G+e)^2\le(1+a)e^2+\Bigl(1+\frac1a\Bigr)G^2", r"a>0,\ G\ge0,\ e\in\mathbf R",
        "convex_adagrad_active", "4", ("convex_adagrad_active",), (G + e) ** 2, (1 + a) * e**2 + (1 + 1 / a) * G**2,
        {a: NONNEGATIVE, G: NONNEGATIVE, e: REAL}, Signs((a * e - G) ** 2 / a),
    ),
    Inequality(
        "active-move", r"ey-\frac s{2\eta}y^2\le\frac{\eta e^2}{2s}", r"y,e\in\mathbf R,\ s,\eta>0",
        "convex_adagrad_active", "2", ("convex_adagrad_active",), e * y - s * y**2 / (2 * eta), eta * e**2 / (2 * s),
        {y: REAL, e: REAL, s: NONNEGATIVE, eta: NONNEGATIVE}, Signs((eta * e - s * y) ** 2 / (2 * eta * s)),
    ),
    # ---- bounds from below ------------------------------------------------------------------------------------------
    Inequality(
        "every-step-balance", r"R^2\sqrt{\frac{d-1}6}\le\frac{R^4}{24\eta^2}+(d-1)\eta^2", r"R\ge0,\ \eta>0,\ d\ge1",
        "adagrad_every_step_lower", "proof", ("adagrad_every_step_lower",), R**2 * sqrt((d - 1) / 6),
        R**4 / (24 * eta**2) + (d - 1) * eta**2, {R: NONNEGATIVE, eta: NONNEGATIVE, d: (1, oo)},
        Signs((R**2 / (sqrt(24) * eta) - sqrt(d - 1) * eta) ** 2),
    ),
    Inequality(
        "quick-or-quiet-hand", r"0.4947\le\frac u4+\frac{1-e^{-4u}}{4u}", r"u>0", "sgd_every_step_lower", "by hand",
        ("sgd_every_step_lower",), Rational(4947, 10000), u / 4 + (1 - exp(-4 * u)) / (4 * u), {u: NONNEGATIVE},
        Times(u, Split(u, 2, Intervals([(u, 0, 1)]), Rising(u, Signs()))),
    ),
    Inequality(
        "quick-or-quiet",
        r"0.5269\le\frac u{2(2-a)}\Bigl(1-\frac\tau{a(2-a)}\Bigr)+\frac{1-e^{-4u}}{4u}",
        r"0<u\le2,\ a=0.3u,\ 0\le\tau\le10^{-4}", "sgd_every_step_lower", "by hand", ("sgd_every_step_lower",),
        Rational(5269, 10000), _return, {u: (0, 2), tau: (0, Rational(1, 10000))}, Times(u, Intervals([(u, 0, 1)])),
    ),
    Inequality(
        "separation-largest", r"\frac{(1-e^{-c})^2}{4c}\le0.1019", r"c>0", "sgd_separation_lower",
        "the separating instance", ("sgd_separation_lower",), (1 - exp(-c)) ** 2 / (4 * c), Rational(1019, 10000),
        {c: NONNEGATIVE}, Times(4 * c, Split(c, 4, Intervals([(c, 0, 1)]), Rising(c, AtLeast(
            Rational(1019, 2500) - 2 * exp(-c), Signs(2 * exp(-2 * c)), Rising(c, Signs()))))),
    ),
    Inequality(
        "drift-return", r"\frac12[h(s+m)-h(s-m)]\le\frac m{\sqrt{V+(s-m)^2}}",
        r"0\le m\le s,\ V\ge0,\ h(x)=x/\sqrt{V+x^2}", "nonconvex_adagrad_lower", "2", ("nonconvex_adagrad_lower",),
        (s + m) / sqrt(v + (s + m) ** 2) / 2 - (s - m) / sqrt(v + (s - m) ** 2) / 2, m / sqrt(v + (s - m) ** 2),
        {v: NONNEGATIVE, m: NONNEGATIVE, s: (m, oo)},
        Squares((s + m) / sqrt(v + (s + m) ** 2) / 2, (s + m) / sqrt(v + (s - m) ** 2) / 2, Signs()),
    ),
    Inequality(
        "drift-largest", r"2\sqrt\lambda\int_0^1\sqrt xe^{-\lambda x}dx\le0.759", r"\lambda>0", "adagrad_drift_lower",
        "the limit", ("adagrad_drift_lower",), 2 * sp.lowergamma(Rational(3, 2), lam) / lam, Rational(759, 1000),
        {lam: NONNEGATIVE}, Times(lam, Split(lam, 3,
            Split(lam, Rational(1, 9), Rising(lam, Where(lam, z**2, z, (0, Rational(1, 3)), Intervals())), Intervals()),
            Rising(lam, Rising(lam, Times(sqrt(lam) * exp(lam), Signs()))))),
    ),
    Inequality(
        "drift-variance", r"0.213^2\,\frac{1+\frac{25}9\ln T}{\sqrt T}\le\frac1{144}", r"T\ge10^5",
        "adagrad_without_a_box", "short step sizes", (),
        Rational(213, 1000) ** 2 * (1 + Rational(25, 9) * log(T)) / sqrt(T), Rational(1, 144), {T: (10**5, oo)},
        Where(T, 10**5 * exp(2 * z), z, (0, oo), Rising(z, Times(exp(z), Rising(z, Signs())))),
    ),
)  # fmt: skip
