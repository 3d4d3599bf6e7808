"""Which objectives are there? Each with its smoothness per coordinate certified, by a formula that stands beside it."""

from .absolute import absolute
from .coupled import coupled
from .generalized import cosh, double_well, exponential, power
from .huber import huber, log_cosh, pseudo_huber, softplus
from .nonconvex import cosine, geman_mcclure, quadratic_cosine, welsch
from .quadratic import quadratic

__all__ = [
    "absolute",
    "cosh",
    "cosine",
    "coupled",
    "double_well",
    "exponential",
    "geman_mcclure",
    "huber",
    "log_cosh",
    "power",
    "pseudo_huber",
    "quadratic",
    "quadratic_cosine",
    "softplus",
    "welsch",
]
