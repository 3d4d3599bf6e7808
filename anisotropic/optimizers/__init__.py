"""Which optimizers are there? Update rules on vectors and on matrices, each with a lower-case factory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from .._support.names import no_such_name
from .matrix import asgo, full_adagrad, left_sgd, row_adagrad, shampoo
from .momentum import adamw, lion, nesterov, signum
from .polar import muon
from .vector import adagrad, adagrad_norm, adam, amsgrad, heavy_ball, rmsprop, sgd, sign_sgd

__all__ = [
    "adagrad",
    "adagrad_norm",
    "adam",
    "adamw",
    "amsgrad",
    "asgo",
    "full_adagrad",
    "heavy_ball",
    "left_sgd",
    "lion",
    "muon",
    "nesterov",
    "rmsprop",
    "row_adagrad",
    "sgd",
    "shampoo",
    "sign_sgd",
    "signum",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise no_such_name(__name__, name)
