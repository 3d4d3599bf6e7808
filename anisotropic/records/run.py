"""What comes out of a simulation? Statistics at log-spaced iterations, and what is known of the constants of bounds."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._support.names import nearest
from .archive import arrays_of
from .checks import FloatArray
from .facts import Facts

#: Bytes of arrays that a saved run may hold.
LARGEST = 16 * 2**30


@dataclass(frozen=True, eq=False)
class Run:
    """Statistics of simulated trajectories at about log-spaced numbers of updates.

    `steps[k]` = t counts the updates done. Each statistic is an array ``(replicas, records)``, read as an attribute or
    as ``run["name"]``: `gap` = f(w_{t+1}) - f*; `mean_gap` = (1/t) sum_{s<=t} (f(w_s) - f*); `average_gap` =
    f(mean of w_1..w_t) - f*; `gradient_l1`, `gradient_l2`, `gradient_l2_squared` = running means over w_1..w_t of that
    norm of the true gradient; `last_gradient_l2_squared` at w_{t+1}; `batch_size`; `samples` (cumulative);
    `accumulator` (sum of v_t over coordinates, NaN where there is none); and for every measure "m" of the user `m` at
    w_{t+1} and `mean_m` over w_1..w_t. A replica that diverges is NaN from its first non-finite record on.

    Where f* is unknown, the gaps are NaN and `value` keeps f(w_{t+1}).
    """

    steps: NDArray[np.int64]
    start: FloatArray
    statistics: dict[str, FloatArray]
    status: NDArray[np.str_]
    initial_gap: float
    known: dict[str, Any] = field(default_factory=dict)
    facts: Facts = Facts()

    def __getattr__(self, name: str) -> FloatArray:
        if not name.startswith("__") and name in (statistics := self.__dict__.get("statistics", {})):
            return statistics[name]
        raise AttributeError(self._nothing(name))

    def __getitem__(self, name: str) -> FloatArray:
        try:
            return self.statistics[name]
        except KeyError:
            raise KeyError(self._nothing(name)) from None

    def _nothing(self, name: str) -> str:
        have = self.__dict__.get("statistics", {})
        return f"this run has no statistic {name!r}; it has {', '.join(sorted(have))}{nearest(name, have)}"

    @property
    def replicas(self) -> int:
        """Number of independent trajectories."""
        return self.status.size

    def constants(self) -> dict[str, Any]:
        """What is known of L, sigma, D, R, G, eps, step_size, T, M, Delta, mu, rho, ..., by the names of bounds."""
        return dict(self.known)

    def __repr__(self) -> str:
        f, bad = self.facts, int(np.sum(self.status != "ok"))
        diverged = f", {bad} diverged" if bad else ""
        return (
            f"Run({f.optimizer} on {f.objective}, d={f.dim}, noise {f.noise}, "
            f"{self.steps[-1]:,} iterations, {self.replicas} replicas{diverged})"
        )

    def _repr_html_(self) -> str:
        from .._support.html import html_block

        last = {k: v[:, -1][np.isfinite(v[:, -1])] for k, v in self.statistics.items()}
        rows = [
            {"after the last iteration": k, "mean": v.mean(), "least": v.min(), "largest": v.max()}
            for k, v in last.items() if v.size
        ]  # fmt: skip
        return html_block(repr(self), rows=rows)

    def save(self, path: str | Path) -> Path:
        """Write the run to one ``.npz`` file (no pickle inside); `anisotropic.load` reads it back."""
        path = Path(path)
        if path.suffix != ".npz":
            path = path.with_name(path.name + ".npz")
        arrays: dict[str, Any] = {f"known.{k}": np.asarray(v) for k, v in self.known.items()}
        arrays |= {f"statistics.{k}": v for k, v in self.statistics.items()}
        part = path.with_name(path.name + ".part")
        try:
            with part.open("wb") as file:
                np.savez_compressed(
                    file,
                    steps=self.steps,
                    start=self.start,
                    status=self.status,
                    initial_gap=self.initial_gap,
                    facts=json.dumps(self.facts.asdict()),
                    **arrays,
                )
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return path

    def to_xarray(self) -> Any:
        """The statistics as an ``xarray.Dataset`` with coordinates `replica` and `step` (extra `xarray`)."""
        from .._support.extras import require

        xarray = require("xarray", "xarray")
        data = {k: (("replica", "step"), v) for k, v in self.statistics.items()}
        return xarray.Dataset(data, {"step": self.steps, "replica": np.arange(self.replicas)}, self.facts.asdict())

    def to_pandas(self) -> Any:
        """A tidy ``pandas.DataFrame``, one row per replica and record (extra `xarray`)."""
        from .._support.extras import require

        pandas = require("pandas", "xarray")
        replica, step = np.meshgrid(np.arange(self.replicas), self.steps, indexing="ij")
        return pandas.DataFrame(
            {"replica": replica.ravel(), "step": step.ravel()} | {k: v.ravel() for k, v in self.statistics.items()}
        )


def load(path: str | Path) -> Run:
    """Read a run that `Run.save` wrote; a file of a stranger executes nothing.

    Raises
    ------
    ValueError
        The file is not a saved run.
    """
    try:
        file = arrays_of(Path(path), LARGEST)
        run = Run(
            steps=file["steps"],
            start=file["start"],
            statistics=_section(file, "statistics."),
            status=file["status"],
            initial_gap=float(file["initial_gap"]),
            known=_section(file, "known."),
            facts=Facts.from_json(str(file["facts"])),
        )
        shape = (run.status.size, run.steps.size)
        if any(np.shape(v) != shape for v in run.statistics.values()):
            raise ValueError(f"its statistics have not all the shape {shape} of replicas and records")
    except FileNotFoundError:
        raise
    except Exception as error:  # whatever is wrong in a file that anyone may have written
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path} is not a run that Run.save wrote ({reason})") from None
    return run


def _section(file: dict[str, Any], name: str) -> dict[str, Any]:
    return {k.removeprefix(name): v for k, v in file.items() if k.startswith(name)}
