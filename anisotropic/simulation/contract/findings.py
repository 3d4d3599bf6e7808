"""What was found wrong with a noun? A sequence of sentences, empty where nothing was, and the error that carries it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Finding(NamedTuple):
    """One broken promise: of which noun, which rule it breaks, and what was seen, expected and should be done."""

    noun: str
    rule: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.noun}: {self.sentence}"


class Findings(tuple[Finding, ...]):
    """Everything that was found; false where nothing was, and printed one finding a line."""

    __slots__ = ()

    def __new__(cls, found: Iterable[Finding] = ()) -> Findings:
        return super().__new__(cls, tuple(found))

    def __str__(self) -> str:
        return "\n".join(f"- {finding}" for finding in self) or "no findings"

    __repr__ = __str__


class ContractViolation(ValueError):
    """A noun does not do what a simulation relies on; `findings` says what.

    Raised by `anisotropic.simulate` and the functions built on it, unless ``check=False``.
    """

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = Findings(findings)
        many = len(self.findings) > 1
        lead = "these nouns break" if len({f.noun for f in self.findings}) > 1 else "this noun breaks"
        super().__init__(
            f"{lead} the contract of a simulation in {len(self.findings)} way{'s' if many else ''} "
            f"(check=False simulates it all the same):\n{self.findings}"
        )


def shown(values: ArrayLike, entries: int = 4) -> str:
    """The first entries of an array, or a number, in a few characters."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0:
        return f"{float(array):.6g}"
    more = ", ..." if array.size > entries else ""
    return f"[{', '.join(f'{v:.6g}' for v in array.ravel()[:entries])}{more}]"
