"""Convergence theory of adaptive optimization, checked against simulation.

A theorem is data, a simulation is a fused compiled loop, and a verdict compares the two with honest statistics.
Public names are imported when they are first used, so that ``import anisotropic`` costs NumPy only.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ._support import sources as _sources  # noqa: F401  notes the source files before other modules are loaded

__version__ = "0.1.0"

#: Public name of a module -> its place in the package.
_MODULES = {
    "batching": "batching",
    "bounds": "bounds",
    "certified": "evidence.certified",
    "certify": "evidence.certify",
    "datasets": "datasets",
    "exact": "evidence.exact",
    "extras": "_support.extras",
    "geometry": "geometry",
    "intervals": "intervals",
    "noises": "noises",
    "optimizers": "optimizers",
    "plotting": "plotting",
    "problems": "problems",
    "published": "evidence.published",
    "random": "compiled.random",
    "report": "study.report",
    "schedules": "schedules",
    "setups": "evidence.setups",
    "smoothness": "smoothness",
    "study": "study",
    "surge": "surge",
}
_NAMES = {
    "advice": ("Advice", "advise"),
    "records": ("BatchRule", "Facts", "Noise", "Objective", "Optimizer", "Run", "Schedule", "Verdict", "load"),
    "compiled.leaf": ("leaf",),
    "simulation.contract": ("ContractViolation", "Findings", "check"),
    "simulation.run": ("simulate",),
    "simulation.tune": ("Tuning", "tune"),
    "simulation.local": ("simulate_local",),
    "simulation.steps_to_target": ("StepsToTarget", "steps_to_target", "tuned_steps_to_target"),
    "bounds": ("Bound", "Requires", "Source"),
    "evidence.entries": ("Race",),
    "evidence.race": ("Method", "race"),
    "evidence.rates": ("fit_rate",),
    "evidence.verdicts": ("verify",),
    "evidence.search": ("search_worst_case",),
    "noise_scale": ("gradient_noise_scale", "noise_moments"),
    "_support.extras": ("MissingExtra",),
    "_support.environment": ("show_versions",),
    "study": ("Study",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = ["__version__", *_MODULES, *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = import_module(f"{__name__}.{_MODULES[name]}")
    elif name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    else:
        from ._support.names import no_such_name

        raise no_such_name(__name__, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
