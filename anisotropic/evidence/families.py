"""Which instances may a search try? Families of setups, each a box of numbers, and instances that can be written down.

A family turns a point of its box into a `Setup` inside the assumptions of a bound, or very nearly: what violates a
hypothesis is sorted out by the same check that `verify` makes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import batching, bounds, noises, optimizers, problems
from ..bounds import symbols
from ..bounds.comparison import power_law
from ..bounds.theorem import Bound
from ..records import BatchRule, FloatArray, Noise, Objective, Optimizer, Run
from .cells import Setup

Axes = dict[str, tuple[float, float]]
#: Probability of failure at which a pathwise bound is searched.
DELTA = 0.05


def _numbers(bound: Bound, at: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {value:.3g}" for name, value in at.items())


@dataclass(frozen=True)
class Family:
    """A named box of numbers for each bound, the setup that belongs to a point of it, and that point in words."""

    name: str
    axes: Callable[[Bound], Axes]
    build: Callable[[Bound, Mapping[str, float]], Setup]
    words: Callable[[Bound, Mapping[str, float]], str] = _numbers


@dataclass(frozen=True)
class Instance:
    """A point of a family at which a bound was looked at after `steps` updates; ``instance()`` simulates it again."""

    bound: Bound
    family: Family
    point: Mapping[str, float]
    steps: int

    def setup(self) -> Setup:
        """The setup, run to the horizon that counts."""
        return self.family.build(self.bound, self.point).with_(steps=self.steps, records=1)

    def __call__(self, *, replicas: int = 4096, seed: int = 0, **changes: Any) -> Run:
        """Simulate."""
        return self.setup()(replicas=replicas, seed=seed, **changes)

    def __str__(self) -> str:
        return f"T = {self.steps}, {self.family.words(self.bound, self.point)}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {"bound": self.bound.name, "family": self.family.name, "steps": self.steps, "point": dict(self.point)}

    def save(self, path: str | Path) -> Path:
        """Write a JSON file that `load_instance` reads back."""
        path = Path(path)
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n")
        return path


def instance_from(content: Mapping[str, Any], bound: Bound | None = None, family: Family | None = None) -> Instance:
    """The instance that `Instance.to_dict` described; a bound or a family of one's own is given again."""
    bound = bounds[content["bound"]] if bound is None else bound  # type: ignore[index]
    family = FAMILIES.get(content["family"]) if family is None else family
    if family is None:
        raise ValueError(f"family {content['family']!r} is not one of {', '.join(FAMILIES)}; pass your own by family=")
    return Instance(bound, family, dict(content["point"]), int(content["steps"]))


def load_instance(path: str | Path, bound: Bound | None = None, family: Family | None = None) -> Instance:
    """Read an instance that `Instance.save` wrote."""
    return instance_from(json.loads(Path(path).read_text()), bound, family)


# ---- Huber-type functions with two-point noise ----------------------------------------------------------------------


def _own_steps(bound: Bound) -> bool:
    used = [set(form.needs) for form in bound.summands.values()]
    return any(symbols.step_size in u for u in used)


def _boxed(bound: Bound) -> bool:
    return bool(bound.requires.box) or (bound.requires.box is None and "D" in bound.constants)


