"""What is a study, and how is it run from Python? A grid, a function of one point, a plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from .driver import run
from .errors import StudyError
from .grid import UNPAIRED
from .results import Results
from .source import Definition, load_module


@dataclass(frozen=True, eq=False)
class Study(Definition):
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

    plot: Callable[[Results], None] | None = None

    @classmethod
    def load(cls, source: str | Path | ModuleType) -> Study:
        """The study in a file or a module: AXES, cell, and where they exist plot, QUICK, UNPAIRED, include.

        A module that has a file is imported from it anew, so that the cells belong to a text that is known.
        """
        module = source if isinstance(source, ModuleType) else None
        file = getattr(module, "__file__", None) if module else source
        path = Path(file) if file else None
        if module is None or path is not None:
            assert path is not None, "a source is a path or a module"
            module = load_module(path)
        missing = [name for name in ("AXES", "cell") if not hasattr(module, name)]
        if missing:
            raise StudyError(f"{path or module.__name__} is not a study: it defines no {' and no '.join(missing)}")
        study = cls(
            name=path.stem if path else module.__name__,
            axes=module.AXES,
            cell=module.cell,
            plot=getattr(module, "plot", None),
            quick=getattr(module, "QUICK", {}),
            unpaired=getattr(module, "UNPAIRED", UNPAIRED),
            include=getattr(module, "include", None),
            path=path,
            text=getattr(module, "__text__", ""),
        )
        study.current()
        return study

    def run(
        self,
        folder: str | Path,
        *,
        executor: str | Executor = "threads",
        workers: int | None = None,
        timeout: float | None = None,
        mix_processors: bool = False,
        quick: bool = False,
        quiet: bool = True,
        **axes: Sequence[Any],
    ) -> Results:
        """Compute what is missing in `folder` and return the results.

        Parameters
        ----------
        folder : str or Path
        executor : str or concurrent.futures.Executor
            "threads", "processes", "serial", "dask", "dask:ADDRESS", "slurm", "slurm:OPTION=VALUE,...", or one's own.
        workers : int, optional
            Threads, processes or SLURM tasks at once; by default the cores this process may use, or 16 tasks.
        timeout : float, optional
            Seconds that a cell may take; one that takes longer is "failed". Needs executor "processes".
        mix_processors : bool
            True lets cells of several kinds of processors, whose last digits may differ, stand in one store.
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
        chosen = self.grid(quick, **axes)
        return run(
            self,
            Path(folder),
            chosen,
            executor=executor,
            workers=workers,
            timeout=timeout,
            mix_processors=mix_processors,
            quiet=quiet,
        )
