"""Which optimizers are there? Update rules on vectors, each with a lower-case factory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from .._support.names import no_such_name
from .momentum import adamw, lion, nesterov, signum
from .vector import adagrad, adagrad_norm, adam, amsgrad, heavy_ball, rmsprop, sgd, sign_sgd

__all__ = [
    "adagrad",
    "adagrad_norm",
    "adam",
    "adamw",
    "amsgrad",
    "heavy_ball",
    "lion",
    "nesterov",
    "rmsprop",
    "sgd",
    "sign_sgd",
    "signum",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise no_such_name(__name__, name)
