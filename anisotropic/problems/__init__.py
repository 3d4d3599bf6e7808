"""Which objectives are there? Each with its smoothness per coordinate certified, by a formula that stands beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from .._support.names import no_such_name
from .generalized import cosh, double_well, exponential, power
from .linear_tails import huber, log_cosh, pseudo_huber, softplus
from .logistic import logistic_regression, noise_level
from .matrices import kronecker, spectral_pseudo_huber
from .nonconvex import cosine, geman_mcclure, quadratic_cosine, welsch
from .nonsmooth import absolute
from .quadratics import quadratic
from .ridges import coupled

__all__ = [
    "absolute",
    "cosh",
    "cosine",
    "coupled",
    "double_well",
    "exponential",
    "geman_mcclure",
    "huber",
    "kronecker",
    "log_cosh",
    "logistic_regression",
    "noise_level",
    "power",
    "pseudo_huber",
    "quadratic",
    "quadratic_cosine",
    "softplus",
    "spectral_pseudo_huber",
    "welsch",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise no_such_name(__name__, name)
