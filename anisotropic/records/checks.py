"""Is an input what it should be? Arrays, numbers, counts, boxes and compiled functions, refused with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def float_vector(
    values: ArrayLike, dim: int, name: str, *, low: float = -np.inf, strict: bool = False, finite: bool = True
) -> FloatArray:
    """`values` as a fresh `(dim,)` float64 array; NaN, infinity, a wrong shape and numbers below `low` are refused."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} = {values!r}; expected a number or an array of shape ({dim},)") from None
    if array.ndim > 1 or array.size not in (1, dim):
        raise ValueError(f"{name} has shape {array.shape}; expected a number or shape ({dim},)")
    array = np.ascontiguousarray(np.broadcast_to(array.reshape(-1) if array.ndim else array, (dim,)).copy())
    bad = np.isnan(array) | (array < low) | (strict & (array == low)) | (finite & np.isinf(array))
    if bad.any():
        j = int(np.argmax(bad))
        plain = "no NaN" if not finite else "finite numbers" if low == -np.inf or np.isinf(array[j]) else "numbers"
        wanted = plain if low == -np.inf else f"{plain} {'above' if strict else 'of at least'} {low:g}"
        raise ValueError(f"{name}[{j}] = {array[j]:g}; expected {wanted} in each of the {dim} coordinates")
    return array


def float_parameter(value: ArrayLike, name: str, *, low: float = 0.0, strict: bool = True) -> float:
    """One finite number above `low` (at least `low` unless `strict`), as a float."""
    try:
        number = float(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError):
        raise ValueError(f"{name} = {value!r}; expected one number") from None
    if not np.isfinite(number) or number < low or (strict and number == low):
        relation = "above" if strict else "of at least"
        raise ValueError(f"{name} = {number:g}; expected a finite number {relation} {low:g}")
    return number


def count(value: Any, name: str, *, low: int = 1) -> int:
    """A whole number of at least `low`."""
    try:
        number = int(value)
        whole = number == value and number >= low and not isinstance(value, bool)
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise ValueError(f"{name} = {value!r}; expected a whole number of at least {low}")
    return number


def module_level(function: Callable, role: str) -> Callable:
    """Refuse what Numba would recompile at every call: a closure. Also refuse a plain Python function."""
    python = getattr(function, "py_func", None)
    if python is None:
        from numba import config

        if callable(function) and config.DISABLE_JIT:
            return function
        name = getattr(function, "__name__", repr(function))
        raise TypeError(f"{role} function '{name}' is not compiled; decorate it with @numba.njit at module level")
    if python.__closure__:
        free = ", ".join(repr(v) for v in python.__code__.co_freevars)
        raise TypeError(
            f"{role} function '{python.__name__}' closes over {free}, so every call would recompile it; "
            "define it at module level and pass the values through params"
        )
    return function


def box_bounds(box: tuple[ArrayLike, ArrayLike] | None, dim: int) -> tuple[FloatArray, FloatArray] | None:
    """A box as two `(dim,)` arrays with lo < hi, or None."""
    if box is None:
        return None
    if not isinstance(box, (tuple, list, np.ndarray)) or len(box) != 2:
        raise ValueError(f"box = {box!r}; expected a pair (lo, hi) of numbers or arrays")
    lo, hi = float_vector(box[0], dim, "box lo", finite=False), float_vector(box[1], dim, "box hi", finite=False)
    if not np.all(lo < hi):
        j = int(np.argmin(hi - lo))
        raise ValueError(f"box[{j}] = ({lo[j]:g}, {hi[j]:g}); expected lo < hi in each coordinate")
    return lo, hi
