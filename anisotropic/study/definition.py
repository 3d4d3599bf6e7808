"""What is a study? Axes, a function of one point, a plot; and from these the points, the keys and the seeds."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.names import nearest
from .store import StudyError, canonical

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from .results import Results

UNPAIRED = ("optimizer", "step_size")
GRIDS = {"AXES", "QUICK"}
RESERVED = ("seed", "quick", "results", "executor", "workers", "json", "quiet", "from_manifest", "help", "word")
Axes = dict[str, list[Any]]


@dataclass(frozen=True, eq=False)
class Study:
    """A grid of independent computations.

    Parameters
    ----------
    name : str
        Also the name of the default results folder, ``results/<name>``.
    axes : mapping of str to list
        The grid is the product; values are numbers, texts, booleans or None.
    cell : function ``(**point) -> dict of arrays``
        One point of the grid. If it has a parameter `seed` it receives the seed of the cell, an int below 2**63: the
        hash of the point without the `unpaired` axes, so that methods are compared on the same random numbers.
    plot : function ``(results) -> None``, optional
    quick : mapping, optional
        Axes replaced by ``--quick``.
    unpaired : sequence of str
    include : function ``(**point) -> bool``, optional
        False drops a point of the product.
    path : Path, optional
        The study's file.

    Examples
    --------
    >>> import tempfile
    >>> study = Study("squares", {"n": [1, 2, 3]}, lambda n: {"square": n * n})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     study.run(folder).array("square").tolist()
    [1, 4, 9]
    """

    name: str
    axes: Mapping[str, Sequence[Any]]
    cell: Callable[..., Mapping[str, Any]]
    plot: Callable[[Results], None] | None = None
    quick: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    unpaired: Sequence[str] = UNPAIRED
    include: Callable[..., bool] | None = None
    path: Path | None = None

    def __post_init__(self) -> None:
        if not self.axes:
            raise StudyError(f"study {self.name} has no axes; expected AXES = {{'name': [values]}}")
        for reserved in set(self.axes) & set(RESERVED):
            hint = "; it is the hash of the point: repeat with an axis such as 'repeat'" if reserved == "seed" else ""
            raise StudyError(f"study {self.name} has an axis {reserved!r}, a word that studies use themselves{hint}")
        object.__setattr__(self, "axes", self._checked(self.axes))
        object.__setattr__(self, "quick", self._checked(self.quick))

    @property
    def document(self) -> str:
        """The docstring of the study's file; its first line is the question."""
        if self.path is None:
            return ""
        return (getattr(sys.modules.get(self.cell.__module__), "__doc__", None) or "").strip()

    @classmethod
    def load(cls, source: str | Path | ModuleType) -> Study:
        """The study in a file or a module: AXES, cell, and where they exist plot, QUICK, UNPAIRED, include."""
        module = source if isinstance(source, ModuleType) else load_module(Path(source))
        file = getattr(module, "__file__", None)
        path = Path(file) if file else None
        missing = [name for name in ("AXES", "cell") if not hasattr(module, name)]
        if missing:
            raise StudyError(f"{path or module.__name__} is not a study: it defines no {' and no '.join(missing)}")
        return cls(
            name=path.stem if path else module.__name__,
            axes=module.AXES,
            cell=module.cell,
            plot=getattr(module, "plot", None),
            quick=getattr(module, "QUICK", {}),
            unpaired=tuple(getattr(module, "UNPAIRED", UNPAIRED)),
            include=getattr(module, "include", None),
            path=path,
        )

    def _checked(self, axes: Mapping[str, Sequence[Any]]) -> Axes:
        """Axes as lists of plain JSON values, known by name, without repeats."""
        checked: Axes = {}
        for name, values in axes.items():
            if name not in self.axes:
                has = f"it has {', '.join(self.axes)}{nearest(name, self.axes)}"
                raise StudyError(f"study {self.name} has no axis {name!r}; {has}")
            if isinstance(values, str) or not isinstance(values, (Sequence, np.ndarray)) or not len(values):
                raise StudyError(f"axis {name!r} is {values!r}; expected a list with at least one value")
            plain = [v.item() if isinstance(v, np.generic) else v for v in values]
            for value in plain:
                if not isinstance(value, (int, float, str, bool, type(None))):
                    raise StudyError(f"axis {name!r} holds {value!r}; expected numbers, texts, booleans or None")
                if isinstance(value, float) and not np.isfinite(value):
                    raise StudyError(f"axis {name!r} holds {value!r}; expected finite numbers")
            checked[name] = list(dict.fromkeys(plain))
        return checked

    def grid(self, quick: bool = False, **overrides: Sequence[Any]) -> Axes:
        """The axes in force."""
        return self._checked({**self.axes, **(self.quick if quick else {}), **overrides})

    def points(self, axes: Axes) -> list[dict[str, Any]]:
        """All points of a grid, last axis fastest, less those that `include` drops."""
        product = (dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values()))
        return [p for p in product if self.include is None or self.include(**p)]

    def seed(self, point: Mapping[str, Any]) -> int:
        """63-bit hash of the point without the unpaired axes.

        >>> study = Study("s", {"optimizer": ["sgd", "adagrad"], "batch": [1, 2]}, dict)
        >>> same = [study.seed({"optimizer": o, "batch": 1}) for o in ("sgd", "adagrad")]
        >>> same[0] == same[1] != study.seed({"optimizer": "sgd", "batch": 2})
        True
        """
        paired = {k: v for k, v in point.items() if k not in self.unpaired}
        return int.from_bytes(hashlib.sha256(canonical(paired).encode()).digest()[:8], "big") >> 1

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

    def run(
        self,
        folder: str | Path,
        *,
        executor: str | Executor = "threads",
        workers: int | None = None,
        quick: bool = False,
        quiet: bool = True,
        **axes: Sequence[Any],
    ) -> Results:
        """Compute what is missing in `folder` and return the results.

        Parameters
        ----------
        folder : str or Path
        executor : "threads", "processes", "serial", "dask", "dask:ADDRESS" or any ``concurrent.futures.Executor``
        workers : int, optional
            Of threads or processes; by default the cores this process may use.
        quick : bool
        quiet : bool
            False shows progress on stderr.
        **axes
            Axes replaced for this run.

        Raises
        ------
        StudyError
            The folder cannot be written or is in use, or an axis is unknown.
        """
        from .driver import run

        return run(self, Path(folder), self.grid(quick, **axes), executor=executor, workers=workers, quiet=quiet)


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
