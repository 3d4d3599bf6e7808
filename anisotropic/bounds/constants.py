"""Which constants may be given to a bound, what do they mean, and are the numbers given usable?"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import sympy

from ..records import length, numbers
from .symbols import Coordinate, Iteration, constant_name


class Constant(NamedTuple):
    """One constant: its meaning, whether zero is refused, the value it has when it is not given, whether it is one
    number for each coordinate and nothing else, what it stays below, and whether it is one number for each iteration.
    """

    meaning: str
    strict: bool = False
    default: float | None = None
    per_coordinate: bool = False
    below: float = np.inf
    per_iteration: bool = False


KNOWN: dict[str, Constant] = {
    "L": Constant("smoothness, -diag(L) <= Hessian <= diag(L)", per_coordinate=True),
    "sigma": Constant("standard deviation of one sample's gradient", per_coordinate=True),
    "D": Constant("width of the box, hi_j - lo_j", per_coordinate=True),
    "R": Constant("distance of the start, |w_1j - w*_j|", per_coordinate=True),
    "G": Constant("bound on sqrt(E g_j^2)", per_coordinate=True),
    "G_star": Constant("size of the gradient at the minimizer over the box, |grad_j f(w*)|", per_coordinate=True),
    "gradient_bound": Constant("largest size of the gradient anywhere, max |grad_j f|", per_coordinate=True),
    "L0": Constant("generalized smoothness, the part without gradient", per_coordinate=True),
    "L1": Constant("generalized smoothness, the factor of the gradient", per_coordinate=True),
    "eps": Constant("the optimizer's epsilon", default=0.0),
    "step_size": Constant("step size", strict=True),
    "schedule": Constant("step size of each iteration, a vector or a schedule; step_size times it", per_iteration=True),
    "T": Constant("number of updates", strict=True),
    "M": Constant("batch size", strict=True),
    "Delta": Constant("initial gap, f(w_1) - inf f"),
    "mu": Constant("Polyak-Lojasiewicz constant", strict=True),
    "delta": Constant("probability with which the bound may fail", strict=True, below=1.0),
    "rho": Constant("relative noise, variance <= sigma_j^2 + rho (grad_j f)^2", default=0.0),
    "theta": Constant("free parameter of a proof", strict=True),
    "beta": Constant("decay of a running mean of squares", strict=True, below=1.0),
    "momentum": Constant("momentum of the heavy ball", below=1.0),
    "noise_bound": Constant("almost sure bound on one sample's error, |g_j - grad_j f|", per_coordinate=True),
    "jump_probability": Constant("probability of the rare value of a two-point noise, for one sample", strict=True),
    "first_phase": Constant("number of iterations before the law of the noise changes", strict=True),
    "d": Constant("number of coordinates", strict=True),
}


def order(name: str) -> tuple[int, str]:
    """Where a constant stands in a list: known ones as they are listed here, then the others by name."""
    return list(KNOWN).index(name) if name in KNOWN else len(KNOWN), name


def sentence_list(words: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    items = list(words)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def refuse_unknown(given: Collection[str], own: Collection[str], owner: str) -> None:
    """Raise a TypeError that names the nearest constant where `given` holds a name nobody knows."""
    for name in given:
        if name in KNOWN or name in own:
            continue
        pool = [*own, *KNOWN]
        near = difflib.get_close_matches(name, pool, n=1, cutoff=0.5) or [
            k for k in pool if k.lower() == name.lower() or k in (name[:1], name[:1].upper())
        ]
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise TypeError(f"{owner} got an unknown constant {name!r}{hint} It takes {', '.join(sorted(own))}.")


def dimension(given: Mapping[str, Any]) -> int:
    """d: the length of the longest array with one entry per coordinate, else the keyword d, else 1."""
    own = [v for n, v in given.items() if v is not None and not (n in KNOWN and KNOWN[n].per_iteration)]
    lengths = [length(v) for v in own if np.ndim(v) == 1]
    stated = given.get("d")
    if stated is not None and (np.ndim(stated) or not float(stated) >= 1 or float(stated) != int(stated)):
        raise ValueError(f"d = {stated!r}; expected a whole number of coordinates, at least 1")
    longest = max(lengths, default=1)
    if stated is not None and longest > 1 and int(stated) != longest:
        raise ValueError(f"d = {int(stated)}, but the longest array has {longest} entries; leave d out")
    return longest if longest > 1 or stated is None else int(stated)


def entry(name: str, value: Any) -> np.ndarray:
    """`value` as float64 of at most one axis: finite, not negative, and not zero where zero makes no sense."""
    array = numbers(value, name, "a number or an array with one entry per coordinate")
    if array.ndim > 1 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; expected a number or a 1-d array, one entry per coordinate")
    known = KNOWN.get(name, Constant(""))
    bad = ~np.isfinite(array) | (array <= 0 if known.strict else array < 0) | (array >= known.below)
    if bad.any():
        where, number = ("", array) if array.ndim == 0 else (f"[{np.argmax(bad)}]", array[np.argmax(bad)])
        wanted = "above 0" if known.strict else "of at least 0"
        wanted += f" and below {known.below:g}" if np.isfinite(known.below) else ""
        raise ValueError(f"{name}{where} = {float(number):g}; expected a finite number {wanted}")
    return array


def is_uneven(value: Any) -> bool:
    """True for an array whose entries differ (by more than rounding)."""
    array = np.asarray(value, dtype=np.float64)
    return bool(array.ndim and np.ptp(array) > 1e-12 * np.max(np.abs(array)))


def check_names(bound: str, symbols: Iterable[sympy.Symbol]) -> None:
    """A ValueError where one name stands for one number per coordinate and for a single number."""
    kinds: dict[str, set[bool]] = {}
    for symbol in symbols:
        kinds.setdefault(constant_name(symbol), set()).add(isinstance(symbol, Coordinate))
    if both := sorted(name for name, found in kinds.items() if len(found) > 1):
        raise ValueError(
            f"bound {bound!r} uses {sentence_list(both)} both as one number per coordinate and as a single number; "
            "give one of them another name"
        )


def scalar_from_coordinates(name: str) -> str:
    """The sentence about a bound that takes a per-coordinate constant for one number."""
    return (
        f"{name} is one number per coordinate ({KNOWN[name].meaning}), and this bound takes it for a single number; "
        f"write symbols.{name}_norm, symbols.{name}_max or total({name}) in the bound, or pass {name} as one number"
    )


def fill(given: Mapping[str, Any], needed: Iterable[sympy.Symbol]) -> dict[str, Any]:
    """Floats and ``(d,)`` arrays for the symbols `needed`, checked and broadcast; the names must be there.

    >>> from anisotropic.bounds.symbols import L, T
    >>> fill({"L": 2.0, "T": 10, "d": 3}, [L, T])
    {'L': array([2., 2., 2.]), 'T': 10.0}
    """
    size = dimension(given)
    values: dict[str, Any] = {}
    for symbol in needed:
        name = constant_name(symbol)
        if name == "d":
            values[name] = size
            continue
        if isinstance(symbol, Iteration):
            values[name] = given[name]
            continue
        array = entry(name, given[name])
        if isinstance(symbol, Coordinate):
            if array.size not in (1, size):
                raise ValueError(f"{name} has {array.size} entries where another constant has {size}; make them agree")
            values[name] = np.broadcast_to(array, (size,))
        elif name in KNOWN and KNOWN[name].per_coordinate and array.ndim and array.size > 1:
            raise ValueError(scalar_from_coordinates(name))
        elif is_uneven(array):
            raise ValueError(f"{name} differs between coordinates; expected one number for all of them")
        else:
            values[name] = float(array if array.ndim == 0 else array[0])
    return values
