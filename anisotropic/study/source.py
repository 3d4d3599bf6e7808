"""Which code computes the cells? The function or the file of a study, and the fingerprint that names its cells."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import os
import stat
import sys
import tokenize
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from .._support.fingerprint import NoFingerprint, of_function, of_source
from .._support.fingerprint.imports import closure_of
from .errors import StudyError
from .files import canonical
from .grid import Axes, Grid
from .neighbours import admit

GRIDS = {"AXES", "QUICK"}
#: A cell may change what its own fingerprint covers, such as a list in its closure; the fingerprint found after a run
#: then stands for the one found before it.
_same: dict[str, str] = {}


@dataclass(frozen=True, eq=False)
class Definition(Grid):
    """A grid whose points a function computes.

    Parameters
    ----------
    cell : function ``(**point) -> dict of arrays``
        One point of the grid. If it has a parameter `seed` it receives the seed of the cell.
    path : Path, optional
        The study's file.
    text : str, optional
        The text of the file from which `cell` was loaded.
    """

    cell: Callable[..., Mapping[str, Any]]
    path: Path | None = field(default=None, kw_only=True)
    text: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.path is not None and not self.text:
            object.__setattr__(self, "text", text_of(self.path))

    @property
    def document(self) -> str:
        """The docstring of the study's file; its first line is the question."""
        if self.path is None:
            return ""
        return (getattr(sys.modules.get(self.cell.__module__), "__doc__", None) or "").strip()

    @property
    def takes_seed(self) -> bool:
        """True where the cell has a parameter `seed`."""
        parameters = inspect.signature(self.cell).parameters
        return "seed" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())

    def key(self, point: Mapping[str, Any]) -> str:
        """Name of a cell in the store: hash of the code that computes it, of its point and of what its seed omits."""
        return self._named()(point)

    def keys(self, axes: Axes) -> dict[str, dict[str, Any]]:
        """All points of a grid by their keys, in grid order."""
        named = self._named()
        return {named(point): point for point in self.points(axes)}

    def _named(self) -> Callable[[Mapping[str, Any]], str]:
        omitted = canonical(sorted(set(self.unpaired) & set(self.axes)))
        start = hashlib.sha256(f"{self.fingerprint()}|{omitted}|".encode())

        def named(point: Mapping[str, Any]) -> str:
            sha = start.copy()
            sha.update(canonical(point).encode())
            return sha.hexdigest()

        return named

    def fingerprint(self) -> str:
        """Hash of the code that can change a number.

        With a file, of what was loaded: of the part of its text that `code_of` keeps, of the modules behind its imports
        and of this package. Without, of the function as it is now and of all that it reaches.

        Raises
        ------
        StudyError
            The function reaches something that has no fingerprint, or this package was edited since Python started.
        """
        found = self.current()
        return _same.get(found, found)

    def current(self) -> str:
        """The fingerprint of the loaded file, or of the function as it is at this moment."""
        if not self.text:
            return fingerprint_of(self.cell, None, "")
        cached = self.__dict__.get("_fingerprint")
        if cached is None:
            cached = fingerprint_of(None, self.path, self.text)
            object.__setattr__(self, "_fingerprint", cached)
        return cached

    def settle(self, before: str) -> None:
        """After a run: what the cells themselves have changed within their reach does not make them other code."""
        if not self.text and (after := self.current()) != before:
            _same[after] = before


def fingerprint_of(cell: Callable[..., Any] | None, path: Path | None, text: str) -> str:
    """The fingerprint of a study's file with this text, or where that is empty of a function."""
    try:
        if text:
            return of_source(path, text=code_of(text))
        assert cell is not None, "a study has a file or a function"
        return of_function(cell)
    except NoFingerprint as error:
        raise StudyError(str(error)) from None


def text_of(path: Path) -> str:
    """The text of a Python file, whatever encoding it declares."""
    try:
        with tokenize.open(path) as file:
            return file.read()
    except OSError as error:
        raise StudyError(f"cannot read the study {path}: {error.strerror}") from None
    except (SyntaxError, UnicodeDecodeError) as error:
        raise StudyError(f"{path} is not a Python file ({error}); a study is a module that ends with .py") from None


def load_module(path: Path) -> ModuleType:
    """Import a study's file as it is now, and what it imports from its neighbors likewise."""
    path = path.resolve()
    if path.suffix != ".py":
        raise StudyError(f"{path} is not a Python file; a study is a module that ends with .py")
    text = text_of(path)
    _warn_where_others_write(path.parent)
    return module_from(path, text)


def module_from(path: Path, text: str) -> ModuleType:
    """The module of a study's file with this text, once per text and state of the modules behind its imports."""
    try:
        content = of_source(path, text=text)
        behind = [name for name, _ in closure_of(path) if name]
    except NoFingerprint as error:
        raise StudyError(str(error)) from None
    name = f"anisotropic_study_{path.stem}_{hashlib.sha256(f'{path}|{content}'.encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    admit(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "a path that ends with .py has a loader"
    module = importlib.util.module_from_spec(spec)
    module.__text__ = text  # type: ignore[attr-defined]  # what the fingerprint is of, whatever the file says later
    sys.modules[name] = module
    for neighbour in behind:  # they may have been edited since this process imported them
        sys.modules.pop(neighbour, None)
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _warn_where_others_write(folder: Path) -> None:
    if os.name == "posix" and folder.stat().st_mode & stat.S_IWOTH:
        print(
            f"Warning: everyone on this machine may write to {folder}; a file there that is called like a module which "
            "the study imports would run with it. Move the study into a folder of your own.",
            file=sys.stderr,
        )


def code_of(text: str) -> str:
    """The part of a study's text that can change a number, without comments and layout.

    Left out are the docstring, the guard ``if __name__ == "__main__"``, and those functions, axes and constants that
    `cell` does not reach by name: a new label in a plot, or one more value on an axis, keeps every finished cell.

    >>> before = "SIZE = 3\\ndef cell(n): return {'y': n * SIZE}\\ndef plot(r): r.say('a')"
    >>> code_of(before) == code_of(before.replace("'a'", "'a new label'"))
    True
    >>> code_of(before) == code_of(before.replace("SIZE = 3", "SIZE = 4"))
    False
    """
    body = ast.parse(text).body
    loose: list[ast.stmt] = []
    kept: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.If) and "__name__" in ast.dump(node.test):
            continue
        (loose if _names_defined(node) else kept).append(node)
    reached = {"cell"}
    for node in kept:
        reached |= _names_used(node)
    while found := [node for node in loose if _names_defined(node) & reached]:
        loose = [node for node in loose if node not in found]
        kept += found
        for node in found:
            reached |= _names_used(node)
    return "\n".join(ast.dump(node) for node in body if node in kept)


def _names_used(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _names_defined(node: ast.stmt) -> set[str]:
    """Names bound by a definition, or by an assignment without a call; empty for statements that always count."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = {t.id for t in targets if isinstance(t, ast.Name)}
        if len(names) == len(targets) and (names <= GRIDS or not any(isinstance(n, ast.Call) for n in ast.walk(node))):
            return names
    return set()