def huber_axes(bound: Bound) -> Axes:
    """What may vary for a bound; lengths are in units of half the box, smoothness of the first coordinate is 1.

    Bounds about the Polyak-Lojasiewicz constant or about quadratics get quadratics, those about (L0, L1) cosh.
    """
    axes = {
        "dim": (1.0, 6.99),
        "log2_steps": (0.0, 9.0),
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
    if _boxed(bound) and "interior minimizer" not in bound.requires.properties:
        axes["centre"] = (-2.0, 2.0)
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
            del axes[name]
    if "jump_probability" in bound.constants:
        del axes["skew"]
        axes |= {"log10_p": (-4.0, -0.3), "start": (0.0, 0.0)}  # from the minimizer, so that only the noise counts
    if "first_phase" in bound.constants:
        del axes["log2_batch"]
        axes["log2_first_phase"] = (0.0, 9.0)
    if not _boxed(bound):
        del axes["centre"]
    return axes


def _objective(bound: Bound, at: Mapping[str, float], dim: int) -> Objective:
    curvature = power_law(dim, at["curvature_decay"])
    place: dict[str, Any] = {"center": at.get("centre", 0.0), "box": (-1.0, 1.0) if _boxed(bound) else None}
    if "L1" in bound.constants:
        return problems.cosh(curvature, 10 ** at["log10_width"], **place)
    if "Huber" in bound.requires.objectives:
        return problems.huber(curvature, 10 ** at["log10_width"], **place)
    if "log10_width" in at:
        return problems.pseudo_huber(curvature, 10 ** at["log10_width"], **place)
    return problems.quadratic(curvature, **place)


def _optimizer(bound: Bound, at: Mapping[str, float], dim: int) -> Optimizer:
    step_size: Any = 10 ** at["log10_step"]
    if "step_decay" in at:
        step_size = step_size * power_law(dim, at["step_decay"])
    name = next(iter(bound.requires.optimizers))
    if name in ("sgd", "sign_sgd"):
        return getattr(optimizers, name)(step_size)
    eps = 10 ** at["log10_eps"] if "log10_eps" in at else 0.0
    if name == "rmsprop":
        return optimizers.rmsprop(step_size, beta=1 - 10 ** at["log10_forgetting"], eps=eps)
    if name not in ("adagrad", "adagrad_norm"):
        raise ValueError(f"family 'huber' has no optimizer {name!r}; pass a family of your own for {bound.name}")
    return getattr(optimizers, name)(step_size, eps=eps, preset=bound.requires.preset or "convex")


def _batch(bound: Bound, at: Mapping[str, float]) -> int | BatchRule:
    if not bound.requires.batch_test_always_holds:
        return round(2 ** at.get("log2_batch", 0.0))
    if "norm test" in (bound.requires.batch or ()):
        return batching.norm_test(10 ** at["log10_eta"], form="exact")
    return batching.coordinate_norm_test(10 ** at["log10_eta"], 1e-12, form="exact")


def _noise(bound: Bound, at: Mapping[str, float], sigma: FloatArray) -> Noise:
    if {"gaussian"} & {*bound.requires.laws, *bound.requires.noises}:
        return noises.gaussian(sigma)
    rare = 10 ** at["log10_p"] if "log10_p" in at else at["skew"]
    if "log2_first_phase" in at:
        return noises.two_phase(sigma, rare, round(2 ** at["log2_first_phase"]))
    return noises.two_point(sigma, rare)


def huber_setup(bound: Bound, at: Mapping[str, float]) -> Setup:
    """The setup of a point: pseudo-Huber functions in [-1, 1]^d, or without a box, and skewed two-point noise."""
    dim = int(at["dim"])
    f = _objective(bound, at, dim)
    if "log10_sigma" in at:
        sigma = 10 ** at["log10_sigma"] * power_law(dim, at["sigma_decay"])
        noise = _noise(bound, at, sigma)
    else:
        noise = noises.none()
    base = at.get("centre", 0.0)
    start = base + (at["start"] - base) * power_law(dim, at["start_decay"])
    start = np.clip(start, -1.0, 1.0) if _boxed(bound) else start
    constants: dict[str, Any] = {"delta": DELTA} if bound.probability else {}
    steps, batch = round(2 ** at["log2_steps"]), _batch(bound, at)
    return Setup(bound, f, _optimizer(bound, at, dim), noise, start, steps, batch, 64, records=8, constants=constants)


def huber_words(bound: Bound, at: Mapping[str, float]) -> str:
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
    said = [f"d = {dim}", shape]
    if "log2_batch" in at:
        said.insert(1, f"M = {_batch(bound, at)}")
    if "log10_eta" in at:
        said.append(f"{next(iter(bound.requires.batch or ()))} at {10 ** at['log10_eta']:.3g}")
    if "log10_sigma" in at:
        noise = huber_setup(bound, at).noise
        rare = 10 ** at["log10_p"] if "log10_p" in at else at["skew"]
        said.append(f"sigma_j = {profile(10 ** at['log10_sigma'], at['sigma_decay'])}")
        said.append("gaussian noise" if noise.name == "gaussian" else f"two-point noise, p = {rare:.2g}")
        if "log2_first_phase" in at:
            said.append(f"signs after {noise.params.first_phase:.0f} iterations")
    if "centre" in at:
        said.append(f"w* = {at['centre']:.2g}")
    said.append(f"w_0 - w* = {profile(at['start'] - at.get('centre', 0.0), at['start_decay'])}")
    said.append(f"step size {profile(10 ** at['log10_step'], at.get('step_decay', 0.0))}")
    if "log10_eps" in at:
        said.append(f"eps {10 ** at['log10_eps']:.2g}")
    if "log10_forgetting" in at:
        said.append(f"beta {1 - 10 ** at['log10_forgetting']:.3g}")
    return ", ".join(said)


HUBER = Family("huber", huber_axes, huber_setup, huber_words)
FAMILIES: dict[str, Family] = {"huber": HUBER}
