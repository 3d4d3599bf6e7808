"""What comes out of a simulation? Statistics at log-spaced steps, with what is known of the constants of bounds."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._support.names import nearest
from .checks import FloatArray
from .facts import Facts


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
        """What is known of L, sigma, D, R, G, L0, L1, eps, step, T, M, Delta, mu, rho, ..., by the names of bounds."""
        return dict(self.known)

    def __repr__(self) -> str:
        f, bad = self.facts, int(np.sum(self.status != "ok"))
        diverged = f", {bad} diverged" if bad else ""
        return (
            f"Run({f.optimizer} on {f.objective}, d={f.dim}, noise {f.noise}, "
            f"{self.steps[-1]:,} steps, {self.replicas} replicas{diverged})"
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
    """Read a run that `Run.save` wrote."""
    with np.load(Path(path), allow_pickle=False) as file:
        def section(name: str) -> dict[str, Any]:
            found = {k.removeprefix(name): file[k] for k in file.files if k.startswith(name)}
            return {k: v.item() if name == "known." and v.ndim == 0 else v for k, v in found.items()}

        return Run(
            steps=file["steps"],
            start=file["start"],
            statistics=section("statistics."),
            status=file["status"],
            initial_gap=float(file["initial_gap"]),
            known=section("known."),
            facts=Facts.from_json(str(file["facts"])),
        )
