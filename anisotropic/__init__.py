"""Convergence theory of adaptive optimisation, checked against simulation.

A theorem is data, a simulation is a fused compiled loop, and a verdict compares the two with honest statistics.
Public names are imported when they are first used, so that ``import anisotropic`` costs NumPy only.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from ._support import sources as _sources  # noqa: F401  notes the source files before other modules are loaded

__version__ = "0.1.0"

_MODULES = (
    "batching",
    "bounds",
    "certify",
    "datasets",
    "exact",
    "extras",
    "geometry",
    "intervals",
    "noises",
    "optimizers",
    "plotting",
    "problems",
    "random",
    "report",
    "schedules",
    "setups",
    "smoothness",
    "study",
    "surge",
)
_NAMES = {
    "records": ("BatchRule", "Noise", "Objective", "Optimizer", "Run", "Schedule", "Verdict", "load"),
    "elementary": ("leaf",),
    "simulate": ("Tuning", "simulate", "tune"),
    "local": ("simulate_local",),
    "bounds": ("Bound", "Requires", "Source"),
    "verify": ("fit_rate", "verify"),
    "search": ("search_worst_case",),
    "target": ("Reach", "steps_to_target", "tuned_steps_to_target"),
    "noise_scale": ("gradient_noise_scale", "noise_moments"),
    "extras": ("MissingExtra",),
    "study": ("Study",),
    "environment": ("show_versions",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = ["__version__", *_MODULES, *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    from .names import no_such_name

    raise no_such_name(__name__, name)


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """Keeps ``anisotropic.simulate`` the function once the module of the same name is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _HOME and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
