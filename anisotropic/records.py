"""What are the nouns? Frozen records for a problem, a noise, an optimizer, and for the two results.

A record is data: compiled functions, their parameters and what is certified about them. Everything here is NumPy
only, so that a notebook can hold, pickle and inspect a record without starting a compiler.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

#: Statistics that every run records, each of shape (replicas, records); see `Run`.
STATISTICS = (
    "gap",
    "mean_gap",
    "average_gap",
    "gradient_l1",
    "gradient_l2",
    "gradient_l2_squared",
    "last_gradient_l2_squared",
    "batch_size",
    "samples",
    "accumulator",
    "value",
)


class NoParameters(NamedTuple):
    """Parameters of a function that needs none (Numba cannot type an empty tuple as a record)."""

    unused: float = 0.0


def float_vector(
    values: ArrayLike, dim: int, name: str, *, low: float = -np.inf, strict: bool = False, finite: bool = True
) -> FloatArray:
    """`values` as a fresh `(dim,)` float64 array; NaN, infinity, a wrong shape and numbers below `low` are refused."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} = {values!r}; expected a number or an array of shape ({dim},)") from None
    if array.ndim > 1 or array.size not in (1, dim):
        raise ValueError(f"{name} has shape {array.shape}; expected a number or shape ({dim},)")
    array = np.ascontiguousarray(np.broadcast_to(array.reshape(-1) if array.ndim else array, (dim,)).copy())
    bad = np.isnan(array) | (array < low) | (strict & (array == low)) | (finite & np.isinf(array))
    if bad.any():
        j = int(np.argmax(bad))
        plain = "no NaN" if not finite else "finite numbers" if low == -np.inf or np.isinf(array[j]) else "numbers"
        wanted = plain if low == -np.inf else f"{plain} {'above' if strict else 'of at least'} {low:g}"
        raise ValueError(f"{name}[{j}] = {array[j]:g}; expected {wanted} in each of the {dim} coordinates")
    return array


def float_parameter(value: ArrayLike, name: str, *, low: float = 0.0, strict: bool = True) -> float:
    """One finite number above `low` (at least `low` unless `strict`), as a float."""
    try:
        number = float(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError):
        raise ValueError(f"{name} = {value!r}; expected one number") from None
    if not np.isfinite(number) or number < low or (strict and number == low):
        relation = "above" if strict else "of at least"
        raise ValueError(f"{name} = {number:g}; expected a finite number {relation} {low:g}")
    return number


def count(value: Any, name: str, *, low: int = 1) -> int:
    """A whole number of at least `low`."""
    try:
        number = int(value)
        whole = number == value and number >= low and not isinstance(value, bool)
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise ValueError(f"{name} = {value!r}; expected a whole number of at least {low}")
    return number


def module_level(function: Callable, role: str) -> Callable:
    """Refuse what Numba would recompile at every call: a closure. Also refuse a plain Python function."""
    python = getattr(function, "py_func", None)
    if python is None:
        from numba import config

        if callable(function) and config.DISABLE_JIT:
            return function
        name = getattr(function, "__name__", repr(function))
        raise TypeError(f"{role} function '{name}' is not compiled; decorate it with @numba.njit at module level")
    if python.__closure__:
        free = ", ".join(repr(v) for v in python.__code__.co_freevars)
        raise TypeError(
            f"{role} function '{python.__name__}' closes over {free}, so every call would recompile it; "
            "define it at module level and pass the values through params"
        )
    return function


