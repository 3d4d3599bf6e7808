"""What does a compiled function do, seen without its compiler? The same text as plain Python, and all that it calls.

NumPy checks every index and refuses to write into a read-only array, where compiled code reads and writes whatever lies
there. Compiling takes a third of a second, interpreting a few coordinates takes microseconds. Arithmetic follows the
compiled one: every float is a NumPy float, so that 1/0 is infinite and the logarithm of -1 is NaN.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from ...compiled import elementary

#: More passes than this through one loop say that a function loops over its samples.
LONGEST = 1_000_000
_LEFT_ALONE = ("numpy", "numba", "llvmlite")


class LongLoop(Exception):
    """A loop was asked for more than `LONGEST` passes."""


def _range(*bounds: Any) -> range:
    found = builtins.range(*bounds)
    if len(found) > LONGEST:
        raise LongLoop
    return found


def _as_compiled(name: str) -> Callable[..., Any]:
    """A function of `math` that answers NaN or infinity where Python's raises."""
    python, array = getattr(math, name), getattr(np, {"pow": "power"}.get(name, name), None)

    def function(*arguments: Any) -> Any:
        try:
            result = python(*arguments)
        except (ValueError, OverflowError):
            return np.float64(np.nan) if array is None else array(*arguments)
        return np.float64(result) if isinstance(result, float) else result

    return function


class _Math:
    """The module `math`, with the arithmetic of compiled code."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(math, name)
        return _MATH[found] if callable(found) else np.float64(found)


_MATH = {getattr(math, name): _as_compiled(name) for name in dir(math) if callable(getattr(math, name))}
_REPLACED: dict[int, Any] = {
    id(elementary.as_bits): lambda x: np.float64(x).view(np.uint64),
    id(elementary.as_float): lambda x: np.uint64(x).view(np.float64),
    id(math): _Math(),
    **{id(found): function for found, function in _MATH.items()},
}


class _Module:
    """A module whose functions are interpreted when they are asked for."""

    def __init__(self, module: ModuleType, translate: Callable[[Any], Any]) -> None:
        self._module, self._translate = module, translate

    def __getattr__(self, name: str) -> Any:
        found = self._translate(getattr(self._module, name))
        setattr(self, name, found)
        return found


class _Translation:
    """One pass over everything that a function reaches; each thing is translated once."""

    def __init__(self) -> None:
        self.done: dict[int, Any] = {}
        self.kept: list[Any] = []  # an id is only good while its object lives

    def value(self, thing: Any) -> Any:
        if id(thing) in _REPLACED:
            return _REPLACED[id(thing)]
        if type(thing) is float:
            return np.float64(thing)
        if id(thing) in self.done:
            return self.done[id(thing)]
        python = getattr(thing, "py_func", thing)
        home = str(getattr(python, "__module__", None) or getattr(python, "__name__", "")).partition(".")[0]
        if home in _LEFT_ALONE:
            return thing
        if isinstance(thing, ModuleType):
            return self.keep(thing, _Module(thing, self.value))
        return self.function(python, thing) if isinstance(python, FunctionType) else thing

    def keep(self, thing: Any, found: Any) -> Any:
        self.kept.append(thing)
        self.done[id(thing)] = found
        return found

    def function(self, python: FunctionType, thing: Any) -> FunctionType:
        scope: dict[str, Any] = {"__builtins__": builtins, "range": _range}
        twin = FunctionType(_code(python.__code__), scope, python.__name__, python.__defaults__, python.__closure__)
        twin.__kwdefaults__ = python.__kwdefaults__
        self.keep(thing, twin)
        for name in _names(python.__code__):
            if name in python.__globals__:
                scope[name] = self.value(python.__globals__[name])
        return twin


def _code(code: CodeType) -> CodeType:
    """The same instructions with NumPy floats for constants, inner functions included."""
    constants = (
        _code(c) if isinstance(c, CodeType) else np.float64(c) if type(c) is float else c for c in code.co_consts
    )
    return code.replace(co_consts=tuple(constants))


def _names(code: CodeType) -> set[str]:
    """Names that a function and its inner functions may look up in their module."""
    inner = (_names(c) for c in code.co_consts if isinstance(c, CodeType))
    return set(code.co_names).union(*inner)


def interpreted(function: Any) -> Callable[..., Any]:
    """The plain-Python twin of a compiled (or plain) function."""
    return _Translation().value(function)


def scalars(params: Any) -> Any:
    """`params` with NumPy floats for floats and read-only views for arrays, nested records included."""
    if isinstance(params, np.ndarray):
        view = params.view()
        view.flags.writeable = False
        return view
    if isinstance(params, tuple) and hasattr(params, "_fields"):
        return type(params)(*(scalars(v) for v in params))
    return np.float64(params) if type(params) is float else params
