"""How do a user's functions get into a generated module? As copies that live there and are always inlined.

A copy has the byte code of the original and, as its globals, just what that code names; helpers are copied too. So the
compiled code holds the constants of this moment, even where Numba compiled the original earlier with others, and no
name of a module that the next process may lack. A function of the package that is inlined already is used as it is.
"""

from __future__ import annotations

import types
from typing import Any

from numba import njit
from numba.core.dispatcher import Dispatcher

from .._support.fingerprint import NoFingerprint
from .._support.fingerprint.bytecode import uses
from .._support.fingerprint.origin import PACKAGE, USER, named, of_module
from . import generated
from .specialize import options_of

LARGEST_CONSTANT = 10**6  # bytes of an array that Numba writes into the code; larger ones it keeps by address


class Copies:
    """Copies of compiled functions that belong together; each function is copied once."""

    def __init__(self) -> None:
        self.made: dict[int, Any] = {}

    def of(self, function: Any) -> Any:
        """The copy of a compiled function; what the package always inlines is its own copy."""
        if _ours(function) and function.targetoptions.get("forceinline"):
            return function
        if id(function) in self.made:
            return self.made[id(function)]
        if not getattr(function, "_can_compile", True):
            raise NoFingerprint(f"{function.py_func.__name__} is compiled for the types in its decorator only")
        python = function.py_func
        module = python.__module__ if _ours(function) else generated.__name__
        scope: dict[str, Any] = {"__name__": module, "__builtins__": python.__globals__.get("__builtins__", {})}
        cells = tuple(types.CellType() for _ in python.__closure__ or ())
        copy = types.FunctionType(python.__code__, scope, python.__name__, python.__defaults__, cells)
        copy.__kwdefaults__, copy.__qualname__, copy.__module__ = python.__kwdefaults__, python.__name__, module
        made = njit(**{**options_of(function), "forceinline": True})(copy)
        self.made[id(function)] = made
        for cell, original in zip(cells, python.__closure__ or (), strict=True):
            cell.cell_contents = self.value(original.cell_contents, ())
        for use in uses(python.__code__):
            if use.imported:
                raise NoFingerprint(f"{python.__name__} imports {use.name} inside a compiled function")
            if use.name in python.__globals__ and use.name not in scope:
                attributes = [u.attributes for u in uses(python.__code__) if u.name == use.name]
                scope[use.name] = self.value(python.__globals__[use.name], tuple(attributes))
        return made

    def of_symbols(self, symbols: dict[str, Any]) -> dict[str, Any]:
        """What a generated module calls, with copies in place of functions."""
        return {name: self.of(v) if isinstance(v, Dispatcher) else v for name, v in symbols.items()}

    def value(self, thing: Any, attributes: tuple[tuple[str, ...], ...]) -> Any:
        """What a copy sees in place of a global: copies of functions, of modules only what is taken of them."""
        if isinstance(thing, Dispatcher):
            return self.of(thing)
        if isinstance(thing, types.ModuleType) and of_module(thing.__name__).kind == USER:
            return self.part(thing, attributes)
        if getattr(thing, "nbytes", 0) > LARGEST_CONSTANT:
            raise NoFingerprint(f"a global array of {thing.nbytes} bytes is kept by address; pass it through params")
        return thing

    def part(self, module: types.ModuleType, attributes: tuple[tuple[str, ...], ...]) -> types.ModuleType:
        """A module with only the attributes that some code takes of it."""
        partial = types.ModuleType(module.__name__)
        for first in dict.fromkeys(chain[0] for chain in attributes if chain):
            rest = tuple(chain[1:] for chain in attributes if chain and chain[0] == first)
            setattr(partial, first, self.value(getattr(module, first), rest))
        return partial


def _ours(function: Any) -> bool:
    place = named(function)
    return place is not None and of_module(place[0]).kind == PACKAGE


def stand_in(value: Any) -> Any:
    """The same value with every record of a class of the user's replaced by a generated one of equal fields."""
    if not isinstance(value, tuple):
        return value
    items = [stand_in(item) for item in value]
    cls = type(value)
    fields = getattr(cls, "_fields", None)
    if fields is None:
        return tuple(items)
    place = named(cls)
    if place is None or of_module(place[0]).kind != PACKAGE:
        cls = generated.record(cls.__name__, fields)
    return cls(*items)
