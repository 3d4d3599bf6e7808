"""Which convergence bounds does the library know? ``an.bounds.convex_adagrad`` or ``an.bounds["convex_adagrad"]``.

A family of results is a module here and is imported when one of its bounds is first asked for. ``table()`` lists them
all; a bound of your own is a `Bound` made from the symbols in ``an.bounds.symbols`` and needs no registration.

>>> from anisotropic import bounds
>>> bounds["convex_sgd"] is bounds.convex_sgd
True
>>> bounds.convex_sgd(L=1.0, sigma=0.0, R=2.0, T=10, M=1, step_size=1.0)
0.2
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .theorem import Bound

_FAMILIES = {
    "convex": (
        "convex_sgd",
        "convex_sgd_proj",
        "convex_diag_sgd",
        "convex_sgd_nonsmooth",
        "pl_sgd",
        "convex_adagrad",
        "convex_adagrad_active",
        "convex_adagrad_norm",
        "convex_adagrad_nonsmooth",
        "convex_adagrad_hp",
    ),
    "nonconvex": (
        "nonconvex_sgd",
        "nonconvex_diag_sgd",
        "nonconvex_signsgd",
        "nonconvex_signsgd_gaussian",
        "nonconvex_adagrad",
        "nonconvex_adagrad_det",
        "nonconvex_adagrad_norm",
        "nonconvex_rmsprop",
    ),
    "generalized": ("nonconvex_adagrad_gen",),
    "unconstrained": ("convex_adagrad_norm_free", "convex_adagrad_free_separable", "pl_adagrad"),
    "separation": ("sgd_separation_lower",),
    "lower": (
        "adagrad_lower",
        "adagrad_every_step_lower",
        "sgd_every_step_lower",
        "sgd_every_schedule_lower",
    ),
    "free": (
        "convex_adagrad_norm_free_variance",
        "convex_adagrad_free_variance",
        "convex_adagrad_norm_free_hp",
        "convex_adagrad_free_hp",
    ),
    "drift": ("adagrad_drift_lower", "nonconvex_adagrad_lower"),
    "adaptive_batch": ("adagrad_norm_strong_growth", "adagrad_strong_growth"),
    "last_iterate": ("convex_sgd_last", "convex_sgd_last_proj", "convex_sgd_last_nonsmooth"),
    "stated": (
        "drori_teboulle_gd",
        "nesterov_gd",
        "nesterov_gd_short",
        "deklerk_gd",
        "ghadimi_heavy_ball",
        "abbaszadehpeivasti_gd_pl",
    ),
}
_HOME = {name: family for family, members in _FAMILIES.items() for name in members}
_TOOLS = {
    "Bound": "theorem",
    "Requires": "requires",
    "Form": "forms",
    "Solver": "forms",
    "Source": "sources",
    "StepRule": "derive",
    "StepSolver": "derive",
    "compare": "comparison",
    "dimension_exponent": "comparison",
    "noise_ratio": "comparison",
    "power_law": "comparison",
    "smooth_ratio": "comparison",
    "separation_instance": "separation",
    "overshoot_instance": "lower",
    "quick_or_quiet_instance": "lower",
    "drift_instance": "drift",
    "two_phase_instance": "drift",
    "strong_growth_constants": "adaptive_batch",
    "weighted_outputs": "outputs",
}
_MODULES = ("symbols", "measures", "batch_facts")


class _Catalogue(ModuleType):
    """A module that is also a read-only mapping of ids to bounds."""

    def __getitem__(self, name: str) -> Bound:
        if name not in _HOME:
            near = difflib.get_close_matches(str(name), _HOME, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise KeyError(f"no bound is called {name!r}{hint} bounds.table() lists all {len(_HOME)}")
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

    def __iter__(self) -> Iterator[str]:
        return iter(_HOME)

    def __len__(self) -> int:
        return len(_HOME)

    def __contains__(self, name: object) -> bool:
        return name in _HOME


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return sys.modules[__name__][name]  # type: ignore[index]
    if name in _TOOLS:
        return getattr(import_module(f"{__name__}.{_TOOLS[name]}"), name)
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    pool = [*_HOME, *_TOOLS, *_MODULES, "table"]
    near = difflib.get_close_matches(name, pool, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise AttributeError(f"anisotropic.bounds has no bound or tool called {name!r}{hint}")


def __dir__() -> list[str]:
    return sorted([*_HOME, *_TOOLS, *_MODULES, "table"])


def table() -> list[dict[str, Any]]:
    """One row per bound: id, what is bounded and how, forms, conditions, exponents of noise and bias, source."""
    catalogue = sys.modules[__name__]
    return [row(name, catalogue[name]) for name in _HOME]  # type: ignore[index]


def row(name: str, bound: Bound) -> dict[str, Any]:
    """The row of one bound, which may be one's own."""
    from .conditions import printed

    return {
        "id": name,
        "title": bound.title,
        "measure": bound.measure,
        "kind": bound.kind,
        "probability": bound.probability,
        "forms": list(bound.forms),
        "conditions": [printed(c) for c in bound.conditions],
        "requires": bound.requires.sentences(),
        "constants": list(bound.constants),
        "rate": _rate(bound, noise=True),
        "bias_rate": _rate(bound, noise=False),
        "source": bound.source.key if bound.source else None,
        "arxiv": bound.source.arxiv if bound.source else None,
        "status": bound.source.status if bound.source else None,
        "latex": bound.latex(),
    }


def _rate(bound: Bound, noise: bool) -> dict[str, float] | None:
    try:
        return bound.rate(noise=noise)
    except ValueError:
        return None


sys.modules[__name__].__class__ = _Catalogue
