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


def initial_state(optimizer: Optimizer, dim: int) -> FloatArray:
    """The optimizer's state before the first update, shape (slots, dim)."""
    rows = [float_vector(v(dim) if callable(v) else v, dim, f"state {name!r}") for name, v in optimizer.state.items()]
    return np.array(rows, dtype=np.float64).reshape(len(rows), dim)
