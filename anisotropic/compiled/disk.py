"""How is a kernel ready at once? It is compiled once for its functions and types, and kept on disk for other processes.

A kernel takes functions as its leading arguments. `ready` writes its text with these functions as globals, in which
every call is inlined: what results is one piece of machine code that refers to no other, hence the same bits in the
process that compiles it and in every process that loads it. The entry on disk is named by the hash of all it was made
from: this package, kernel and types, the fingerprint of each function, Python, Numba, LLVM, NumPy, the processor and
Numba's settings. Where one of these is not known, or the folder cannot be trusted, the kernel is compiled in memory.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import hashlib
import json
import platform
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CellType, FunctionType
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from numba import njit, typeof
from numba.core.typing import templates

from .._support.fingerprint import NoFingerprint, of_function
from .._support.fingerprint.origin import OUTSIDE, USER, of_module
from . import folder, generated
from .copies import Copies, stand_in
from .specialize import KERNEL, Text, specialize

__all__ = ["KernelsNotKept", "ready"]

LAYOUT = 1  # of an entry; another one reads no entry of this
_IRRELEVANT = re.compile("CACHE|DUMP|DEBUG_|TRACE|THREAD|COLOR|WARN|CAPTURED|PROFIL|DEVELOPER|CUDA|TIMER|GDB|HIGHLIGHT")
_DEFINED = re.compile(r'^define [^@\n]*@"?([^"(\n]+)"?(\(.*?)^\}', re.MULTILINE | re.DOTALL)
_HARMLESS = ("NRT_", "_ZN5numba", "__excinfo_unwrap_args", ".dtor.")
_FLOATING = re.compile(r"\b(double|float|half|bfloat)\b")

_made: dict[Any, Any] = {}
_lock = threading.RLock()
_said: set[str] = set()


class KernelsNotKept(RuntimeWarning):
    """Compiled kernels are not kept between processes; everything else works."""


def ready(kernel: Any, functions: tuple[Any, ...], arguments: tuple[Any, ...]) -> Callable[..., Any]:
    """The kernel for these functions, compiled for arguments of these types; it takes the arguments alone.

    Parameters
    ----------
    kernel : njit function
        Its leading parameters take functions or None; it calls them, compares them with None, or hands them on to
        another compiled function as arguments by place.
    functions : tuple of njit functions and None
    arguments : tuple
        Examples of the other arguments. The kernel is not run.

    Raises
    ------
    numba.TypingError
        A function does not compile for these types.

    Warns
    -----
    KernelsNotKept
        Once for each reason why kernels cannot be kept on disk.

    Examples
    --------
    >>> from numba import njit
    >>> @njit
    ... def twice(f, x):
    ...     return f(f(x))
    >>> @njit
    ... def double(x):
    ...     return 2 * x
    >>> ready(twice, (double,), (1.0,))(5.0)
    20.0
    """
    if numba.config.DISABLE_JIT:
        return functools.partial(kernel, *functions)
    plain = stand_in(arguments)
    types = tuple(typeof(value) for value in plain)
    key = (kernel, functions, types)
    with _lock:
        if key not in _made:
            _made[key] = _load_or_build(kernel, functions, types, _records(plain))
    compiled = _made[key]
    if _records(arguments) == _records(plain):
        return compiled
    return lambda *values: compiled(*stand_in(values))


def _records(value: Any) -> list[str]:
    """Class and fields of every record in a nest of tuples."""
    if not isinstance(value, tuple):
        return []
    cls = type(value)
    inner = [record for item in value for record in _records(item)]
    return [f"{cls.__module__}.{cls.__qualname__}{getattr(cls, '_fields', '')}", *inner]


def _load_or_build(kernel: Any, functions: tuple[Any, ...], types: tuple[Any, ...], records: list[str]) -> Any:
    text = specialize(kernel, functions)
    try:
        symbols = Copies().of_symbols(text.symbols)
        name = _entry_name(kernel, functions, types, records)
        root = folder.opened()
    except NoFingerprint:  # nobody knows whether code on disk would still be right
        return _compile(text, text.symbols, types)
    except folder.Unusable as problem:
        _say(str(problem))
        root = None
    if root is None:
        return _compile(text, symbols, types)
    files = {f"{kernel.__name__}_{name[:16]}.py": text.source.encode()}
    entry = root / name
    loaded = _load(entry, files, text, symbols, types)
    return loaded or _build(entry, files, text, symbols, types)


def _entry_name(kernel: Any, functions: tuple[Any, ...], types: tuple[Any, ...], records: list[str]) -> str:
    """The hash of everything that can change a bit of the compiled kernel."""
    settings = {
        name: value
        for name, value in sorted(vars(numba.config).items())
        if name.isupper() and isinstance(value, (int, float, str, type(None))) and not _IRRELEVANT.search(name)
    }
    parts = [
        LAYOUT,
        of_function(kernel),
        [None if f is None else of_function(f) for f in functions],
        [str(t) for t in types],
        records,
        [platform.python_implementation(), platform.python_version()],
        [numba.__version__, llvmlite.__version__, np.__version__, ".".join(map(str, llvm.llvm_version_info))],
        [llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()],
        _extensions(),
        settings,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]


def _extensions() -> list[tuple[str, str]]:
    """Name and version of every package that taught Numba functions by overloads.

    Raises
    ------
    NoFingerprint
        Code of the user's did so: a kernel may reach it without naming it.
    """
    registry = templates.builtin_registry
    templates_known = (*registry.functions, *registry.attributes)
    taught = {t._overload_func for t in templates_known if hasattr(t, "_overload_func")}
    taught |= {inner for f in taught for inner in _enclosed(f)}  # what register_jitable wraps
    origins = {of_module(str(f.__globals__.get("__name__"))) for f in taught}
    if any(origin.kind == USER for origin in origins):
        raise NoFingerprint("a function of the user's extends Numba by an overload")
    return sorted((origin.name, origin.version) for origin in origins if origin.kind == OUTSIDE)


def _enclosed(function: Any) -> list[Any]:
    """Functions in the closure of another."""
    cells = (cell for cell in function.__closure__ or () if cell != CellType())
    return [cell.cell_contents for cell in cells if isinstance(cell.cell_contents, FunctionType)]


def _module(text: Text, symbols: dict[str, Any], file: str, name: str, cache: bool) -> Any:
    """The compiled function of a text, not yet compiled for any types."""
    scope = {"__name__": generated.__name__, "__builtins__": builtins, **symbols}
    exec(compile(text.source, file, "exec"), scope)
    for helper, options in text.options.items():
        if helper != KERNEL:
            scope[helper] = njit(**{**options, "forceinline": True})(scope[helper])
    function = scope[KERNEL]
    function.__name__ = function.__qualname__ = name  # names the machine code, which must be unlike any other's
    return njit(**text.options[KERNEL], cache=cache)(function)


def _compile(text: Text, symbols: dict[str, Any], types: tuple[Any, ...]) -> Any:
    """A kernel in memory."""
    compiled = _module(text, symbols, "<kernel>", KERNEL, cache=False)
    compiled.compile(types)
    return compiled


def _load(entry: Path, files: dict[str, bytes], text: Text, symbols: dict[str, Any], types: tuple[Any, ...]) -> Any:
    """The kernel of an entry, or None; an entry that is damaged or does not load is removed."""
    if not entry.exists():
        return None
    with contextlib.suppress(Exception):  # whatever is wrong with it, a fresh one can be made
        if folder.whole(entry, files):
            compiled = _on_disk(entry, files, text, symbols)
            compiled.compile(types)
            if sum(compiled.stats.cache_hits.values()):
                folder.used(entry)
                return compiled
    folder.remove(entry)
    return None


def _build(entry: Path, files: dict[str, bytes], text: Text, symbols: dict[str, Any], types: tuple[Any, ...]) -> Any:
    """Compile a kernel and keep it, if it is alone; a problem with the disk costs the entry, not the kernel."""
    fresh = compiled = None
    try:
        fresh = folder.begin(entry.parent, files)
        compiled = _on_disk(fresh, files, text, symbols)
        compiled.compile(types)
        if _alone(compiled, types):
            folder.publish(fresh, entry)
            fresh = None
    except Exception as problem:
        if compiled is not None and not compiled.signatures:
            raise  # the functions do not compile
        _say(f"{entry.parent}: {getattr(problem, 'strerror', None) or problem}")
        return compiled or _compile(text, symbols, types)
    finally:
        if fresh is not None:
            folder.remove(fresh)
    return compiled


def _on_disk(place: Path, files: dict[str, bytes], text: Text, symbols: dict[str, Any]) -> Any:
    """The compiled function of an entry, which Numba keeps beside its file."""
    (file,) = files
    with _beside_the_file():
        compiled = _module(text, symbols, str(place / file), Path(file).stem, cache=True)
    if Path(compiled.stats.cache_path) != place / "__pycache__":
        raise OSError(f"Numba would write to {compiled.stats.cache_path}")
    return compiled


@contextlib.contextmanager
def _beside_the_file() -> Iterator[None]:
    """Numba's cache lies beside the file of a function, whatever NUMBA_CACHE_DIR says of others."""
    names = [name for name in ("CACHE_DIR", "CACHE_LOCATOR_CLASSES") if hasattr(numba.config, name)]
    before = {name: getattr(numba.config, name) for name in names}
    for name in names:
        setattr(numba.config, name, "")
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(numba.config, name, value)


def _alone(compiled: Any, types: tuple[Any, ...]) -> bool:
    """Whether every call that could change a bit was inlined.

    A function left over is a symbol that the linker binds to whichever copy came first in the process, and copies
    differ in their last bits: then the kernel is right, but not the same everywhere. Numba's own functions without
    floating-point numbers, for reference counts and messages of errors, may stay.
    """
    for name, body in _DEFINED.findall(compiled.inspect_llvm(types)):
        harmless = name.startswith(_HARMLESS) and ("ol_raise_" in name or not _FLOATING.search(body))
        if compiled.py_func.__name__ not in name and not harmless:
            return False
    return True


def _say(problem: str) -> None:
    if problem not in _said:
        _said.add(problem)
        warnings.warn(
            f"compiled kernels are not kept for the next process: {problem}; see {folder.SETTING}", KernelsNotKept, 4
        )
