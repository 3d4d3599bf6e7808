"""What does a gradient that does not vanish at the minimizer cost AdaGrad in a box? A constant, not a term in sqrt(T).

With G* the gradient at the minimizer over the box, g = G* + e. G* itself keeps an iterate at the active constraint:
moves away from it need noise that outweighs G*, and a regular gradient adds little to an accumulator that carries G*
already. Two numbers of the proof are free: `share` (how much of sum G* |w - w*| is charged to the gap) and `spread`
(how the square of G* + e is split). Any choice is a theorem; the best one is found by numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import Eq, Gt, log, sqrt

from .forms import Solver
from .symbols import D, G_star, L, M, T, eps, larger, scalar, sigma, step_size, total


def leftover(price: Any, smooth: Any, noise: Any) -> float:
    """``sum max(price smooth - noise, 0)^2 / (2 smooth)``: what smoothness adds to the noise if co-coercivity is kept.

    It is the maximum over B >= 0 of ``price (sqrt(B + noise^2) - noise) - B/(2 smooth)``, summed over coordinates.

    >>> leftover(2.0, 1.0, 0.5)
    1.125
    """
    price, smooth, noise = np.broadcast_arrays(*map(np.atleast_1d, (price, smooth, noise)))
    live = smooth > 0
    return float(np.sum(np.maximum(price * smooth - noise, 0)[live] ** 2 / (2 * smooth[live])))


def _parts(values: dict[str, Any], share: float, spread: float) -> dict[str, float]:
    """T times the bound, by terms, for one choice of the two free numbers."""
    width, eta, e, smooth, star = (np.asarray(values[n]) for n in ("D", "step_size", "eps", "L", "G_star"))
    noise = np.asarray(values["sigma"]) / np.sqrt(values["M"])
    reach = np.sqrt(smooth * np.sum(smooth * width**2))
    rounds = 2 * np.log1p(np.sqrt(values["T"] * ((star + reach) ** 2 + noise**2)) / e)
    ratio, held = width / eta, star > 0
    price = np.where(
        held, (1 + spread) * width * ratio / 2 + eta * (1 + np.sqrt(rounds)), width * ratio / 2 + eta
    )
    steps = np.sqrt(((1 + 1 / spread) * ratio / (2 * share)) ** 2 + 1) if share > 0 else np.zeros_like(ratio)
    level = noise * np.sqrt(values["T"])
    parts = {
        "bias": leftover(price, smooth, level),
        "noise": np.sum(price * level),
        "eps": np.sum(e * width * ratio / 2),
        "active": np.sum(star * width * (1 + (1 + 1 / spread) * ratio * steps)),
    }
    return {name: float(part) / (1 - share) for name, part in parts.items()}


def _late(values: dict[str, Any]) -> dict[str, float]:
    from scipy.optimize import minimize

    if not np.any(np.asarray(values["G_star"]) > 0):
        return {name: part / values["T"] for name, part in _parts(values, 0.0, 1.0).items()}

    def free(at: Any) -> tuple[float, float]:
        share, spread = np.exp(np.clip(at, -40, 40))
        return share / (1 + share), spread

    def size(at: Any) -> float:
        return float(np.log(sum(_parts(values, *free(at)).values())))

    starts = [np.log([odds, spread]) for odds in (1.0, 0.01) for spread in (1.0, 0.1)]
    first = min(starts, key=size)
    best = minimize(size, first, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-9, "maxiter": 200})
    return {name: part / values["T"] for name, part in _parts(values, *free(best.x)).items()}


def _equation() -> Eq:
    share, spread, n = scalar("theta"), scalar("a"), sigma * sqrt(T / M)
    rounds = 2 * log(1 + sqrt(T * ((G_star + sqrt(L * total(L * D**2))) ** 2 + sigma**2 / M)) / eps)
    price = (1 + spread) * D**2 / (2 * step_size) + step_size * (1 + sqrt(rounds))
    steps = sqrt(((1 + 1 / spread) * D / (2 * share * step_size)) ** 2 + 1)
    kept = G_star * D * (1 + (1 + 1 / spread) * D / step_size * steps)
    smooth = larger(price * L - n, 0) ** 2 / (2 * L)
    return Eq(
        scalar("S"),
        total(smooth + price * n + eps * D**2 / (2 * step_size) + kept) / ((1 - share) * T),
        evaluate=False,
    )


late = Solver(_late, (L, sigma, D, step_size, eps, T, M, G_star), _equation(), (Gt(eps, 0),))
