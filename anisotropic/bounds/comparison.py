"""Which of two bounds is smaller, because of which term, and where does that change?

Comparing upper bounds never shows that one method beats another; only an upper bound below a proven lower bound does.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..records import FloatArray

if TYPE_CHECKING:
    from .theorem import Bound

_CAVEAT = "These are upper bounds: the smaller one does not show that its method is better."
_PROOF = "An upper bound below a lower bound: on the instance of the lower bound the first method is proven better."


class Comparison(NamedTuple):
    """Two bounds at the same constants.

    `values`, `forms` and `terms` of the two, `ratio` of the first to the second, `deciding` = the term of the larger
    bound that accounts for most of the difference, `crossings` = for "T" and for "M" the value at which the two are
    equal, all else fixed, or None where neither overtakes the other between 1 and 1e15.
    """

    names: tuple[str, str]
    values: tuple[float, float]
    forms: tuple[str, str]
    terms: tuple[dict[str, float], dict[str, float]]
    ratio: float
    deciding: str
    crossings: dict[str, float | None]
    caveat: str

    def __str__(self) -> str:
        low, high = (0, 1) if self.values[0] <= self.values[1] else (1, 0)
        if self.values[0] == self.values[1]:
            first = f"{self.names[0]} and {self.names[1]} are equal, {self.values[0]:.4g}."
        else:
            factor = self.values[high] / self.values[low] if self.values[low] > 0 else np.inf
            first = (
                f"{self.names[low]} ({self.forms[low]}) = {self.values[low]:.4g} is below {self.names[high]} "
                f"({self.forms[high]}) = {self.values[high]:.4g}, by a factor of {factor:.3g}; "
                f"the {self.deciding} term of {self.names[high]} decides."
            )
        crossed = [
            f"Neither overtakes the other along {name}." if x is None else f"They are equal at {name} = {x:.4g}."
            for name, x in self.crossings.items()
        ]
        return textwrap.fill(" ".join([first, *crossed, self.caveat]), 79)


def compare(
    first: Bound,
    second: Bound,
    *,
    step_sizes: tuple[Any, Any] = (None, None),
    form: str | None = None,
    **constants: Any,
) -> Comparison:
    """Compare two bounds on the same measure at the same constants.

    Parameters
    ----------
    first, second : Bound
    step_sizes : pair
        Of the first and of the second; None takes the tuned one.
    form : str or None
        The form of both; None takes the tightest of each. Compare like forms where the slack of a form matters.
    **constants

    Raises
    ------
    ValueError
        Where the two speak of different measures, or a constant is missing.

    Examples
    --------
    >>> import anisotropic.bounds as bounds
    >>> c = dict(L=[1.0, 0.01], sigma=0.0, R=[0.1, 1.0], D=2.0, T=100, M=1)
    >>> print(bounds.compare(bounds.convex_sgd, bounds.convex_adagrad, **c))
    convex_sgd (simple) = 0.00505 is below convex_adagrad (sharp) = 0.0404, by a
    factor of 8; the bias term of convex_adagrad decides. Neither overtakes the
    other along T. Neither overtakes the other along M. These are upper bounds: the
    smaller one does not show that its method is better.
    """
    comparable = {"average_gap", "mean_gap"}
    if first.measure != second.measure and not {first.measure, second.measure} <= comparable:
        raise ValueError(
            f"{first.name} is about {first.measure}, {second.name} about {second.measure}; compare like with like"
        )
    if constants.get("step_size") is not None:
        raise ValueError(
            "each bound has its own step size: pass step_sizes=(first, second), or leave it out for the tuned ones"
        )
    both = (first, second)

    def at(i: int, **change: Any) -> tuple[str, float]:
        c = constants | {"step_size": step_sizes[i]} | change
        return (form, both[i](form, **c)) if form is not None else both[i].tightest(**c)

    (form_a, value_a), (form_b, value_b) = at(0), at(1)
    c = [constants | {"step_size": step_size} for step_size in step_sizes]
    terms = (first.terms(form_a, **c[0]), second.terms(form_b, **c[1]))
    larger, smaller = (0, 1) if value_a >= value_b else (1, 0)
    surplus = {name: part - terms[smaller].get(name, 0.0) for name, part in terms[larger].items()}
    kinds = {first.kind, second.kind}
    return Comparison(
        (first.name, second.name),
        (value_a, value_b),
        (form_a, form_b),
        terms,
        value_a / value_b if value_b > 0 else np.inf,
        max(surplus, key=lambda name: surplus[name]),
        {
            name: _crossing(lambda x, n=name: at(0, **{n: x})[1] - at(1, **{n: x})[1])
            for name in ("T", "M")
            if any(name in b.constants for b in both) and constants.get(name) is not None
        },
        _PROOF if kinds == {"upper", "lower"} else _CAVEAT,
    )


def _crossing(difference: Any) -> float | None:
    """The first x in [1, 1e15] at which the difference changes its sign."""
    from scipy.optimize import brentq

    grid = np.linspace(0, np.log(1e15), 61)
    signs = [np.sign(difference(float(np.exp(x)))) for x in grid]
    for i in range(60):
        if signs[i] * signs[i + 1] < 0:
            root = brentq(lambda x: difference(float(np.exp(x))), grid[i], grid[i + 1], xtol=1e-12)
            return float(np.exp(root))
    return None


def smooth_ratio(L: ArrayLike, D: ArrayLike) -> float:
    """sum L_j D_j^2 / (max L_j sum D_j^2): AdaGrad's smoothness beside AdaGrad-Norm's; in [1/d, 1] on a cube.

    >>> smooth_ratio([1.0, 0.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0])
    0.25
    """
    smooth, width = np.broadcast_arrays(np.asarray(L, dtype=float), np.asarray(D, dtype=float))
    return float(np.sum(smooth * width**2) / (np.max(smooth) * np.sum(width**2)))


def noise_ratio(sigma: ArrayLike, D: ArrayLike) -> float:
    """sum sigma_j D_j / (|sigma|_2 |D|_2): AdaGrad's noise beside AdaGrad-Norm's; in [1/sqrt(d), 1] on a cube.

    >>> noise_ratio([1.0, 0.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0])
    0.5
    """
    level, width = np.broadcast_arrays(np.asarray(sigma, dtype=float), np.asarray(D, dtype=float))
    return float(np.sum(level * width) / np.sqrt(np.sum(level**2) * np.sum(width**2)))


def power_law(d: int, alpha: float) -> FloatArray:
    """The profile j^-alpha for j = 1..d. Its smooth ratio on a cube is about zeta(alpha)/d, ln(d)/d at alpha = 1.

    >>> power_law(3, 1.0).round(3).tolist()
    [1.0, 0.5, 0.333]
    """
    return np.arange(1.0, d + 1) ** -alpha


def dimension_exponent(bound: Bound, d: int, alphas: dict[str, float], **constants: Any) -> float:
    """d ln(bound)/d ln(dimension) between d and 2d, when each constant named in `alphas` is a power law j^-alpha.

    Examples
    --------
    >>> import anisotropic.bounds as bounds
    >>> flat = dimension_exponent(bounds.convex_sgd, 100, {"L": 0, "sigma": 0, "R": 0}, T=10, M=1)
    >>> round(flat, 6)
    1.0
    """
    if d < 1:
        raise ValueError(f"d = {d}; expected at least one coordinate")
    low, high = (
        bound(None, **{name: power_law(size, alpha) for name, alpha in alphas.items()}, d=size, **constants)
        for size in (d, 2 * d)
    )
    return float(np.log2(high / low))
