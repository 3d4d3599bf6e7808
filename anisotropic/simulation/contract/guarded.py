"""Does a function keep to its arrays? It is called on ones that check every index and say who may write into them.

The text is interpreted. Where Python itself fails on it (an instruction that only the compiler knows), the compiled
function has the last word: it gets arrays with a margin on both sides, and is blamed only for what it does.
"""

from __future__ import annotations

import linecache
import os
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...compiled.leaf import leaf
from ...records import FloatArray
from .interpret import LongLoop, interpreted, scalars

MARGIN = 64  # entries on each side of an array that a compiled function gets


class Fault(Exception):
    """A rule that was broken, with the sentence that says how."""

    def __init__(self, rule: str, sentence: str) -> None:
        super().__init__(sentence)
        self.rule, self.sentence = rule, sentence


class Guarded:
    """A function of a noun, called as ``guarded(role=array, ...)`` in the order of its arguments.

    Arrays named in `writes` are written in place; all others are read-only. A `large` one is compiled at once, and
    `draft` never is: what Python cannot run is then a fault.
    """

    def __init__(
        self, function: Callable, role: str, writes: Collection[str] = (), *, large: bool = False, draft: bool = False
    ) -> None:
        self.function, self.role, self.writes = function, role, frozenset(writes)
        self.name = getattr(function, "__name__", role)
        self.twin = interpreted(function)
        self.compiled, self.draft = large and hasattr(function, "py_func"), draft

    def __call__(self, **arguments: Any) -> Any:
        with np.errstate(all="ignore"):
            return self._compiled(arguments) if self.compiled else self._interpreted(arguments)

    def number(self, **arguments: Any) -> float:
        """The result, which must be one real number."""
        result = self(**arguments)
        if isinstance(result, (bool, np.bool_)) or not isinstance(result, (int, float, np.integer, np.floating)):
            what = "nothing" if result is None else f"{result!r} ({type(result).__name__})"
            raise Fault("result", f"{self.named} returns {what}; it must return one float")
        return float(result)

    @property
    def named(self) -> str:
        return self.role if self.name == self.role else f"the {self.role} function '{self.name}'"

    def _interpreted(self, arguments: dict[str, Any]) -> Any:
        given = {k: v if k in self.writes else scalars(v) for k, v in arguments.items()}
        try:
            return self.twin(*given.values())
        except (Fault, LongLoop):
            raise
        except IndexError as error:
            raise Fault("bounds", self._out_of_range(error, arguments)) from None
        except Exception as error:
            if isinstance(error, ValueError) and "read-only" in str(error):
                raise Fault("side effects", self._read_only(error)) from None
            return self._judged_by_the_compiler(error, arguments)

    def _judged_by_the_compiler(self, error: Exception, arguments: dict[str, Any]) -> Any:
        """What Python could not run, run compiled; only what fails there too is a fault."""
        sentence = f"{self.named} raises {type(error).__name__}: {error}{_place(error)}; it must not raise"
        if self.draft or not hasattr(self.function, "py_func"):
            raise Fault("raises", sentence) from None
        self.compiled = True
        try:
            return self._compiled(arguments)
        except Fault as fault:
            same = fault.rule == "raises" and f" raises {type(error).__name__}:" in fault.sentence
            raise (Fault("raises", sentence) if same else fault) from None

    def _compiled(self, arguments: dict[str, Any]) -> Any:
        """Run it twice with different numbers around its arrays: they must neither change nor change the results."""
        runs = [self._between_margins(arguments, 1.0 + k) for k in (0.0, 0.5)]
        for name, first, second in zip((*sorted(self.writes), "its result"), *(r[1] for r in runs), strict=True):
            if not np.array_equal(first, second, equal_nan=True):
                raise Fault("bounds", f"{self.named} reads outside of its arrays: what lies beside them changes {name}")
        for name, found in zip(sorted(self.writes), runs[0][1], strict=False):
            arguments[name][...] = found
        return runs[0][0]

    def _between_margins(self, arguments: dict[str, Any], margin: float) -> tuple[Any, list[Any]]:
        from numba.core.errors import NumbaError

        given, wholes = {}, {}
        for name, value in arguments.items():
            if isinstance(value, np.ndarray) and value.dtype == np.float64:
                value, wholes[name] = _with_margin(value, margin)
            given[name] = value if name in self.writes else scalars(value)
        try:
            result = self.function(*given.values())
        except NumbaError as error:
            first = next((line for line in str(error).splitlines()[1:] if line.strip()), str(error))
            raise Fault("compiles", f"{self.named} does not compile: {first.strip()}") from None
        except Exception as error:
            raise Fault("raises", f"{self.named} raises {type(error).__name__}: {error}; it must not raise") from None
        written = [given[name].copy() for name in sorted(self.writes)]
        for name in self.writes & wholes.keys():
            given[name][...] = margin
            if (wholes[name] != margin).any():
                shape = arguments[name].shape
                raise Fault("bounds", f"{self.named} writes outside of {name}, which has shape {shape}")
        number = isinstance(result, (int, float, np.number))
        return result, [*written, result if number else 0.0]

    def _out_of_range(self, error: Exception, arguments: dict[str, Any]) -> str:
        shapes = [f"{k} {v.shape}" for k, v in arguments.items() if isinstance(v, np.ndarray)]
        return (
            f"{self.named} reads or writes outside of its arrays{_place(error)}: {error}. "
            f"The shapes are {', '.join(shapes)}"
        )

    def _read_only(self, error: Exception) -> str:
        own = f"it may write into {' and '.join(sorted(self.writes))} only" if self.writes else "it may write nowhere"
        return f"{self.named} writes into an array that is not its own{_place(error)}; {own}"


def _with_margin(array: FloatArray, margin: float) -> tuple[FloatArray, FloatArray]:
    """A contiguous copy in the middle of a larger array that is `margin` elsewhere, and that larger array."""
    beside = max(MARGIN, 4 * (array.shape[-1] if array.ndim else 1))
    whole = np.full(array.size + 2 * beside, margin)
    inner = whole[beside : beside + array.size].reshape(array.shape)
    inner[...] = array
    return inner, whole


def _place(error: BaseException) -> str:
    """`` (file.py:12: x[j] = 1)``: where in the user's text it happened."""
    ours, others = (__file__, interpreted.__code__.co_filename), (f"{os.sep}numpy{os.sep}", f"{os.sep}numba{os.sep}")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename not in ours]
    here = [f for f in frames if not any(part in f.filename for part in others)]
    if not here:
        return ""
    last = here[-1]
    text = linecache.getline(last.filename, last.lineno or 0).strip()
    file = os.path.basename(last.filename) if os.path.exists(last.filename) else ""  # the cell of a notebook has none
    where = f"{file}:{last.lineno}" if file else f"line {last.lineno}"
    return f" ({where}: {text})" if text else f" ({where})"


@contextmanager
def promised(rule: str) -> Iterator[None]:
    """A fault that shows only when replicas are joined or cut is one of the promise that they may be."""
    try:
        yield
    except Fault as fault:
        advice = "leave coordinatewise=False, or give each array in params one float64 entry a coordinate"
        raise Fault(
            rule, f"coordinatewise=True, but with joined replicas or a block of coordinates {fault.sentence}; {advice}"
        ) from None


def entries(params: Any) -> int:
    """Number of array entries in a record of parameters."""
    return sum(v.size for v in params if isinstance(v, np.ndarray))


def compilable(decide: Callable) -> Callable:
    """A plain function as a leaf, so that the compiler can judge it."""
    return decide if hasattr(decide, "py_func") else leaf(decide)