def _set(record: Any, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(record, name, value)


def _optional(values: ArrayLike | None, dim: int, name: str, low: float = 0.0) -> FloatArray | None:
    return None if values is None else float_vector(values, dim, name, low=low)


def box_bounds(box: tuple[ArrayLike, ArrayLike] | None, dim: int) -> tuple[FloatArray, FloatArray] | None:
    """A box as two `(dim,)` arrays with lo < hi, or None."""
    if box is None:
        return None
    if not isinstance(box, (tuple, list, np.ndarray)) or len(box) != 2:
        raise ValueError(f"box = {box!r}; expected a pair (lo, hi) of numbers or arrays")
    lo, hi = float_vector(box[0], dim, "box lo", finite=False), float_vector(box[1], dim, "box hi", finite=False)
    if not np.all(lo < hi):
        j = int(np.argmin(hi - lo))
        raise ValueError(f"box[{j}] = ({lo[j]:g}, {hi[j]:g}); expected lo < hi in each coordinate")
    return lo, hi


@dataclass(frozen=True, eq=False)
class Objective:
    """A function to minimize, with what is certified about it.

    Parameters
    ----------
    name : str
    dim : int
        Number of coordinates d.
    value : njit function ``(w, params) -> float``
    gradient : njit function ``(w, params, out) -> None``
        Writes the gradient at `w` into `out`; both have shape ``(d,)``.
    params : NamedTuple
        Passed to both functions; arrays in it are float64 and contiguous.
    smoothness : array ``(d,)`` or None
        L with -diag(L) <= Hessian <= diag(L) everywhere and in **all** directions.
    generalized_smoothness : pair of arrays ``(d,)`` or None
        (L0, L1) with \\|f_jj\\| <= L0_j + L1_j \\|f_j\\|; (L, 0) where only the smoothness L is given.
    pl_constant : float or None
        mu with \\|grad f\\|^2 >= 2 mu (f - inf f).
    gradient_bound : array ``(d,)`` or None
        At least \\|f_j\\| everywhere in the box.
    minimizer, minimum : array ``(d,)`` or None, float or None
        Over the box where there is one.
    properties : set of str
        Of "convex", "separable", "interior minimizer", "finite sum".
    box : pair (lo, hi) or None
        Iterates are clipped to it.
    samples : int or None
        Number of rows of a finite sum.
    sample_gradient : njit function ``(w, params, rows, out) -> None`` or None
        Mean gradient over the rows whose indices are in `rows`.
    sample_sigma : array ``(d,)`` or None
        Certified bound on the standard deviation of one row's gradient, anywhere in the box.

    Raises
    ------
    ValueError, TypeError
        On wrong shapes, NaN, a negative constant, or a function that is not compiled at module level.
    """

    name: str
    dim: int
    value: Callable
    gradient: Callable
    params: Any = NoParameters()
    smoothness: FloatArray | None = None
    generalized_smoothness: tuple[FloatArray, FloatArray] | None = None
    pl_constant: float | None = None
    gradient_bound: FloatArray | None = None
    minimizer: FloatArray | None = None
    minimum: float | None = None
    properties: frozenset[str] = frozenset()
    box: tuple[FloatArray, FloatArray] | None = None
    samples: int | None = None
    sample_gradient: Callable | None = None
    sample_sigma: FloatArray | None = None

    def __post_init__(self) -> None:
        d = count(self.dim, "dim")
        module_level(self.value, "value")
        module_level(self.gradient, "gradient")
        if self.sample_gradient is not None:
            module_level(self.sample_gradient, "sample_gradient")
        smoothness, general = _optional(self.smoothness, d, "smoothness"), self.generalized_smoothness
        if general is None and smoothness is not None:
            general = (smoothness, np.zeros(d))
        elif general is not None:
            general = (float_vector(general[0], d, "L0", low=0.0), float_vector(general[1], d, "L1", low=0.0))
        _set(
            self,
            dim=d,
            smoothness=smoothness,
            generalized_smoothness=general,
            gradient_bound=_optional(self.gradient_bound, d, "gradient_bound"),
            minimizer=_optional(self.minimizer, d, "minimizer", low=-np.inf),
            sample_sigma=_optional(self.sample_sigma, d, "sample_sigma"),
            minimum=None if self.minimum is None else float(self.minimum),
            properties=frozenset(self.properties),
            box=box_bounds(self.box, d),
        )


@dataclass(frozen=True, eq=False)
class Noise:
    """How a gradient averaged over a minibatch of M samples differs from the true one.

    Parameters
    ----------
    name : str
    apply : njit function ``(gradient, normals, batch_size, stream, params) -> None``
        Turns the true gradient, in place, into the mean of `batch_size` sample gradients. `normals` holds ``(d,)``
        independent standard normals of this step; other random numbers come from ``an.random`` with `stream`.
    params : NamedTuple
    sigma : array, number or None
        Standard deviation of **one** sample's gradient, per coordinate.
    rho : float
        Relative part: variance of one sample <= sigma_j^2 + rho (f_j)^2.
    law : str
        "gaussian", "bounded", "heavy", "rows" or "none".
    max_batch : int or None
        Largest batch that the law can draw.
    coordinatewise : bool
        True if `apply` treats each coordinate by itself and takes no random number but `normals`; then short
        trajectories share a pass.
    replace : bool
        For law "rows": whether a minibatch is drawn with replacement.
    """

    name: str
    apply: Callable
    params: Any = NoParameters()
    sigma: Any = None
    rho: float = 0.0
    law: str = "gaussian"
    max_batch: int | None = None
    coordinatewise: bool = False
    replace: bool = True

    def __post_init__(self) -> None:
        module_level(self.apply, "noise")
        laws = ("gaussian", "bounded", "heavy", "rows", "none")
        if self.law not in laws:
            raise ValueError(f"law = {self.law!r}; expected one of {', '.join(laws)}")
        _set(self, rho=float_parameter(self.rho, "rho", strict=False))


@dataclass(frozen=True, eq=False)
class Schedule:
    """A step size that changes: ``step_t = step * factor(t, value, state, params)``.

    `factor` is an njit function of the step number t = 1, 2, ..., the current training loss f(w_t), a float64 array
    `state` of `slots` numbers that starts at zero, and `params`.
    """

    name: str
    factor: Callable
    params: Any = NoParameters()
    step: Any = 1.0
    slots: int = 1

    def __post_init__(self) -> None:
        module_level(self.factor, "schedule")


@dataclass(frozen=True, eq=False)
class Optimizer:
    """One update rule.

    Parameters
    ----------
    name : str
    update : njit function ``(w, gradient, state, step, t, params) -> None``
        Moves `w` in place. `state` has shape ``(slots, d)``; `step` is the ``(d,)`` array of step sizes at this step;
        t = 1, 2, ... counts updates.
    step : float, array ``(d,)`` or Schedule
    params : NamedTuple
    state : mapping of str to number, array or function of d
        Name and initial value of each state vector, in the order of the rows of `state`. One named "accumulator" is
        recorded (summed over coordinates) by every run.
    settings : mapping
        What a theorem may ask about: "preset", "eps", "beta", "momentum", ...
    coordinatewise : bool
        True if `update` treats each coordinate by itself; then short trajectories share a pass.
    """

    name: str
    update: Callable
    step: Any
    params: Any = NoParameters()
    state: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    coordinatewise: bool = False

    def __post_init__(self) -> None:
        module_level(self.update, "update")
        base = self.step.step if isinstance(self.step, Schedule) else self.step
        if np.ndim(base) > 1:
            raise ValueError(f"step has shape {np.shape(base)}; expected a number, shape (d,) or a schedule")
        float_vector(base, max(np.size(base), 1), "step", low=0.0, strict=True)


@dataclass(frozen=True, eq=False)
class BatchRule:
    """How the next batch is chosen from the gradient in hand.

    Parameters
    ----------
    name : str
    decide : function ``(batch, gradient, variance, along, population, t, history, params) -> float``
        The wanted batch, written for Numba and compiled or not (`simulate` compiles it). `gradient` is the batch mean
        and `variance` the variance of one sample in each coordinate, both ``(d,)``, `along` the variance of the
        projections of samples onto `gradient`; `population` the rows of a finite sum or 0; `history` an array
        ``(slots, d)`` of the rule's own.
    params : NamedTuple
    start : int
        First batch.
    max_batch : int or None
        Cap.
    interval : int
        Decide every so many steps.
    shrink : bool
        Whether the batch may become smaller.
    exact : bool
        Whether `decide` gets the true gradient and variance in place of the batch's.
    slots : int
    form : str
        Of "plug_in", "exact", "unbiased": what a theorem may ask about.
    """

    name: str
    decide: Callable
    params: Any = NoParameters()
    start: int = 2
    max_batch: int | None = None
    interval: int = 1
    shrink: bool = False
    exact: bool = False
    slots: int = 0
    form: str = "plug_in"


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
    known: dict[str, Any]
    facts: dict[str, Any]

    def __getattr__(self, name: str) -> FloatArray:
        if not name.startswith("__") and name in (statistics := self.__dict__.get("statistics", {})):
            return statistics[name]
        have = ", ".join(sorted(self.__dict__.get("statistics", {})))
        raise AttributeError(f"this run has no statistic {name!r}; it has {have}")

    def __getitem__(self, name: str) -> FloatArray:
        try:
            return self.statistics[name]
        except KeyError:
            raise KeyError(f"this run has no statistic {name!r}; it has {', '.join(sorted(self.statistics))}") from None

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
            f"Run({f['optimizer']} on {f['objective']}, d={f['dim']}, noise {f['noise']}, "
            f"{self.steps[-1]:,} steps, {self.replicas} replicas{diverged})"
        )

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
                    facts=json.dumps(self.facts),
                    **arrays,
                )
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return path

    def to_xarray(self) -> Any:
        """The statistics as an ``xarray.Dataset`` with coordinates `replica` and `step` (extra `xarray`)."""
        from .extras import require

        xarray = require("xarray", "xarray")
        data = {k: (("replica", "step"), v) for k, v in self.statistics.items()}
        return xarray.Dataset(data, {"step": self.steps, "replica": np.arange(self.replicas)}, dict(self.facts))

    def to_pandas(self) -> Any:
        """A tidy ``pandas.DataFrame``, one row per replica and record (extra `xarray`)."""
        from .extras import require

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
            facts=json.loads(str(file["facts"])),
        )


