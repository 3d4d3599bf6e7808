"""How far is a published rate from the exact worst case? A semidefinite program of PEPit beside each of them.

PEPit (Goujaud, Moucer, Glineur, Hendrickx, Taylor and Dieuleveut, arXiv 2201.04040) finds the worst function of a class
and the worst start. A rate below that value is false, one above it is loose.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from .. import bounds
from .._support.extras import require
from .._support.names import nearest, no_such_name

#: Relative width that the answer of the solver is given: it stops at about 1e-8.
WIDTH = 1e-5
SOLVER = "CLARABEL"
LONGEST = 30

__all__ = ["Comparison", "compare", "names", "table"]

_STEP = {"step_size": 1.0}
#: Class of functions, what is known of the start, and constants at L = 1 at which the table compares.
_CASES: dict[str, tuple[str, tuple[str, ...], dict[str, float]]] = {
    "drori_teboulle_gd": ("convex", ("R",), _STEP),
    "nesterov_gd": ("convex", ("R", "Delta"), {"step_size": 1.5, "Delta": 0.5}),
    "nesterov_gd_short": ("convex", ("R",), _STEP),
    "deklerk_gd": ("strongly convex", ("Delta",), {"step_size": 2 / 1.1, "mu": 0.1}),
    "ghadimi_heavy_ball": (
        "strongly convex", ("Delta",), {"step_size": 0.5, "mu": 0.1, "momentum": float(np.sqrt(0.95 * 0.5))},
    ),
    "abbaszadehpeivasti_gd_pl": ("Lojasiewicz", ("Delta",), {"step_size": 1.0, "mu": 0.1}),
}  # fmt: skip


class Comparison(NamedTuple):
    """The value of a bound, and the interval in which PEPit's worst case of the same class lies."""

    bound: float
    low: float
    high: float

    @property
    def ratio(self) -> float:
        """Bound over worst case, rounded down: 1 where nothing is lost, and the bound is false below it."""
        return self.bound / self.high


def names() -> tuple[str, ...]:
    """Ids of the bounds that have a program."""
    return tuple(_CASES)


def compare(name: str, *, T: int, **constants: float) -> Comparison:
    """A published rate beside the exact worst case of its class of functions and starts.

    Parameters
    ----------
    name : str
        One of `names`.
    T : int
        Number of updates, at most 30.
    **constants
        What the bound takes: L, step_size, and of R, Delta, mu, momentum those that it names.

    Raises
    ------
    ValueError
        For a name without a program, T out of range, and where a condition of the theorem does not hold.
    ArithmeticError
        If the solver stops early.
    MissingExtra
        If the extra `certify` is not installed.

    Notes
    -----
    The interval is the solver's value, rounded outward by 1e-5 of it to either side, which is a thousand times its
    tolerance; unlike that of `an.certify.worst_case` it is not proved. For the Lojasiewicz inequality the class is
    given by conditions that are necessary only, so its value is an upper bound of the worst case.

    Examples
    --------
    Drori and Teboulle's rate is the worst case, 1/(4 T + 2) at L = R = step_size = 1:

    >>> found = compare("drori_teboulle_gd", L=1.0, R=1.0, T=1, step_size=1.0)
    >>> round(found.bound, 6), round(found.ratio, 3)
    (0.166667, 1.0)
    """
    if name not in _CASES:
        raise ValueError(f"no published rate with a program is called {name!r}{nearest(name, _CASES, cutoff=0.4)}")
    if not (1 <= T <= LONGEST and int(T) == T):
        raise ValueError(f"T = {T!r}; expected a whole number of updates from 1 to {LONGEST}")
    value = bounds[name](T=T, **constants)  # type: ignore[index]
    kind, start, _ = _CASES[name]
    L = float(constants["L"])
    known = {k: float(v) for k, v in constants.items()}
    unit = L * known["R"] ** 2 if "R" in start else known["Delta"]
    worst = unit * _solve(
        kind, T, step_size=L * known["step_size"], mu=known.get("mu", 0.0) / L, momentum=known.get("momentum", 0.0),
        distance=1.0 if "R" in start else None, gap=known["Delta"] / unit if "Delta" in start else None,
    )  # fmt: skip
    return Comparison(value, worst * (1 - WIDTH), worst * (1 + WIDTH))


def _solve(
    kind: str, T: int, *, step_size: float, mu: float, momentum: float, distance: float | None, gap: float | None
) -> float:
    """The worst gap after T updates for L = 1, from starts within `distance` and with a gap of at most `gap`."""
    pepit: Any = require("PEPit", "certify")
    functions: Any = require("PEPit.functions", "certify")
    require("cvxpy", "certify")
    problem = pepit.PEP()
    if kind == "strongly convex":
        f = problem.declare_function(functions.SmoothStronglyConvexFunction, L=1.0, mu=mu)
    elif kind == "convex":
        f = problem.declare_function(functions.SmoothConvexFunction, L=1.0)
    else:
        f = problem.declare_function(functions.SmoothQuadraticLojasiewiczFunctionCheap, L=1.0, mu=mu)
    best, w = f.stationary_point(), problem.set_initial_point()
    if distance is not None:
        problem.set_initial_condition((w - best) ** 2 <= distance**2)
    if gap is not None:
        problem.add_constraint(f(w) - f(best) <= gap)
    before = w
    for _ in range(T):
        w, before = w - step_size * f.gradient(w) + momentum * (w - before), w
    problem.set_performance_metric(f(w) - f(best))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "may be inaccurate": the status is looked at below
        found = problem.solve(wrapper="cvxpy", solver=SOLVER, verbose=0)
    if found is None or not np.isfinite(found) or found < 0:
        raise ArithmeticError(f"{SOLVER} found no worst case (value {found}); use fewer updates")
    return float(found)


def table(horizons: tuple[int, ...] = (1, 5, 10)) -> list[dict[str, Any]]:
    """Every published rate beside its worst case at L = R = Delta = 1, one row for each number of updates."""
    rows = []
    for name, (_, start, chosen) in _CASES.items():
        constants = {"L": 1.0, **dict.fromkeys(start, 1.0), **chosen}
        rows += [{"bound": name, "T": T, **constants, "found": compare(name, T=T, **constants)} for T in horizons]
    return rows


if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise no_such_name(__name__, name)
