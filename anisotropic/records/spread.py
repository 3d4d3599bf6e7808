"""What does each coordinate get? Parameters, step sizes and initial state as one array entry a coordinate."""

from __future__ import annotations

from typing import Any

import numpy as np

from .checks import FloatArray, float_vector
from .nouns import Optimizer


def spread(params: Any, dim: int, tile: int = 1, cut: Any = slice(None)) -> Any:
    """Parameters whose float64 vectors with one or `dim` entries are given `dim`, and these repeated for a tile.

    `cut` keeps some of the coordinates only: a slice, or their indices.
    """
    fields = {}
    for name, value in params._asdict().items():
        if isinstance(value, np.ndarray) and value.ndim == 1 and value.size in (1, dim) and value.dtype == np.float64:
            value = np.tile(float_vector(value, dim, name)[cut], tile)
        fields[name] = value
    return type(params)(**fields)


def with_shape(params: Any, shape: tuple[int, int] | None) -> Any:
    """Parameters with the objective's shape in their field `shape`, where they have one."""
    if "shape" not in params._fields:
        return params
    if shape is None:
        raise ValueError(
            "this optimizer works on matrices, and the objective has no shape; give the objective shape=(m, n) with "
            "m n = dim"
        )
    return params._replace(shape=shape)


def initial_state(optimizer: Optimizer, dim: int, shape: tuple[int, int] | None = None) -> FloatArray:
    """The optimizer's state before the first update, shape (slots, dim)."""
    with_shape(optimizer.params, shape)
    at = shape if "shape" in optimizer.params._fields else dim
    rows = []
    for name, given in optimizer.state.items():
        value = given(at) if callable(given) else given
        if np.ndim(value) == 2:
            rows += [float_vector(row, dim, f"state {name!r}") for row in value]
        else:
            rows.append(float_vector(value, dim, f"state {name!r}"))
    return np.array(rows, dtype=np.float64).reshape(len(rows), dim)


def row_of(optimizer: Optimizer, dim: int, shape: tuple[int, int] | None, name: str) -> int:
    """The first row of a state vector, or -1."""
    row = 0
    for other, given in optimizer.state.items():
        if other == name:
            return row
        value = given(shape if "shape" in optimizer.params._fields else dim) if callable(given) else given
        row += len(value) if np.ndim(value) == 2 else 1
    return -1
