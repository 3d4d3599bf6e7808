"""Which code computes the cells? The function or the file of a study, and the fingerprint that names its cells."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from .grid import Grid
from .store import StudyError, canonical

GRIDS = {"AXES", "QUICK"}


@dataclass(frozen=True, eq=False)
class Definition(Grid):
    """A grid whose points a function computes.

    Parameters
    ----------
    cell : function ``(**point) -> dict of arrays``
        One point of the grid. If it has a parameter `seed` it receives the seed of the cell.
    path : Path, optional
        The study's file.
    """

    cell: Callable[..., Mapping[str, Any]]
    path: Path | None = field(default=None, kw_only=True)

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
        """Name of a cell in the store: hash of point, seed, the code that computes it and the package version."""
        from .. import __version__

        parts = (canonical(point), str(self.seed(point)), self.fingerprint(), __version__)
        return hashlib.sha256("|".join(parts).encode()).hexdigest()

    def fingerprint(self) -> str:
        """Hash of the code that can change a number; see `code_of`."""
        cached = self.__dict__.get("_fingerprint")
        if cached is None:
            cached = hashlib.sha256(self._code().encode()).hexdigest()[:16]
            object.__setattr__(self, "_fingerprint", cached)
        return cached

    def _code(self) -> str:
        if self.path is not None:
            return code_of(self.path.read_text(encoding="utf-8"), self.path.parent)
        try:
            return inspect.getsource(self.cell)
        except (OSError, TypeError):
            code = getattr(self.cell, "__code__", None)
            return repr((code.co_code, code.co_consts, code.co_names)) if code else repr(self.cell)


def load_module(path: Path) -> ModuleType:
    """Import a study's file, once per content, under a name of its own."""
    path = path.resolve()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise StudyError(f"cannot read the study {path}: {error.strerror}") from None
    name = f"anisotropic_study_{path.stem}_{hashlib.sha256(f'{path}|{text}'.encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise StudyError(f"{path} is not a Python file; a study is a module that ends with .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def code_of(text: str, folder: Path | None = None) -> str:
    """The part of a study's text that can change a number, without comments and layout.

    Left out are the docstring, the guard ``if __name__ == "__main__"``, and those functions, axes and constants that
    `cell` does not reach by name: a new label in a plot, or one more value on an axis, keeps every finished cell.
    Modules imported from the study's own folder count as a whole.

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
    parts = [ast.dump(node) for node in body if node in kept]
    if folder is not None:
        imported = {a.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Import) for a in n.names}
        imported |= {n.module for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ImportFrom) and n.module}
        siblings = sorted(folder / f"{name.split('.')[0]}.py" for name in imported)
        parts += [path.read_text(encoding="utf-8") for path in dict.fromkeys(siblings) if path.is_file()]
    return "\n".join(parts)


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
