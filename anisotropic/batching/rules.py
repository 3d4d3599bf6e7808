r"""Which tests are there? Norm test, (augmented) inner-product test, coordinate-wise norm test, noise scale.

Each asks whether the batch gradient g of b samples is good enough, and if not, how large a batch would be:
with V_j the variance of one sample in coordinate j and r = V / (eta^2 \|g\|^2) the wanted size, the next batch is
ceil(r), never smaller than now unless asked. Three forms: "exact" uses the true gradient and variance (an oracle);
"plug_in" the batch's own; "unbiased" corrects \|g\|^2 by V / b, and doubles the batch where that is not positive.

Everything here is plain Python, so that a training loop can ask the rules without a compiler; `resize` compiles the
same functions for a simulation.

The plug-in norm test equals the exact one with eta^2 / (1 - eta^2) in place of eta^2, and at eta >= 1 it does not see
noise at all: derived in docs/theory/batch_tests.md.

References
----------
Byrd, Chin, Nocedal, Wu, Math. Program. 134, 2012 (norm test). Bollapragada, Byrd, Nocedal, SIAM J. Optim. 28, 2018,
arXiv 1710.11258 (inner-product test). Lau, Liu, Kolar, arXiv 2402.11215 (with AdaGrad). McCandlish et al., arXiv
1812.06162 (noise scale).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from ..records import BatchRule, count, float_parameter
from ..records.vocabulary import FORMS, one_of

#: What the floor of a coordinate test may add to the relative noise before it counts as acting.
FLOOR_SHARE = 1.01


class NormTest(NamedTuple):
    """eta, and whether the squared norm is corrected; finite-population correction."""

    eta: float
    unbiased: bool
    correct: bool


class InnerProduct(NamedTuple):
    """theta, nu, whether the squared norm is corrected, correction, and the backup's number of gradients and gamma."""

    theta: float
    nu: float
    unbiased: bool
    correct: bool
    backup: int
    gamma: float


class Coordinates(NamedTuple):
    """eta, and the floor under the squared entries."""

    eta: float
    floor: float
    unbiased: bool
    correct: bool


class Scale(NamedTuple):
    """Multiple of the noise scale."""

    c: float
    unbiased: bool


def finite(wanted, population, correct):
    """Sampling n rows without replacement needs r n / (n - 1 + r) where replacement would need r."""
    if not correct or population == 0:
        return wanted
    if wanted > 1e15:
        return float(population)
    return wanted * population / (population - 1.0 + wanted)


def bounded(batch, wanted, shrink, max_batch):
    """The next batch: whole, within the cap, and not smaller unless the rule may shrink it."""
    low = 2 if shrink else batch
    if not wanted > low:
        return low
    return max_batch if wanted >= max_batch else int(math.ceil(wanted))


def ratio(variance, scale, square, batch, unbiased):
    """variance / (scale square), with the square corrected for its bias variance / batch where asked."""
    if unbiased:
        square -= variance / batch
        if square <= 0.0:
            return 2.0 * batch
    if square <= 0.0:
        return 1e300 if variance > 0.0 else float(batch)
    return variance / (scale * square)


def norm_decide(batch, gradient, variance, projected_variance, population, t, history, rule):
    """V / (eta^2 |g|^2)."""
    total = square = 0.0
    for j in range(gradient.size):
        total += variance[j]
        square += gradient[j] * gradient[j]
    return finite(ratio(total, rule.eta * rule.eta, square, batch, rule.unbiased), population, rule.correct)


def inner_product_decide(batch, gradient, variance, projected_variance, population, t, history, rule):
    """The larger of Var<g_i, g> / (theta^2 |g|^4) and (V - Var<g_i, g> / |g|^2) / (nu^2 |g|^2).

    With a backup the last gradients' average takes the place of g where it is shorter than gamma |g|.
    """
    total = square = 0.0
    for j in range(gradient.size):
        total += variance[j]
        square += gradient[j] * gradient[j]
    if rule.backup > 0:
        slot, seen, average = (t - 1) % rule.backup, min(t, rule.backup), 0.0
        for j in range(gradient.size):
            history[slot, j] = gradient[j]
            entry = 0.0
            for i in range(seen):
                entry += history[i, j]
            average += (entry / seen) ** 2
        if seen == rule.backup and average < rule.gamma * rule.gamma * square:
            projected_variance *= average / square if square > 0.0 else 1.0
            square = average
    beside = max(total - (projected_variance / square if square > 0.0 else 0.0), 0.0)
    wanted = ratio(beside, rule.nu * rule.nu, square, batch, rule.unbiased)
    if square > 0.0:
        wanted = max(wanted, ratio(projected_variance / square, rule.theta * rule.theta, square, batch, rule.unbiased))
    return finite(wanted, population, rule.correct)


def coordinate_decide(batch, gradient, variance, projected_variance, population, t, history, rule):
    """The largest of V_j / (eta^2 (g_j^2 + floor)) over the coordinates."""
    wanted = 0.0
    for j in range(gradient.size):
        square = gradient[j] * gradient[j]
        if rule.unbiased:
            square = max(square - variance[j] / batch, 0.0)
        wanted = max(wanted, variance[j] / (rule.eta * rule.eta * (square + rule.floor)))
    return finite(wanted, population, rule.correct)


def scale_decide(batch, gradient, variance, projected_variance, population, t, history, rule):
    """c V / |g|^2."""
    total = square = 0.0
    for j in range(gradient.size):
        total += variance[j]
        square += gradient[j] * gradient[j]
    return ratio(total, 1.0 / rule.c, square, batch, rule.unbiased)


