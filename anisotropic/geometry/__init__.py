"""Local geometry: Hessian diagonals and R_med, exactly where a closed form exists, with intervals elsewhere.

R_med = max_i |H_ii| / median_i |H_ii| over one layer (arXiv 2211.02254). Linear networks have exact diagonals and
predictions; any other loss needs a function ``hvp(v)``, and PyTorch models one call of ``geometry.torch.r_med``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_NAMES = {
    "statistic": ("RMed", "noise_floor", "quantile_ratio", "r_med"),
    "linear": ("data_floor", "deep_linear_diagonals", "linear_network_diagonals"),
    "predictions": ("equal_growth", "frozen_start", "predict_r_med_adam", "predict_r_med_sgd"),
    "training": ("LinearRun", "initial_weights", "linear_target", "train_linear_network"),
    "estimators": ("DiagonalEstimate", "exact_entries", "hutchinson_diagonal", "xdiag"),
    "order_statistics": ("median_interval", "quantile_ratio_interval"),
    "estimate": ("estimate_r_med",),
    "matching": ("Match", "Trajectory", "match_by_loss"),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if name == "torch":
        return import_module(f"{__name__}.torch")
    from .._support.names import no_such_name

    raise no_such_name(__name__, name)


def __dir__() -> list[str]:
    return [*__all__, "torch"]
