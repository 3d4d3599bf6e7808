"""Which texts does a file rest on? The files of all modules behind its imports that are the user's own."""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from typing import Any, NamedTuple

from ..sources import NoFingerprint, Stamp, stamp
from .origin import OWN, USER, of_file


class Wanted(NamedTuple):
    """A module that a file imports; level counts the dots of a relative import."""

    name: str
    level: int


def closure_of(path: Any, module: str = "") -> list[tuple[str, bytes]]:
    """(name, text) of a file, then of every module of the user's behind it, sorted by name.

    `module` is the dotted name of the file where it is part of a package, so that relative imports can be followed.
    """
    start = os.path.abspath(path)
    root = folder_of(start, module)
    text, wanted = _read(start)
    found: dict[str, bytes] = {}
    todo = [(_package(module, start), wanted)]
    while todo:
        package, wanted = todo.pop()
        for name in (part for w in wanted for part in _with_parents(_absolute(w, package))):
            place = None if name in found else file_of_module(name, root)
            if place is not None and os.path.abspath(place) != start:
                found[name], inner = _read(place)
                todo.append((_package(name, place), inner))
    return [(module, text), *sorted(found.items())]


def folder_of(path: str, module: str) -> str:
    """The folder from which the top-level package of a module's file is imported."""
    up = module.count(".") + 1 + _is_package(path)
    for _ in range(up if module else 1):
        path = os.path.dirname(path)
    return path


def file_of_module(name: str, folder: str | None = None) -> str | None:
    """The file of a module of the user's, looked for in `folder`, then where Python would look; else None."""
    top, *rest = name.split(".")
    if top == OWN:
        return None
    for base in _bases(top, folder):
        if (file := _file_at(os.path.join(base, *rest))) is not None:
            return file
    return None


def _bases(top: str, folder: str | None) -> Iterator[str]:
    """Paths without suffix at which a top-level module of the user's may lie."""
    if folder is not None and of_file("", os.path.join(folder, top)).kind == USER:
        yield os.path.join(folder, top)
    try:
        spec = getattr(sys.modules.get(top), "__spec__", None) or importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    places = list(spec.submodule_search_locations or [])
    if not places and spec.has_location and spec.origin:
        places = [os.path.join(os.path.dirname(spec.origin), top)]
    yield from (place for place in places if of_file(top, place).kind == USER)


def _file_at(base: str) -> str | None:
    """The file of the module at a path without suffix; of a package its __init__."""
    for stem in (os.path.join(base, "__init__"), base):
        for suffix in SOURCE_SUFFIXES + EXTENSION_SUFFIXES:
            if os.path.isfile(stem + suffix):
                return stem + suffix
    return None


def _is_package(path: str) -> bool:
    return os.path.basename(path).startswith("__init__.")


def _package(module: str, path: str) -> str:
    return module if _is_package(path) else module.rpartition(".")[0]


def _absolute(wanted: Wanted, package: str) -> str:
    if not wanted.level:
        return wanted.name
    parts = package.split(".") if package else []
    return ".".join([*parts[: len(parts) - wanted.level + 1], *([wanted.name] if wanted.name else [])])


def _with_parents(name: str) -> list[str]:
    parts = name.split(".") if name else []
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _read(path: str) -> tuple[bytes, tuple[Wanted, ...]]:
    try:
        return _parsed(path, stamp(os.stat(path)))
    except OSError as error:
        raise NoFingerprint(f"cannot read {path}: {error.strerror}; expected a Python file") from None
    except (SyntaxError, ValueError) as error:
        raise NoFingerprint(f"{path} is not Python: {error}") from None


@lru_cache(maxsize=512)
def _parsed(path: str, when: Stamp) -> tuple[bytes, tuple[Wanted, ...]]:
    with open(path, "rb") as file:
        text = file.read()
    if not path.endswith(".py"):
        return text, ()
    return text.replace(b"\r\n", b"\n"), tuple(dict.fromkeys(_imports(ast.parse(text))))


def _imports(tree: ast.AST) -> Iterator[Wanted]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Wanted(alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            yield Wanted(base, node.level)
            prefix = f"{base}." if base else ""
            yield from (Wanted(f"{prefix}{alias.name}", node.level) for alias in node.names if alias.name != "*")
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield Wanted(node.args[0].value.lstrip("."), 0)