def relative_noise(rule: BatchRule) -> float:
    """rho with E |g - G|^2 <= rho |G|^2, for the coordinate test in every coordinate, where neither cap nor floor act.

    eta^2 for the norm test, theta^2 + nu^2 for the augmented inner-product test, 1/c for the noise scale, 1.01 eta^2
    for the coordinate test: its floor adds a little to every square, and one percent is granted to it.
    """
    p = rule.params
    if isinstance(p, Coordinates):
        return FLOOR_SHARE * p.eta**2
    if isinstance(p, InnerProduct):
        return p.theta**2 + p.nu**2
    if isinstance(p, Scale):
        return 1 / p.c
    return p.eta**2 if isinstance(p, NormTest) else float("inf")


def _unbiased(form: str) -> bool:
    return one_of(form, FORMS, "form") == "unbiased"


def _rule(
    name: str, decide: Callable, params: Any, form: str, start: int, max_batch: int | None, interval: int, shrink: bool,
    slots: int = 0,
) -> BatchRule:  # fmt: skip
    return BatchRule(
        name, decide, params, start=start, max_batch=max_batch, interval=interval, shrink=shrink, slots=slots, form=form
    )


def norm_test(
    eta: float, form: str = "plug_in", max_batch: int | None = None, *, start: int = 2, interval: int = 1,
    shrink: bool = False, finite_population: bool = False,
) -> BatchRule:  # fmt: skip
    r"""Norm test: enlarge the batch unless V / b <= eta^2 \|g\|^2.

    Parameters
    ----------
    eta : float
        Positive. The plug-in form with eta >= 1 cannot see noise and warns.
    form : {"plug_in", "exact", "unbiased"}
    max_batch : int, optional
        Cap; default none (for a finite sum: its number of rows).
    start : int
        First batch, at least 2 (the variance of one sample is not defined) unless the form is exact.
    interval : int
        Test every so many iterations.
    shrink : bool
        Whether the batch may become smaller.
    finite_population : bool
        For rows drawn without replacement: r n / (n - 1 + r) in place of r.

    Examples
    --------
    >>> import anisotropic as an
    >>> an.batching.norm_test(0.5).params.eta
    0.5
    """
    eta = float_parameter(eta, "eta")
    unbiased = _unbiased(form)
    if form == "plug_in" and eta >= 1.0:
        warnings.warn(
            f"the plug-in norm test with eta = {eta:g} >= 1 cannot see noise: |g|^2 itself contains V / b; "
            "use eta < 1, or form='unbiased'",
            stacklevel=2,
        )
    params = NormTest(eta, unbiased, bool(finite_population))
    return _rule("norm test", norm_decide, params, form, start, max_batch, interval, shrink)


def inner_product_test(
    theta: float, nu: float, form: str = "plug_in", max_batch: int | None = None, *, start: int = 2, interval: int = 1,
    shrink: bool = False, finite_population: bool = False, backup: int = 0, gamma: float = 0.38,
) -> BatchRule:  # fmt: skip
    r"""Augmented inner-product test: Var<g_i, g> / b <= theta^2 \|g\|^4 and the rest / b <= nu^2 \|g\|^2.

    Where the noise has effective rank above 1 / theta^2 the plug-in form goes blind at the noise floor, and its second
    half never fires for nu >= 1; `simulate` warns with the rank. ``nu=inf`` leaves the inner-product half alone.

    Parameters
    ----------
    theta, nu : float
        Positive.
    backup : int
        Keep the last `backup` gradients (10 in the source) and use their average in place of g where its norm is below
        `gamma` times that of g; 0 is off.
    form, max_batch, start, interval, shrink, finite_population
        As for `norm_test`.
    """
    theta, gamma = float_parameter(theta, "theta"), float_parameter(gamma, "gamma")
    nu = 1e150 if nu == float("inf") else float_parameter(nu, "nu")
    unbiased = _unbiased(form)
    params = InnerProduct(theta, nu, unbiased, bool(finite_population), count(backup, "backup", low=0), gamma)
    return _rule(
        "inner-product test", inner_product_decide, params, form, start, max_batch, interval, shrink, params.backup
    )


def coordinate_norm_test(
    eta: float, floor: float, form: str = "plug_in", max_batch: int | None = None, *, start: int = 2, interval: int = 1,
    shrink: bool = False, finite_population: bool = False,
) -> BatchRule:  # fmt: skip
    """Norm test in every coordinate: V_j / b <= eta^2 (g_j^2 + floor) for all j.

    Without a floor one coordinate whose gradient vanishes asks for an infinite batch; floor > 0 is required.
    """
    eta, floor = float_parameter(eta, "eta"), float_parameter(floor, "floor")
    params = Coordinates(eta, floor, _unbiased(form), bool(finite_population))
    return _rule("coordinate norm test", coordinate_decide, params, form, start, max_batch, interval, shrink)


def noise_scale(
    c: float, form: str = "unbiased", max_batch: int | None = None, *, start: int = 2, interval: int = 1,
    shrink: bool = False,
) -> BatchRule:  # fmt: skip
    r"""Batch = c times the simple noise scale V / \|G\|^2: the norm test with eta = c^(-1/2), by its other name."""
    params = Scale(float_parameter(c, "c"), _unbiased(form))
    return _rule("noise scale", scale_decide, params, form, start, max_batch, interval, shrink)
