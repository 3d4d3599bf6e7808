"""What goes into a simulation? An objective, a noise, an optimizer with its schedule, and a batch rule.

A record is data: compiled functions, their parameters and what is certified about them. `ours` says that a factory of
the package made it, so that the contract of a simulation need not probe it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .checks import FloatArray, box_bounds, count, float_parameter, float_vector, length
from .functions import module_level, parameters, takes
from .vocabulary import FORMS, LAWS, PROPERTIES, one_of, words


class NoParameters(NamedTuple):
    """Parameters of a function that needs none (Numba cannot type an empty tuple as a record)."""

    unused: float = 0.0


def _set(record: Any, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(record, name, value)


def _shown(values: Any) -> str:
    """A number, or the range of an array, in a few characters."""
    array = np.asarray(values, dtype=np.float64)
    low, high = (f"{v:g}" for v in (array.min(), array.max()))
    return low if low == high else f"{low}..{high}"


def _ours() -> bool:
    """Whether a module of the package makes the record; the frames are here, __post_init__, __init__, its caller."""
    return str(sys._getframe(3).f_globals.get("__name__", "")).partition(".")[0] == "anisotropic"


def _optional(values: ArrayLike | None, dim: int, name: str, low: float = 0.0) -> FloatArray | None:
    return None if values is None else float_vector(values, dim, name, low=low)


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
    coordinatewise : bool
        True if `value` is a sum over coordinates and `gradient` treats each coordinate by itself, both with nothing of
        `params` but numbers and arrays with one entry a coordinate: then replicas share a pass over coordinates.

    Raises
    ------
    ValueError, TypeError
        On wrong shapes, NaN, a negative constant, an unknown property, parameters that are no NamedTuple, or a function
        that is not compiled at module level or takes other arguments.
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
    coordinatewise: bool = False
    ours: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        d = count(self.dim, "dim")
        module_level(self.value, "value", "w, params")
        module_level(self.gradient, "gradient", "w, params, out")
        if (self.sample_gradient is None) != (self.samples is None):
            raise ValueError("samples and sample_gradient belong together; give the number of rows and the function")
        if self.sample_gradient is not None:
            module_level(self.sample_gradient, "sample_gradient", "w, params, rows, out")
            _set(self, samples=count(self.samples, "samples"))
        properties = words(self.properties)
        for word in sorted(properties, key=str):
            one_of(word, PROPERTIES, "property")
        smoothness, general = _optional(self.smoothness, d, "smoothness"), self.generalized_smoothness
        if general is None and smoothness is not None:
            general = (smoothness, np.zeros(d))
        elif general is not None:
            general = (float_vector(general[0], d, "L0", low=0.0), float_vector(general[1], d, "L1", low=0.0))
        box, minimizer = box_bounds(self.box, d), _optional(self.minimizer, d, "minimizer", low=-np.inf)
        if box is not None and minimizer is not None and ((minimizer < box[0]) | (minimizer > box[1])).any():
            j = int(np.argmax((minimizer < box[0]) | (minimizer > box[1])))
            raise ValueError(
                f"minimizer[{j}] = {minimizer[j]:g} lies outside the box [{box[0][j]:g}, {box[1][j]:g}]; "
                "give the minimizer over the box, or None"
            )
        _set(
            self,
            ours=_ours(),
            dim=d,
            params=parameters(self.params, "objective"),
            smoothness=smoothness,
            generalized_smoothness=general,
            gradient_bound=_optional(self.gradient_bound, d, "gradient_bound"),
            minimizer=minimizer,
            sample_sigma=_optional(self.sample_sigma, d, "sample_sigma"),
            minimum=None if self.minimum is None else float_parameter(self.minimum, "minimum", low=-np.inf),
            pl_constant=None if self.pl_constant is None else float_parameter(self.pl_constant, "pl_constant"),
            properties=properties,
            box=box,
            coordinatewise=bool(self.coordinatewise),
        )

    def __repr__(self) -> str:
        known = ("smoothness", "generalized_smoothness", "pl_constant", "gradient_bound", "minimizer", "minimum")
        parts = [self.name, f"d={self.dim}", *(["box"] if self.box else []), *sorted(self.properties)]
        return f"Objective({', '.join(parts)}; known: {', '.join(k for k in known if getattr(self, k) is not None)})"


@dataclass(frozen=True, eq=False)
class Noise:
    """How a gradient averaged over a minibatch of M samples differs from the true one.

    Parameters
    ----------
    name : str
    apply : njit function ``(gradient, normals, batch_size, stream, params) -> None``
        Turns the true gradient, in place, into the mean of `batch_size` sample gradients. `normals` holds ``(d,)``
        independent standard normals of this iteration; other random numbers come from ``an.random`` with `stream`.
    params : NamedTuple
    sigma : array, number or None
        Standard deviation of **one** sample's gradient, per coordinate.
    rho : float
        Relative part: variance of one sample <= sigma_j^2 + rho (f_j)^2.
    law : str
        "gaussian", "bounded", "heavy", "rows" or "none".
    bound : array, number or None
        Almost sure bound on the error of **one** sample's gradient, per coordinate, where the law has one.
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
    _: KW_ONLY
    sigma: Any = None
    rho: float = 0.0
    law: str = "gaussian"
    bound: Any = None
    max_batch: int | None = None
    coordinatewise: bool = False
    replace: bool = True
    ours: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        module_level(self.apply, "noise", "gradient, normals, batch_size, stream, params")
        one_of(self.law, LAWS, "law")
        most = None if self.max_batch is None else count(self.max_batch, "max_batch")
        sigma = None if self.sigma is None else float_vector(self.sigma, length(self.sigma), "sigma", low=0.0)
        rho = float_parameter(self.rho, "rho", strict=False)
        _set(self, ours=_ours(), params=parameters(self.params, "noise"), sigma=sigma, rho=rho, max_batch=most)

    def __repr__(self) -> str:
        level = "" if self.sigma is None else f", sigma={_shown(self.sigma)}"
        return f"Noise({self.name}{level}{f', rho={self.rho:g}' if self.rho else ''})"


