"""Can this function be compiled once, and these parameters with it? Refused with a sentence where not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

import numpy as np


def module_level(function: Callable, role: str, arguments: str = "") -> Callable:
    """Refuse what cannot be compiled once and for all: a plain function, a closure, a wrong number of arguments.

    `arguments` names those that the function is called with, as in ``"w, params, out"``.
    """
    python = getattr(function, "py_func", None)
    if python is None:
        from numba import config

        if not (callable(function) and config.DISABLE_JIT):
            name = getattr(function, "__name__", repr(function))
            raise TypeError(
                f"{role} function '{name}' is not compiled; write @an.leaf above a function at the top level of a "
                "module"
            )
        python = function
    if getattr(python, "__closure__", None):
        free = ", ".join(repr(v) for v in python.__code__.co_freevars)
        raise TypeError(
            f"{role} function '{python.__name__}' closes over {free}, so every call would recompile it; "
            "define it at module level and pass the values through params"
        )
    takes(python, role, arguments)
    return function


def takes(python: Callable, role: str, arguments: str) -> None:
    """Refuse a function that cannot be called with these arguments, given by position."""
    names = [a.strip() for a in arguments.split(",") if a.strip()]
    if not names:
        return
    try:
        signature(python).bind(*names)
    except TypeError:
        name, own = getattr(python, "__name__", role), list(signature(python).parameters)
        raise TypeError(
            f"{role} function '{name}' takes {len(own)} argument{'s' if len(own) != 1 else ''} ({', '.join(own)}); "
            f"it is called with {len(names)}: ({arguments})"
        ) from None


def takes_shape(measure: Callable) -> bool:
    """Whether a measure takes the shape of the parameter as a fourth argument."""
    return len(signature(getattr(measure, "py_func", measure)).parameters) == 4


def parameters(params: Any, role: str) -> Any:
    """Refuse parameters that a compiled function cannot take as a record."""
    if isinstance(params, Mapping):
        fields = "; ".join(f"{k}: {'np.ndarray' if np.ndim(v) else type(v).__name__}" for k, v in params.items())
        raise TypeError(
            f"params of the {role} is a dict; compiled code needs a NamedTuple: write `class Params(NamedTuple): "
            f"{fields}` at module level, pass Params({', '.join(f'{k}={v!r}' for k, v in params.items())}) "
            "and read params.name in the function"
        )
    if not isinstance(params, tuple) or not hasattr(params, "_fields"):
        raise TypeError(
            f"params of the {role} is of type {type(params).__name__}; expected a NamedTuple, whose fields are numbers "
            "and NumPy arrays"
        )
    for name, value in zip(params._fields, params, strict=True):
        if isinstance(value, (list, set, dict)) or (hasattr(value, "detach") and hasattr(value, "numpy")):
            raise TypeError(
                f"params.{name} of the {role} is a {type(value).__name__}; expected a number or a NumPy array, such as "
                f"np.array({name}, dtype=float)"
            )
        if isinstance(value, np.ndarray) and value.dtype.kind not in "biuf":
            raise TypeError(f"params.{name} of the {role} is an array of {value.dtype}; expected real numbers")
    return params