@dataclass(frozen=True)
class TermCheck:
    """One term of a bound in a verdict: its share of the bound, and whether deleting it alone would be noticed."""

    name: str
    value: float
    share: float
    exercised: bool


@dataclass(frozen=True)
class Verdict:
    """What a run says about a bound; printed as a short report.

    `status` is "not contradicted", "violated", "inconclusive" or "not applicable"; `reason` says why where the numbers
    do not, and `conditions` lists every hypothesis that is not met. `estimate`, `interval` and `bound` are those of the
    record with the smallest slack (index `record`, after `steps` updates): of all records, or of the violating or
    undecided ones where there are such. `slacks` are bound / estimate at all records that were looked at (for a lower
    bound estimate / bound). `interval_kind` names the guarantee of the two limits: "bounded" and "Clopper-Pearson" hold
    for every number of replicas, "t" asymptotically, "exact" without randomness. `power` = bound / lower limit: an
    error in the constant by more than this factor would have been seen. `statistic` is what is estimated over the
    replicas: the mean, or for a bound that holds with probability 1 - delta that quantile.
    """

    status: str
    theorem: str
    measure: str
    kind: str = "upper"
    form: str = ""
    reason: str = ""
    estimate: float = np.nan
    interval: tuple[float, float] = (np.nan, np.nan)
    interval_kind: str = ""
    level: float = np.nan
    bound: float = np.nan
    slack: float = np.nan
    power: float = np.nan
    record: int = -1
    steps: int = 0
    slacks: tuple[float, ...] = ()
    terms: tuple[TermCheck, ...] = ()
    replicas: int = 0
    conditions: tuple[str, ...] = ()
    statistic: str = "mean"

    @property
    def summary(self) -> str:
        """One sentence: the status, and what was not tested."""
        idle = [t.name for t in self.terms if not t.exercised] if self.status == "not contradicted" else []
        if idle:
            return f"{self.status}; not tested: {' and '.join(idle)} term{'s' if len(idle) > 1 else ''}"
        return f"{self.status}: {self.reason}" if self.reason else self.status

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; a number that is not finite becomes None."""
        from dataclasses import asdict

        def plain(value: Any) -> Any:
            if isinstance(value, dict):
                return {k: plain(v) for k, v in value.items()}
            if isinstance(value, (list, tuple)):
                return [plain(v) for v in value]
            return None if isinstance(value, float) and not np.isfinite(value) else value

        return plain(asdict(self) | {"summary": self.summary})

    def __str__(self) -> str:
        from textwrap import fill

        head = f"{self.theorem} ({self.form}): " if self.form else f"{self.theorem}: "
        if self.conditions:
            reasons = [fill(c, 78, initial_indent="  - ", subsequent_indent="    ") for c in self.conditions]
            return "\n".join([head + self.status, *reasons])
        lines = [fill(head + self.summary, 78, subsequent_indent="  ")]
        if self.record < 0:
            return lines[0]
        lo, hi = self.interval
        relation = {"upper": "<=", "lower": ">="}.get(self.kind, "=")
        what = self.measure if self.statistic == "mean" else f"{self.statistic} of {self.measure}"
        measured = (
            f"{what} after {self.steps:,} steps: {self.estimate:.4g} in [{lo:.4g}, {hi:.4g}] "
            f"({self.interval_kind}; level {self.level:g}, {self.replicas:,} replicas)"
        )
        against = f"claim {relation} {self.bound:.4g}, slack {self.slack:.3g}, power {self.power:.3g}: "
        sees = "no error in the constant would be seen" if not np.isfinite(self.power) else (
            f"an error in the constant by a factor over {self.power:.3g} would be seen"
        )
        lines += [fill(text, 78, initial_indent="  ", subsequent_indent="    ") for text in (measured, against + sees)]
        for t in self.terms:
            tested = "tested" if t.exercised else "not tested"
            lines.append(f"    {t.name:<16}{t.value:>11.4g}{t.share:>8.1%}   {tested}")
        return "\n".join(lines)