def _step_size(step_size: Any) -> Any:
    """What was given, where it is a positive number or positive numbers; arrays are copied."""
    if callable(step_size):
        name = getattr(step_size, "__name__", repr(step_size))
        raise TypeError(
            f"step_size = {name}, a function; expected a positive number, an array (d,) or a schedule, such as "
            "an.schedules.inverse_sqrt(0.1)"
        )
    if np.ndim(step_size) > 1:
        raise ValueError(f"step_size has shape {np.shape(step_size)}; expected a number, shape (d,) or a schedule")
    array = float_vector(step_size, length(step_size), "step_size", low=0.0, strict=True)
    if isinstance(step_size, (int, float, list, tuple)):
        return step_size
    return array if np.ndim(step_size) else float(array[0])


@dataclass(frozen=True, eq=False)
class Schedule:
    """A step size that changes: iteration t uses ``step_size * factor(t, value, state, params)``.

    `factor` is an njit function of the number of the iteration, t = 1, 2, ..., the current training loss f(w_t), a
    float64 array `state` of `slots` numbers that starts at zero, and `params`. `steps` is the number of iterations that
    the schedule is made for, None where it never ends; it may be stopped early but not run on.
    """

    name: str
    factor: Callable
    params: Any = NoParameters()
    _: KW_ONLY
    step_size: Any = 1.0
    slots: int = 1
    steps: int | None = None
    ours: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        module_level(self.factor, "schedule", "t, value, state, params")
        _set(
            self, ours=_ours(), params=parameters(self.params, "schedule"), slots=count(self.slots, "slots", low=0),
            step_size=_step_size(self.step_size), steps=None if self.steps is None else count(self.steps, "steps"),
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"Schedule({self.name}, step_size={_shown(self.step_size)})"


@dataclass(frozen=True, eq=False)
class Optimizer:
    """One update rule.

    Parameters
    ----------
    name : str
    update : njit function ``(w, gradient, state, step, t, params) -> None``
        Moves `w` in place. `state` has shape ``(slots, d)``; `step_size` is the ``(d,)`` array of step sizes of this
        iteration; t = 1, 2, ... counts updates.
    params : NamedTuple
    step_size : float, array ``(d,)`` or Schedule
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
    params: Any = NoParameters()
    _: KW_ONLY
    step_size: Any
    state: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    coordinatewise: bool = False
    ours: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        module_level(self.update, "update", "w, gradient, state, step_size, t, params")
        if not isinstance(self.step_size, Schedule):
            _set(self, step_size=_step_size(self.step_size))
        for what, given in (("state", self.state), ("settings", self.settings)):
            if not isinstance(given, Mapping):
                raise TypeError(
                    f"{what} = {given!r}; expected a mapping of names, such as "
                    + ("{'momentum': 0.0}: name and initial value of each state vector" if what == "state" else "{}")
                )
        _set(self, ours=_ours(), params=parameters(self.params, "optimizer"))

    def __repr__(self) -> str:
        step_size = repr(self.step_size) if isinstance(self.step_size, Schedule) else _shown(self.step_size)
        settings = "".join(f", {k}={v!r}" for k, v in self.settings.items())
        return f"Optimizer({self.name}, step_size={step_size}{settings})"


@dataclass(frozen=True, eq=False)
class BatchRule:
    """How the next batch is chosen from the gradient in hand.

    Parameters
    ----------
    name : str
    decide : function ``(batch, gradient, variance, projected_variance, population, t, history, params) -> float``
        The wanted batch, written for Numba and compiled or not (`simulate` compiles it). `gradient` is the batch mean
        and `variance` the variance of one sample in each coordinate, both ``(d,)``, `projected_variance` the variance
        of the projections of samples onto `gradient`; `population` the rows of a finite sum or 0; `history` an array
        ``(slots, d)`` of the rule's own, which starts at zero.
    params : NamedTuple
    start : int
        First batch; at least 2 unless exact, since one sample has no variance.
    max_batch : int or None
        Cap, at least the start.
    interval : int
        Decide every so many iterations.
    shrink : bool
        Whether the batch may become smaller.
    exact : bool
        Whether `decide` gets the true gradient and variance in place of the batch's.
    slots : int
    form : str
        Of "plug_in", "exact", "unbiased": what a theorem may ask about. "exact" and ``exact=True`` are the same.

    Raises
    ------
    ValueError, TypeError
        On a start, cap, interval or number of slots that makes no sense, an unknown form, or a function that takes
        other arguments.
    """

    name: str
    decide: Callable
    params: Any = NoParameters()
    _: KW_ONLY
    start: int = 2
    max_batch: int | None = None
    interval: int = 1
    shrink: bool = False
    exact: bool = False
    slots: int = 0
    form: str = "plug_in"
    ours: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        python = getattr(self.decide, "py_func", self.decide)
        if not callable(python):
            raise TypeError(f"decide = {python!r}; expected a function that returns the wanted batch")
        takes(python, "decide", "batch, gradient, variance, projected_variance, population, t, history, params")
        exact, form = self.exact or self.form == "exact", one_of(self.form, FORMS, "form")
        if exact and form == "unbiased":
            raise ValueError("exact=True and form='unbiased' contradict each other; choose one")
        start, slots = count(self.start, "start"), count(self.slots, "slots", low=0)
        if start < 2 and not exact:
            raise ValueError(
                f"start = {start}: the variance of a batch of one is not defined; start from at least 2, or use the "
                "exact form"
            )
        if self.max_batch is not None and count(self.max_batch, "max_batch") < start:
            raise ValueError(
                f"max_batch = {self.max_batch} is below the start {start}; expected a cap of at least the start"
            )
        _set(
            self, ours=_ours(), params=parameters(self.params, "batch rule"), start=start, slots=slots,
            interval=count(self.interval, "interval"), shrink=bool(self.shrink), exact=exact,
            form="exact" if exact else form,
        )  # fmt: skip

    def __repr__(self) -> str:
        settings = self.params._asdict() if self.params != NoParameters() else {}
        shown = {**settings, "form": self.form, "start": self.start, "max_batch": self.max_batch}
        return f"BatchRule({self.name}{''.join(f', {k}={v!r}' for k, v in shown.items())})"
