"""How does a loop look at a piece of an array? By views without an owner: no reference is counted.

A slice of an array counts references atomically, twice, and a short trajectory (d = 10) is over before that is done:
half of its time went there. The views here are valid as long as the array they look into: within one call of a kernel
that holds it. Nothing is checked against the bounds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

if config.DISABLE_JIT:

    def part(array: np.ndarray, start: int, size: int) -> np.ndarray:
        """`size` entries of a contiguous array, read as flat, from `start` on."""
        return array.reshape(-1)[start : start + size]

    def matrix(array: np.ndarray, start: int, rows: int, columns: int) -> np.ndarray:
        """The same as a matrix, row after row."""
        return array.reshape(-1)[start : start + rows * columns].reshape(rows, columns)

    def share(params: Any, start: int, size: int, whole: int) -> Any:
        """A NamedTuple whose float64 vectors of `whole` entries are replaced by their part."""
        cut = (isinstance(v, np.ndarray) and v.shape == (whole,) and v.dtype == np.float64 for v in params)
        return type(params)(*(v[start : start + size] if c else v for v, c in zip(params, cut, strict=True)))

else:

    def _view(context: Any, builder: Any, array: Any, value: Any, start: Any, shape: list[Any]) -> Any:
        """A contiguous array of `shape` whose data begin at entry `start` of another, without an owner."""
        out = make_array(types.Array(array.dtype, len(shape), "C"))(context, builder)
        size = context.get_abi_sizeof(context.get_data_type(array.dtype))
        strides = [ir.Constant(start.type, size)]
        for n in shape[:0:-1]:
            strides.insert(0, builder.mul(strides[0], n))
        data = builder.gep(make_array(array)(context, builder, value).data, [start])
        populate_array(out, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None)
        return out._getvalue()

    @intrinsic
    def part(typing_context: Any, array: Any, start: Any, size: Any) -> Any:
        """`size` entries of a contiguous array, read as flat, from `start` on."""
        signature = types.Array(array.dtype, 1, "C")(array, types.intp, types.intp)
        return signature, lambda c, b, s, a: _view(c, b, s.args[0], a[0], a[1], [a[2]])

    @intrinsic
    def matrix(typing_context: Any, array: Any, start: Any, rows: Any, columns: Any) -> Any:
        """The same as a matrix, row after row."""
        signature = types.Array(array.dtype, 2, "C")(array, types.intp, types.intp, types.intp)
        return signature, lambda c, b, s, a: _view(c, b, s.args[0], a[0], a[1], [a[2], a[3]])

    def _fields(context: Any, builder: Any, kind: Any, value: Any, *cut: Any) -> Any:
        for i, inner in enumerate(kind.types):
            entry = _shared(context, builder, inner, builder.extract_value(value, i), *cut)
            value = builder.insert_value(value, entry, i)
        return value

    def _shared(context: Any, builder: Any, kind: Any, value: Any, *cut: Any) -> Any:
        """A field without an owner; `cut` is (start, size, whole), or nothing inside a field that is a tuple itself."""
        if isinstance(kind, types.BaseTuple):
            return _fields(context, builder, kind, value)
        if not isinstance(kind, types.Array):
            context.nrt.incref(builder, kind, value)
            return value
        array = make_array(kind)(context, builder, value)
        if cut and kind.ndim == 1 and kind.layout == "C" and kind.dtype == types.float64:
            start, size, whole = cut
            length = builder.extract_value(array.shape, 0)
            match = builder.icmp_signed("==", length, whole)
            length = builder.select(match, size, length)
            array.data = builder.gep(array.data, [builder.select(match, start, ir.Constant(start.type, 0))])
            array.shape, array.nitems = cgutils.pack_array(builder, [length]), length
        array.meminfo, array.parent = (cgutils.get_null_value(v.type) for v in (array.meminfo, array.parent))
        return array._getvalue()

    @intrinsic
    def share(typing_context: Any, params: Any, start: Any, size: Any, whole: Any) -> Any:
        """A NamedTuple whose float64 vectors of `whole` entries are replaced by their part."""
        signature = params(params, types.intp, types.intp, types.intp)
        return signature, lambda c, b, s, a: _fields(c, b, s.args[0], *a)
