"""What does the family of the search hold? Pseudo-Huber functions, noise laws, starts and horizons, each by a number.

The functions are quadratic near the minimizer and linear far from it, in [-1, 1]^d or without a box; with a minimizer
outside the box its corner is active. The noise is two-point with probabilities down to a millionth, signs, two-point
in a first phase and signs after it, or Gaussian with a part that grows with the gradient. Bounds about the
Polyak-Lojasiewicz constant or about quadratics get quadratics, those about (L0, L1) hyperbolic cosines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from .. import batching, noises, optimizers, problems, schedules
from ..bounds import symbols
from ..bounds.comparison import power_law
from ..bounds.theorem import Bound
from ..records import BatchRule, FloatArray, Noise, Objective, Optimizer
from ..simulation.assemble import certified_constants
from .cells import Setup

Axes = dict[str, tuple[float, float]]
Point = Mapping[str, float]
#: From the constants of a problem, the trial step size among them, a method of one's own.
MakeOptimizer = Callable[[dict[str, Any]], Optimizer]

#: Probability of failure at which a pathwise bound is searched.
DELTA = 0.05
#: Updates of single coordinates in one trajectory; horizons end where that many are made.
MOST_UPDATES = 100_000
LAWS = ("two-point", "signs", "two-phase", "affine")
#: Where an axis stands in a point that does not name it.
NEUTRAL = {"law": 0.5, "log10_rare": 0.0, "first_phase": 0.5, "log10_rho": 0.0, "box": 0.0, "centre": 0.0}

#: Points at which theory says that one term is needed; what a bound has no axis for is left out.
_ANCHORS: tuple[dict[str, float], ...] = (
    # a slope as large as the noise: every second sign is wrong, and the walk does not come down
    {"log2_steps": 17.0, "log10_sigma": -1.3, "law": 1.5, "start": 1.0, "log10_width": -1.3, "log10_step": -2.8},
    # a slope of 0.752 sigma, where a Gaussian error costs most, so long that it lasts to the horizon
    {"log2_steps": 17.0, "log10_sigma": -1.876, "start": 1.0, "log10_width": -2.0, "log10_step": -4.738},
    # an active corner with a slope far below the noise: rare jumps away from it, a slow way back
    {"log2_steps": 17.0, "log10_sigma": 0.2, "box": 1.0, "centre": 2.0, "start": 1.0, "log10_width": -1.0, "skew": 0.1,
     "log10_step": -2.0},
    # a slope below the noise inside a box, and AdaGrad with a long step size
    {"log2_steps": 17.0, "log10_sigma": -1.75, "law": 1.5, "centre": 0.12, "start": 0.9, "log10_width": -2.2,
     "log10_step": 0.75, "log10_eps": -2.0},
    # rare jumps, which AdaGrad does not see while the small values of the noise push it away
    {"log2_steps": 9.0, "log10_sigma": 0.0, "start": 0.0, "log10_width": -1.5, "skew": 0.02, "log10_rare": -1.3,
     "log10_step": -0.52, "log10_eps": -2.0},
    # the same for sqrt(T) iterations, then signs, which keep the gradient where it is
    {"log2_steps": 17.0, "log10_sigma": 0.0, "start": 0.0, "law": 2.5, "log10_width": -1.3, "skew": 0.02,
     "log10_rare": -1.1, "log10_step": 0.0, "log10_eps": -3.0},
    # variance that grows with the gradient, from far away
    {"log2_steps": 9.0, "log10_sigma": -3.0, "start": 1.0, "law": 3.5, "log10_width": 2.0, "log10_rho": 1.0,
     "log10_step": -1.1},
)  # fmt: skip


@lru_cache(maxsize=64)
def laws(bound: Bound) -> tuple[str, ...]:
    """The noise laws that the family tries for a bound; empty for one that is about a single law."""
    narrow = {*bound.requires.laws, *bound.requires.noises}
    if bound.kind == "lower" or (narrow and "bounded" not in narrow):
        return ()
    relative = "rho" in bound.constants and not any(c.rel_op == "==" and c.lhs == symbols.rho for c in bound.conditions)
    return LAWS if relative else LAWS[:3]


def _own_steps(bound: Bound) -> bool:
    used = [set(form.needs) for form in bound.summands.values()]
    return any(symbols.step_size in u for u in used)


def _boxed(bound: Bound, at: Point = NEUTRAL) -> bool:
    """Whether iterates are clipped: where the bound needs it, and else where the point says so."""
    return bool(bound.requires.box) or (bound.requires.box is None and "D" in bound.constants) or at.get("box", 0) > 0.5


def _box_is_open(bound: Bound) -> bool:
    return bound.requires.box is None and "D" not in bound.constants and bound.kind != "lower"


def _longer(bound: Bound, axes: Axes) -> None:
    """Room that is worth having once horizons reach 10^5: small steps, sharp kinks, rare jumps, other laws."""
    if bound.kind == "lower":
        return
    axes |= {"log2_steps": (0.0, float(np.log2(MOST_UPDATES))), "log10_width": (-3.0, 2.0), "log10_step": (-5.0, 1.0)}
    if choices := laws(bound):
        axes |= {"law": (0.0, len(choices) - 1e-9), "log10_rare": (-4.0, 0.0), "first_phase": (0.0, 1.0)}
    if "affine" in choices:
        axes["log10_rho"] = (-2.0, 1.0)


#: What instances on vectors and on matrices have in common: batch, profiles of the constants, start and step size.
SHARED_AXES: Axes = {
    "log2_batch": (0.0, 6.0),
    "curvature_decay": (0.0, 3.0),
    "log10_sigma": (-3.0, 2.0),
    "sigma_decay": (-2.0, 3.0),
    "centre": (-1.0, 1.0),
    "start": (-1.0, 1.0),
    "start_decay": (0.0, 2.0),
    "log10_width": (-2.0, 2.0),
    "skew": (0.02, 0.98),
    "log10_step": (-2.5, 1.0),
}


def huber_axes(bound: Bound) -> Axes:
    """What may vary for a bound; lengths are in units of half the box, smoothness of the first coordinate is 1."""
    axes = {"dim": (1.0, 6.99), "log2_steps": (0.0, 9.0)} | SHARED_AXES
    _longer(bound, axes)
    if "interior minimizer" not in bound.requires.properties:
        axes["centre"] = (-2.0, 2.0)
    if _box_is_open(bound):
        axes["box"] = (0.0, 1.0)
    if "schedule" in bound.constants:
        axes["power"] = (0.0, 3.0)
    if _own_steps(bound):
        axes["step_decay"] = (-3.0, 3.0)
    without = any(c.rel_op == "==" and c.lhs == symbols.uniform_eps for c in bound.conditions)
    if "eps" in bound.constants and not without:
        axes["log10_eps"] = (-4.0, 2.0)
    if "beta" in bound.constants:
        axes["log10_forgetting"] = (-3.0, -0.01)
    if "mu" in bound.constants or "quadratic" in bound.requires.objectives:
        del axes["log10_width"]
    if "L1" in bound.constants:
        axes |= {"log10_width": (-1.0, 0.5), "start": (-2.0, 2.0)}
    if bound.requires.batch_test_always_holds:
        del axes["log2_batch"]
        axes["log10_eta"] = (-1.0, 0.3)
    if bound.requires.noises == {"none"} or bound.requires.laws == {"none"}:
        for name in ("log2_batch", "log10_sigma", "sigma_decay", "skew"):
            axes.pop(name, None)
    if "jump_probability" in bound.constants:
        del axes["skew"]
        axes |= {"log10_p": (-4.0, -0.3), "start": (0.0, 0.0)}  # from the minimizer, so that only the noise counts
    if "first_phase" in bound.constants:
        del axes["log2_batch"]
        axes["log2_first_phase"] = (0.0, 9.0)
    if not _boxed(bound) and "box" not in axes:
        del axes["centre"]
    return axes


def huber_anchors(bound: Bound) -> list[dict[str, float]]:
    """Points of the box that a search looks at first: one dimension, one sample, and what `_ANCHORS` says."""
    axes = huber_axes(bound)
    plain = NEUTRAL | {"dim": 1.0, "skew": 0.5}
    found = []
    for anchor in _ANCHORS:
        at = {name: (plain | anchor).get(name, 0.0) for name in axes}
        found.append({name: float(np.clip(x, *axes[name])) for name, x in at.items()})
    return found if bound.kind != "lower" else []


def _objective(bound: Bound, at: Point, dim: int) -> Objective:
    curvature = power_law(dim, at["curvature_decay"])
    place: dict[str, Any] = {"center": at.get("centre", 0.0), "box": (-1.0, 1.0) if _boxed(bound, at) else None}
    if "L1" in bound.constants:
        return problems.cosh(curvature, 10 ** at["log10_width"], **place)
    if "Huber" in bound.requires.objectives:
        return problems.huber(curvature, 10 ** at["log10_width"], **place)
    if "log10_width" in at:
        return problems.pseudo_huber(curvature, 10 ** at["log10_width"], **place)
    return problems.quadratic(curvature, **place)


def prescribed(bound: Bound, known: Mapping[str, Any]) -> dict[str, float]:
    """What a theorem fixes by an equality: its step size, its momentum; 0 where that is impossible.

    >>> from anisotropic import bounds
    >>> prescribed(bounds.deklerk_gd, {"L": np.array([1.0, 0.5]), "mu": 0.5})
    {'step_size': 1.3333333333333333}
    """
    found: dict[str, float] = {}
    for condition in bound.conditions:
        name = symbols.constant_name(condition.lhs) if condition.lhs.is_Symbol else ""
        if condition.rel_op == "==" and name in ("step_size", "momentum"):
            with np.errstate(invalid="ignore"):
                value = float(symbols.evaluate(condition.rhs, dict(known) | found))
            found[name] = value if 0 <= value < (1 if name == "momentum" else np.inf) else 0.0
    return found


def _prescribed(bound: Bound, at: Point, dim: int) -> dict[str, float]:
    curvature = power_law(dim, at["curvature_decay"])
    return prescribed(bound, {"L": curvature, "mu": curvature.min(), "step_size": 10 ** at["log10_step"]})


def _step_size(bound: Bound, at: Point, dim: int) -> Any:
    size: Any = _prescribed(bound, at, dim).get("step_size", 10 ** at["log10_step"])
    if "step_decay" in at:
        size = size * power_law(dim, at["step_decay"])
    return schedules.polynomial(size, _steps(at), at["power"]) if "power" in at else size


def _optimizer(bound: Bound, at: Point, dim: int) -> Optimizer:
    step_size = _step_size(bound, at, dim)
    name = next(iter(bound.requires.optimizers), "sgd")
    if name in ("sgd", "sign_sgd"):
        return getattr(optimizers, name)(step_size)
    if name == "heavy_ball" and "momentum" in (fixed := _prescribed(bound, at, dim)):
        return optimizers.heavy_ball(step_size, fixed["momentum"])
    eps = 10 ** at["log10_eps"] if "log10_eps" in at else 0.0
    if name == "rmsprop":
        return optimizers.rmsprop(step_size, beta=1 - 10 ** at["log10_forgetting"], eps=eps)
    if name not in ("adagrad", "adagrad_norm"):
        raise ValueError(
            f"family 'huber' has no optimizer {name!r}; pass make_optimizer=, or a family of your own for {bound.name}"
        )
    return getattr(optimizers, name)(step_size, eps=eps, preset=bound.requires.preset or "convex")


def _batch(bound: Bound, at: Point) -> int | BatchRule:
    if not bound.requires.batch_test_always_holds:
        return round(2 ** at.get("log2_batch", 0.0))
    if "norm test" in (bound.requires.batch or ()):
        return batching.norm_test(10 ** at["log10_eta"], form="exact")
    return batching.coordinate_norm_test(10 ** at["log10_eta"], 1e-12, form="exact")


def _probability(at: Point) -> float:
    """Of the positive value of a two-point noise: `skew`, where that value or the other one may be made rarer."""
    if "log10_p" in at:
        return 10 ** at["log10_p"]
    rarer, p = 10 ** at.get("log10_rare", 0.0), at["skew"]
    return p * rarer if p <= 0.5 or rarer == 1.0 else 1 - (1 - p) * rarer


def _law(bound: Bound, at: Point) -> str:
    choices = laws(bound)
    return choices[int(at.get("law", NEUTRAL["law"]))] if choices else ""


def _steps(at: Point) -> int:
    return min(round(2 ** at["log2_steps"]), MOST_UPDATES // int(at["dim"]))


def _noise(bound: Bound, at: Point, sigma: FloatArray) -> Noise:
    if {"gaussian"} & {*bound.requires.laws, *bound.requires.noises}:
        return noises.gaussian(sigma)
    law, p = _law(bound, at), _probability(at)
    if "log2_first_phase" in at:
        return noises.two_phase(sigma, p, round(2 ** at["log2_first_phase"]))
    if law == "two-phase":
        return noises.two_phase(sigma, p, round(_steps(at) ** at.get("first_phase", NEUTRAL["first_phase"])))
    if law == "affine":
        return noises.affine(sigma, 10 ** at.get("log10_rho", NEUTRAL["log10_rho"]))
    return noises.two_point(sigma, 0.5 if law == "signs" else p)


def huber_setup(bound: Bound, at: Point, make_optimizer: MakeOptimizer | None = None) -> Setup:
    """The setup of a point, with the optimizer that the bound asks for or the one that is made for it."""
    dim = int(at["dim"])
    f = _objective(bound, at, dim)
    steps, batch, noise = _steps(at), _batch(bound, at), noises.none()
    if "log10_sigma" in at:
        noise = _noise(bound, at, 10 ** at["log10_sigma"] * power_law(dim, at["sigma_decay"]))
    base = at.get("centre", 0.0)
    start = base + (at["start"] - base) * power_law(dim, at["start_decay"])
    start = np.clip(start, -1.0, 1.0) if _boxed(bound, at) else start
    constants: dict[str, Any] = {"delta": DELTA} if bound.probability else {}
    if make_optimizer is None:
        method = _optimizer(bound, at, dim)
    else:
        trial = optimizers.sgd(_step_size(bound, at, dim))
        method = make_optimizer(certified_constants(f, trial, noise, start, steps, batch))
        if not isinstance(method, Optimizer):
            raise TypeError(f"make_optimizer returned {method!r}; expected an Optimizer such as an.optimizers.sgd(0.1)")
    return Setup(bound, f, method, noise, start, steps, batch, 64, records=8, constants=constants)


def huber_words(bound: Bound, at: Point) -> str:
    """A point in one line, profiles as powers of the number j of the coordinate."""
    dim = int(at["dim"])

    def profile(factor: float, decay: float = 0.0) -> str:
        power = f"j^{-decay:.2g}" if dim > 1 and decay else ""
        return power if power and factor == 1 else f"{factor:.3g} {power}".strip()

    shape = f"L_j = {profile(1.0, at['curvature_decay'])}"
    if "L1" in bound.constants:
        shape = f"cosh with L0_j = {profile(1.0, at['curvature_decay'])}, L1 = {10 ** at['log10_width']:.3g}"
    elif "log10_width" in at:
        shape += f", Huber width {10 ** at['log10_width']:.3g}"
    said = [f"d = {dim}", shape, *["box"] * (at.get("box", 0) > 0.5)]
    if "log2_batch" in at:
        said.insert(1, f"M = {_batch(bound, at)}")
    if "log10_eta" in at:
        said.append(f"{next(iter(bound.requires.batch or ()))} at {10 ** at['log10_eta']:.3g}")
    if "log10_sigma" in at:
        said.append(f"sigma_j = {profile(10 ** at['log10_sigma'], at['sigma_decay'])}")
        said.append(_noise_words(bound, at))
    if "centre" in at:
        said.append(f"w* = {at['centre']:.2g}")
    said.append(f"w_0 - w* = {profile(at['start'] - at.get('centre', 0.0), at['start_decay'])}")
    fixed = _prescribed(bound, at, dim)
    said.append(f"step size {profile(fixed.get('step_size', 10 ** at['log10_step']), at.get('step_decay', 0.0))}")
    if "momentum" in fixed:
        said.append(f"momentum {fixed['momentum']:.3g}")
    if "power" in at:
        said.append(f"times ((N + 1 - t)/N)^{at['power']:.2g}, N = {_steps(at)}")
    if "log10_eps" in at:
        said.append(f"eps {10 ** at['log10_eps']:.2g}")
    if "log10_forgetting" in at:
        said.append(f"beta {1 - 10 ** at['log10_forgetting']:.3g}")
    return ", ".join(said)


def _noise_words(bound: Bound, at: Point) -> str:
    noise, law, p = _noise(bound, at, np.ones(1)), _law(bound, at), _probability(at)
    if noise.name == "gaussian":
        return "gaussian noise"
    if law == "signs":
        return "noise of random signs"
    if law == "affine":
        return f"gaussian noise with rho = {noise.rho:.2g}"
    phases = f", signs after {noise.params.first_phase:.0f} iterations" if noise.name == "two_phase" else ""
    return f"two-point noise, p = {p:.2g}{phases}"
