"""What does an object compute with? A hash fed with one description after the other, each object once."""

from __future__ import annotations

import builtins
import enum
import hashlib
import sys
import types
from collections.abc import Iterable
from typing import Any

from ..sources import NoFingerprint
from .bytecode import Use, uses
from .imports import closure_of, file_of_module, folder_of
from .origin import OUTSIDE, PACKAGE, USER, Origin, named, of_module

#: Attributes of a module, function or class that say where it lives and not what it computes.
_PLACE = {
    "__name__", "__qualname__", "__module__", "__doc__", "__file__", "__spec__", "__loader__", "__package__",
    "__path__", "__cached__", "__builtins__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__",
    "__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__", "__dataclass_fields__",
    "__dataclass_params__", "__wrapped__",
}  # fmt: skip
_GENERATED = {  # by NamedTuple, from its fields
    "__new__", "_make", "_replace", "__replace__", "__repr__", "_asdict", "__getnewargs__", "__slots__", "_fields",
    "_field_defaults", "__match_args__", "__orig_bases__",
}  # fmt: skip
_SLOTS = (
    types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType, types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)  # fmt: skip


class Walk:
    """A hash that is fed with a description of one object after the other, each once."""

    def __init__(self, seen: dict[int, int], trail: list[str]) -> None:
        self.hash = hashlib.sha256()
        self.seen, self.trail = seen, trail
        self.alive: list[Any] = []  # an id is unique only while its object lives

    def put(self, *words: Any) -> None:
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogatepass")
            self.hash.update(len(data).to_bytes(8, "little") + data)

    def refuse(self, thing: Any, why: str) -> NoFingerprint:
        return NoFingerprint(
            f"{' -> '.join(self.trail)} has no fingerprint: it is a {type(thing).__module__}.{type(thing).__qualname__}"
            f" {why}; pass it as an argument or build it inside the function"
        )

    def known(self, thing: Any) -> bool:
        """Whether `thing` came before; then its number stands for it."""
        number = self.seen.get(id(thing))
        if number is not None:
            self.put("again", number)
            return True
        self.seen[id(thing)] = len(self.seen)
        self.alive.append(thing)
        return False

    def below(self, name: str, thing: Any) -> None:
        self.trail.append(name)
        self.visit(thing)
        self.trail.pop()

    def visit(self, thing: Any) -> None:
        """Describe any object."""
        kind = type(thing)
        if thing is None or kind in (bool, int, str, bytes, complex) or thing is ... or thing is NotImplemented:
            self.put(kind.__name__, repr(thing) if kind is complex else thing)
        elif kind is float:
            self.put("float", thing.hex())
        elif kind in (tuple, list):
            self.sequence(kind.__name__, thing)
        elif kind is dict:
            if not self.known(thing):
                self.put("dict", len(thing))
                for key, value in thing.items():
                    self.visit(key)
                    self.below(f"[{key!r}]" if isinstance(key, (str, int)) else "[...]", value)
        elif kind in (set, frozenset):
            if kind is frozenset or not self.known(thing):
                self.put(kind.__name__, *sorted(self.apart(item) for item in thing))
        elif isinstance(thing, types.CodeType):
            self.code(thing)
        elif isinstance(thing, types.ModuleType):
            self.module(thing)
        elif isinstance(thing, types.FunctionType):
            self.function(thing)
        elif isinstance(thing, type):
            self.cls(thing)
        elif _top(kind) == "numpy" and self.array(thing):
            pass
        elif not self.wrapper(thing):
            self.instance(thing)

    def apart(self, thing: Any) -> str:
        """Digest of one element of a set, whose elements have no order."""
        walk = Walk(dict(self.seen), self.trail)
        walk.visit(thing)
        self.alive.append(walk.alive)
        return walk.hash.hexdigest()

    def sequence(self, kind: str, items: Any) -> None:
        if kind == "tuple" or not self.known(items):
            self.put(kind, len(items))
            for i, item in enumerate(items):
                self.below(f"[{i}]", item)

    def array(self, thing: Any) -> bool:
        """A NumPy array, scalar or data type; False for other things of NumPy."""
        import numpy as np

        if isinstance(thing, np.dtype):
            self.put("dtype", repr(thing))
        elif type(thing) is np.ndarray or isinstance(thing, np.generic):
            order = thing.flags.c_contiguous, thing.flags.f_contiguous
            self.put("array", repr(thing.dtype), thing.shape, order)
            if thing.dtype.hasobject:
                self.sequence("tuple", tuple(thing.ravel().tolist()))
            else:
                self.put(thing.tobytes())
        else:
            return False
        return True

    def outside(self, origin: Origin, *names: str) -> None:
        self.put(*origin, *names)

    def code(self, code: types.CodeType) -> None:
        self.put(
            "code", code.co_code, code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount,
            code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars,
            getattr(code, "co_exceptiontable", b""),
        )  # fmt: skip
        self.sequence("tuple", code.co_consts)

    def function(self, function: types.FunctionType) -> None:
        if self.known(function):
            return
        place, origin = named(function), of_module(str(function.__globals__.get("__name__")))
        if place and origin.kind != USER and of_module(place[0]).kind != USER:
            self.outside(of_module(place[0]), *place)
            return
        self.put("function")
        self.code(function.__code__)
        self.visit(function.__defaults__)
        self.visit(function.__kwdefaults__)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                content = cell.cell_contents
            except ValueError:  # not yet assigned
                self.put("empty cell", name)
            else:
                self.below(name, content)
        self.visit({k: v for k, v in vars(function).items() if k not in _PLACE})
        if origin.kind == USER:
            for use in uses(function.__code__):
                self.use(use, function.__globals__)
        else:
            self.outside(origin)

    def use(self, use: Use, scope: dict[str, Any]) -> None:
        """A global that some code names, with the attributes that it takes of it, or a module that it imports."""
        if use.imported:
            self.imported(use, scope)
        elif use.name in _PLACE:
            self.put("place", use.name)
        elif use.name in scope:
            self.trail.append(use.name)
            self.chain(scope[use.name], use.attributes)
            self.trail.pop()
        else:
            self.put("builtin" if hasattr(builtins, use.name) else "unbound", use.name)

    def chain(self, thing: Any, attributes: tuple[str, ...]) -> None:
        """`thing` if it is a value; if it is a module, what the attributes taken of it lead to."""
        while isinstance(thing, types.ModuleType):
            origin = of_module(thing.__name__)
            if origin.kind != USER:
                self.outside(origin, thing.__name__, ".".join(attributes))
                return
            if not attributes:
                self.module(thing)
                return
            name, attributes = attributes[0], attributes[1:]
            self.put("attribute", name)
            if not hasattr(thing, name):
                self.put("unbound")
                return
            thing = getattr(thing, name)
            self.trail[-1] += f".{name}"
        self.visit(thing)

    def imported(self, use: Use, scope: dict[str, Any]) -> None:
        name = use.name
        if use.level:
            package = str(scope.get("__package__") or "").split(".")
            name = ".".join([*package[: len(package) - use.level + 1], *([name] if name else [])])
        origin = of_module(name)
        if origin.kind == USER:
            here = scope.get("__file__")
            file = file_of_module(name, folder_of(here, str(scope.get("__name__"))) if here else None)
            if file is None:
                self.put("missing", name)
            else:
                self.texts(file, name)
        else:
            self.outside(origin, name)

    def module(self, module: types.ModuleType) -> None:
        """A module as a whole: the texts of its file and of those behind it."""
        origin, file = of_module(module.__name__), getattr(module, "__file__", None)
        if origin.kind != USER:
            self.outside(origin, module.__name__)
        elif file is None:
            raise self.refuse(module, "without a file")
        elif not self.known(module):
            self.texts(file, module.__name__)

    def texts(self, file: str, name: str) -> None:
        for part, content in closure_of(file, name):
            self.put("text", part, content)

    def cls(self, cls: type) -> None:
        if self.known(cls):
            return
        place = named(cls)
        if place and of_module(place[0]).kind != USER:
            self.outside(of_module(place[0]), *place)
            return
        fields = getattr(cls, "_fields", None)
        self.put("class", cls.__name__)
        self.sequence("tuple", cls.__bases__)
        skipped = _PLACE | (_GENERATED if fields is not None and issubclass(cls, tuple) else set())
        if fields is not None:
            self.visit(fields)
            self.visit(getattr(cls, "_field_defaults", None))
        if isinstance(cls, enum.EnumMeta):
            self.visit({n: cls[n].value for n in cls.__members__})
            skipped |= {n for n in vars(cls) if n.startswith("_") or n in cls.__members__}
        for name, value in sorted(vars(cls).items()):
            if name in skipped or name.startswith("_abc_") or type(value).__name__ == "_tuplegetter":
                continue
            self.put(name)
            if not isinstance(value, _SLOTS):
                self.below(name, value)

    def wrapper(self, thing: Any) -> bool:
        """Things around a function: what Numba compiled, methods, properties, built-in functions."""
        kind = type(thing)
        if _top(kind) == "numba":
            return self.compiled(thing)
        if isinstance(thing, types.MethodType):
            self.put("method")
            self.visit(thing.__func__)
            self.visit(thing.__self__)
        elif isinstance(thing, (staticmethod, classmethod)):
            self.put(kind.__name__)
            self.visit(thing.__func__)
        elif isinstance(thing, property):
            self.put("property")
            self.sequence("tuple", (thing.fget, thing.fset, thing.fdel))
        elif kind.__module__ == "functools" and (inner := getattr(thing, "__wrapped__", getattr(thing, "func", None))):
            self.put("wrapper", kind.__qualname__)  # a cache, a cached property or a partial, whose arguments follow
            self.visit(inner)
            self.visit((getattr(thing, "args", ()), getattr(thing, "keywords", None)))
        elif isinstance(thing, types.BuiltinFunctionType):
            self.builtin(thing)
        elif isinstance(thing, _SLOTS):
            self.put("slot", thing.__qualname__)
            self.visit(thing.__objclass__)
        else:
            return self.by_name(thing)
        return True

    def compiled(self, thing: Any) -> bool:
        """A function compiled by Numba, with the options that can change a bit; a type of Numba by its name."""
        place = named(thing)
        if place and of_module(place[0]).kind == PACKAGE:
            if not self.known(thing):
                self.outside(Origin(PACKAGE), *place)
            return True
        if type(thing).__module__.startswith("numba.core.types"):
            self.put("numba type", str(thing))
            return True
        for inside in ("py_func", "_defn", "_dispatcher", "_pyfunc"):
            inner = getattr(thing, inside, None)
            if inner is not None:
                if not self.known(thing):
                    self.put("compiled", type(thing).__qualname__)
                    self.visit({k: v for k, v in getattr(thing, "targetoptions", {}).items() if k != "cache"})
                    self.visit(inner)
                return True
        return False

    def builtin(self, thing: Any) -> None:
        owner = thing.__self__
        if owner is not None and not isinstance(owner, types.ModuleType):
            self.put("method", thing.__name__)
            self.visit(owner)
            return
        origin = of_module(str(thing.__module__))
        if origin.kind != OUTSIDE:
            raise self.refuse(thing, f"'{thing.__module__}.{thing.__name__}' of a compiled extension module")
        self.outside(origin, str(thing.__module__), thing.__name__)

    def by_name(self, thing: Any) -> bool:
        """A callable of an installed package, such as a ufunc, by its name there."""
        name = getattr(thing, "__name__", None)
        if not callable(thing) or not isinstance(name, str):
            return False
        top = _top(type(thing))
        for module in [m for n, m in list(sys.modules.items()) if m is not None and _may_hold(n, top)]:
            if vars(module).get(name) is thing:
                origin = of_module(module.__name__)
                if origin.kind == OUTSIDE:
                    self.outside(origin, name)
                    return True
        return False

    def instance(self, thing: Any) -> None:
        """Any other object: its class and its state, as pickle would take them."""
        if self.known(thing):
            return
        if isinstance(thing, tuple):
            self.put("tuple of")
            self.visit(type(thing))
            self.sequence("tuple", tuple(thing))
            return
        if isinstance(thing, enum.Enum):
            self.put("member", thing.name)
            self.visit(type(thing))
            return
        try:
            reduced = thing.__reduce_ex__(4)
        except Exception as error:
            raise self.refuse(thing, f"without a state of its own ({error})") from None
        if isinstance(reduced, str):
            self.put("named", type(thing).__module__, reduced)
            return
        self.put("instance")
        self.visit(type(thing))
        for part in reduced:
            if isinstance(part, Iterable) and not isinstance(part, (tuple, list, dict, str, bytes, type)):
                part = list(part)  # items of a subclass of list or dict
            self.visit(part)


def _top(kind: type) -> str:
    """The top-level package of a class; some classes made at run time name none."""
    return str(kind.__module__ or "").partition(".")[0]


def _may_hold(module: str, top: str) -> bool:
    """Whether to look in `module` for an object whose class comes from the package `top`."""
    first = module.partition(".")[0]
    return first == top or (top == "numpy" and first == "scipy")
