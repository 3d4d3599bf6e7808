"""Is a number what it should be? Arrays, numbers, counts, seeds and boxes, refused with a sentence."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def numbers(values: Any, name: str, wanted: str) -> FloatArray:
    """`values` as float64, a new array; what is not plainly real numbers is refused: text, complex, masked, None."""
    if type(values).__module__.partition(".")[0] == "torch" and hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":
            values = values.float()
        values = values.numpy()
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):
        raise ValueError(f"{name} = {values!r}; expected {wanted}") from None
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(f"{name} has masked entries; expected {wanted}: fill them in, as in {name}.filled(0.0)")
    if array.dtype.kind == "c":
        raise ValueError(f"{name} is complex ({array.dtype}); expected {wanted}: pass {name}.real if that is meant")
    if array.dtype.kind not in "biuf" and not (array.dtype.kind == "O" and array.size and _all_numbers(array)):
        raise ValueError(f"{name} = {values!r}; expected {wanted}")
    return np.array(array, dtype=np.float64)


def _all_numbers(array: np.ndarray) -> bool:
    """Whether an array of objects holds numbers, such as fractions or long integers."""
    return all(isinstance(v, Real) for v in array.ravel())


def length(*values: Any) -> int:
    """The largest length among numbers and arrays, PyTorch's included, at least 1."""
    return max(1 if isinstance(v, str) or not hasattr(v, "__len__") or not np.ndim(v) else len(v) for v in values)


def float_vector(
    values: ArrayLike, dim: int, name: str, *, low: float = -np.inf, strict: bool = False, finite: bool = True
) -> FloatArray:
    """`values` as a fresh `(dim,)` float64 array; NaN, infinity, a wrong shape and numbers below `low` are refused."""
    array = numbers(values, name, f"a number or an array of shape ({dim},)")
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
    array = numbers(value, name, "one number")
    if array.size != 1:
        raise ValueError(f"{name} has shape {array.shape}; expected one number")
    number = float(array.reshape(()))
    if not np.isfinite(number) or number < low or (strict and number == low):
        relation = "above" if strict else "of at least"
        raise ValueError(f"{name} = {number:g}; expected a finite number {relation} {low:g}")
    return number


def count(value: Any, name: str, *, low: int = 1, high: int | None = None) -> int:
    """A whole number of at least `low`, and of at most `high` where that is given."""
    try:
        number = int(value)
        whole = number == value and number >= low and not isinstance(value, bool)
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise ValueError(f"{name} = {value!r}; expected a whole number of at least {low}")
    if high is not None and number > high:
        raise ValueError(f"{name} = {number}; expected at most {high}")
    return number


def sound_sparse(X: Any, name: str = "X") -> Any:
    """A sparse matrix whose indices lie inside of it: SciPy checks that on request, and compiled code follows them."""
    if hasattr(X, "check_format"):
        try:
            X.check_format(full_check=True)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name} is a damaged sparse matrix ({error}); build it anew from its entries") from None
    return X


def seed_number(seed: Any) -> int:
    """A seed as an int, 0 <= seed < 2**64; no seed means no reproducible run, so None is refused."""
    try:
        number = int(seed)
        whole = number == seed and not isinstance(seed, bool) and 0 <= number < 2**64
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise ValueError(
            f"seed = {seed!r}; expected a whole number from 0 to 2**64 - 1, such as 0: equal seeds repeat a run, "
            "different ones make it independent"
        )
    return number


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
