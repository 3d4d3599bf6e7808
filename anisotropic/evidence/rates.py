"""How fast does a measured curve fall? Exponents with intervals, and a refusal where there is no exponent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..intervals import checked_level
from ..records import FloatArray, Run

if TYPE_CHECKING:
    from ..bounds.theorem import Bound

#: Optimizers whose guarantee holds at every horizon with one and the same step size.
ANY_TIME_OPTIMIZERS = ("adagrad", "adagrad_norm")
ANY_TIME_SCHEDULES = ("inverse_sqrt", "inverse_time")
LEAST_HORIZONS = 3
POINTS_OF_ONE_RUN = 12
DRIFT = 0.1
FLAT = 0.02


class NotAPowerLaw(ValueError):
    """The window holds no single exponent; `fit` has the local ones, with a slope of NaN."""

    def __init__(self, sentence: str, fit: RateFit):
        super().__init__(sentence)
        self.fit = fit


class RateFit(NamedTuple):
    """An exponent: value ~ steps ** slope over the window steps[0]..steps[-1].

    `exponents[i]` is the local one between horizons i and i + 1. `drift` is the change of the local exponent over the
    window that a fitted parabola shows, with its interval: zero for a power law. `claimed` is the exponent of the bound
    `bound` over the same horizons, at the constants of each run.
    """

    measure: str
    slope: float
    interval: tuple[float, float]
    level: float
    steps: FloatArray
    values: FloatArray
    exponents: FloatArray
    drift: float
    drift_interval: tuple[float, float]
    single_run: bool
    bound: str = ""
    claimed: float = np.nan

    def __str__(self) -> str:
        low, high = self.interval
        source = "one run of an any-time method" if self.single_run else f"{self.steps.size} horizons"
        local = ", ".join(f"{e:.3g}" for e in self.exponents)
        theorem = [f"  {self.bound} ~ T^{self.claimed:.3f} over the same horizons"] if self.bound else []
        return "\n".join([
            f"{self.measure} ~ T^{self.slope:.3f}, exponent in [{low:.3f}, {high:.3f}] (t, level {self.level:g})",
            f"  window {self.steps[0]:,.0f} to {self.steps[-1]:,.0f} iterations, {source}",
            f"  change of the exponent over the window {self.drift:.3g} "
            f"in [{self.drift_interval[0]:.3g}, {self.drift_interval[1]:.3g}]",
            f"  local exponents {local}",
            *theorem,
        ])


def _any_time(run: Run) -> bool:
    facts = run.facts
    constant = facts.schedule == "constant" and (facts.optimizer in ANY_TIME_OPTIMIZERS or facts.law == "none")
    return constant or facts.schedule in ANY_TIME_SCHEDULES


def _values(run: Run, measure: str) -> FloatArray:
    from ..bounds.measures import observe

    return np.asarray(observe(measure, run), dtype=np.float64)


def _curve_of_one(run: Run, measure: str, window: tuple[float, float]) -> tuple[FloatArray, list[FloatArray]]:
    inside = np.flatnonzero((run.steps >= window[0]) & (run.steps <= window[1]))
    if inside.size > POINTS_OF_ONE_RUN:
        wanted = np.geomspace(run.steps[inside[0]], run.steps[inside[-1]], POINTS_OF_ONE_RUN)
        inside = np.unique([inside[np.argmin(np.abs(np.log(run.steps[inside] / t)))] for t in wanted])
    values = _values(run, measure)
    return run.steps[inside].astype(np.float64), [values[:, k] for k in inside]


def _curve_of_many(runs: list[Run], measure: str, window: tuple[float, float]) -> tuple[FloatArray, list[FloatArray]]:
    runs = sorted((r for r in runs if window[0] <= r.steps[-1] <= window[1]), key=lambda r: int(r.steps[-1]))
    horizons = [int(r.steps[-1]) for r in runs]
    twice = [t for t in sorted(set(horizons)) if horizons.count(t) > 1]
    if twice:
        raise ValueError(f"{horizons.count(twice[0])} runs end at T = {twice[0]:,}; fit_rate takes one run per horizon")
    sizes: dict[Any, int] = {}
    for r in runs:
        seed = r.facts.seed
        if seed is not None and sizes.setdefault(seed, r.replicas) != r.replicas:
            raise ValueError(
                f"two runs share seed {seed} but have {sizes[seed]} and {r.replicas} replicas, so their errors are "
                "correlated in a way that cannot be estimated; use equal numbers of replicas, or other seeds"
            )
    return np.array(horizons, dtype=np.float64), [_values(r, measure)[:, -1] for r in runs]


def _linear(weights: FloatArray, samples: list[FloatArray], means: FloatArray) -> tuple[float, float]:
    """sum_i weights_i log(mean_i) and its standard error; samples of equal size are taken as paired by replica."""
    variance = 0.0
    for size in {s.size for s in samples}:
        together = [i for i, s in enumerate(samples) if s.size == size]
        influence = sum(weights[i] * (samples[i] / means[i] - 1) for i in together)
        variance += float(np.var(influence, ddof=1)) / size
    return float(weights @ np.log(means)), float(np.sqrt(variance))


def fit_rate(
    runs: Run | Iterable[Run],
    measure: str,
    level: float = 0.05,
    *,
    window: tuple[float, float] | None = None,
    any_time: bool | None = None,
    bound: Bound | None = None,
    **constants: Any,
) -> RateFit:
    r"""Fit value = C T^slope by least squares in log-log, with an interval from the replicas.

    Parameters
    ----------
    runs : several `Run`, one per horizon T, or a single `Run`
        Of several runs the value after the last iteration counts. A single run is read at its records; that is the
        curve of one method at many horizons only for an any-time method (AdaGrad, a decaying schedule, no noise).
    measure : str
        Such as "mean_gap".
    level : float
        Probability that the interval misses the slope of the expected curve (asymptotic, delta method).
    window : pair or None
        Use horizons in it only.
    any_time : bool or None
        Vouch that a single run of your own optimizer is an any-time method; None decides by what the run says.
    bound : Bound, optional
        A theorem whose exponent over the same horizons is wanted beside the fitted one; it takes several runs.
    **constants
        Constants that the bound needs and a run cannot know.

    Returns
    -------
    RateFit
        The exponent of **these** runs. A theorem's exponent is that of the worst instance at each T: only an envelope
        over a family of instances stands beside it.

    Raises
    ------
    NotAPowerLaw
        A ValueError, where the exponent changes over the window (by more than 0.1, beyond doubt), or where the curve
        is a plateau. Its `fit` holds the local exponents.
    ValueError
        A single run of a method tuned to its horizon, fewer than three horizons, two runs at one horizon, divergence,
        values that are not positive, a bound that does not apply or speaks of another measure.

    Examples
    --------
    >>> from anisotropic.records import Run
    >>> runs = [Run(steps=np.array([T]), start=np.zeros(1), statistics={"gap": np.array([[0.9], [1.1]]) * 8 / T},
    ...             status=np.array(["ok", "ok"]), initial_gap=1.0) for T in (100, 1000, 10_000)]
    >>> round(fit_rate(runs, "gap").slope, 12)
    -1.0
    """
    from scipy.special import stdtrit

    level = checked_level(level)
    window = (0.0, np.inf) if window is None else window
    many = [runs] if isinstance(runs, Run) else list(runs)
    single = len(many) == 1
    if single:
        if not (_any_time(many[0]) if any_time is None else any_time):
            raise ValueError(
                f"one run of {many[0].facts.optimizer or 'this optimizer'!r}, whose step size is fixed for one "
                "horizon, has no curve over horizons; pass one run per T (a single run will do for AdaGrad, for "
                "decaying schedules and without noise; any_time=True vouches for your own method)"
            )
        steps, samples = _curve_of_one(many[0], measure, window)
    else:
        steps, samples = _curve_of_many(many, measure, window)
    if steps.size < LEAST_HORIZONS:
        raise ValueError(
            f"{steps.size} horizon{'s' * (steps.size != 1)} in the window [{window[0]:g}, {window[1]:g}]; "
            f"a slope with a test of its constancy needs at least {LEAST_HORIZONS}"
        )
    means = np.array([_positive_mean(s, t, measure) for s, t in zip(samples, steps, strict=True)])
    logs = np.log(steps)
    quantile = float(stdtrit(min(s.size for s in samples) - 1, 1 - level / 2))
    line = np.linalg.pinv(np.vander(logs - logs.mean(), 2))[0]
    parabola = np.linalg.pinv(np.vander(logs - logs.mean(), 3))[0] * 2 * (logs[-1] - logs[0])
    slope, slope_error = _linear(line, samples, means)
    drift, drift_error = _linear(parabola, samples, means)
    fit = RateFit(
        measure, slope, (slope - quantile * slope_error, slope + quantile * slope_error), level, steps, means,
        np.diff(np.log(means)) / np.diff(logs),
        drift, (drift - quantile * drift_error, drift + quantile * drift_error), single,
    )
    if bound is not None:
        inside = sorted((r for r in many if window[0] <= r.steps[-1] <= window[1]), key=lambda r: int(r.steps[-1]))
        fit = fit._replace(bound=bound.name, claimed=_claimed(bound, measure, inside, constants))
    _refuse(fit)
    return fit


def exponent(steps: FloatArray, values: FloatArray) -> float:
    """Least-squares slope of log values over log steps.

    >>> round(exponent(np.array([10.0, 100.0, 1000.0]), np.array([8.0, 4.0, 2.0])), 3)
    -0.301
    """
    logs = np.log(steps) - np.mean(np.log(steps))
    return float(logs @ np.log(values) / (logs @ logs))


def _claimed(bound: Bound, measure: str, runs: list[Run], constants: dict[str, Any]) -> float:
    from .horizons import checked_runs, claims_at
    from .hypotheses import applicable, known_constants, unmet

    if bound.measure != measure:
        raise ValueError(f"{bound.name} bounds {bound.measure!r}, and the rate is that of {measure!r}")
    runs = checked_runs(runs)
    if len(runs) < 2:
        raise ValueError(f"the rate of {bound.name} is one over horizons; pass one run per T")
    for run in runs:
        known = known_constants(bound, run) | constants
        if missed := unmet(bound, run, known):
            raise ValueError(f"{bound.name} does not apply at T = {run.steps[-1]:,}: {missed[0]}")
    form = next(iter(applicable(bound, runs[-1], known_constants(bound, runs[-1]) | constants)))
    return exponent(np.array([r.steps[-1] for r in runs], dtype=np.float64), claims_at(bound, form, runs, constants))


def _positive_mean(sample: FloatArray, steps: float, measure: str) -> float:
    if sample.size < 2:
        raise ValueError(f"one replica at T = {steps:,.0f}; an interval needs at least 2")
    bad = int(np.sum(~np.isfinite(sample)))
    if bad:
        raise ValueError(f"{measure} is not finite in {bad} of {sample.size} replicas at T = {steps:,.0f}; no rate")
    mean = float(sample.mean())
    if mean <= 0:
        raise ValueError(f"the mean of {measure} at T = {steps:,.0f} is {mean:g}; a rate needs positive values")
    return mean


def _refuse(fit: RateFit) -> None:
    low, high = fit.interval
    where = f"{fit.measure} between T = {fit.steps[0]:,.0f} and {fit.steps[-1]:,.0f}"
    first, last = fit.exponents[0], fit.exponents[-1]
    nothing = fit._replace(slope=np.nan, interval=(np.nan, np.nan))
    bent = not fit.drift_interval[0] <= 0 <= fit.drift_interval[1]
    if bent and abs(fit.drift) > DRIFT:
        raise NotAPowerLaw(
            f"{where} is not a power law: the local exponent goes from {first:.3g} to {last:.3g}; "
            "choose a window= in which it is constant",
            nothing,
        )
    if low <= 0 <= high or abs(fit.slope) < FLAT:
        raise NotAPowerLaw(
            f"{where} is a plateau: the slope lies in [{low:.3g}, {high:.3g}]; a floor has no rate", nothing
        )
