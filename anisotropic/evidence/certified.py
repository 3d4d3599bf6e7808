"""Which steps of the derivations does a machine prove, and do the proofs close?

An inequality of a page is proved on all of its domain, by symbols (SymPy: identities, signs, derivatives) or by
intervals (Arb ball arithmetic with branch and bound), never by points. Ends at infinity and points of equality are
part of the proof. What is not here is proved by hand only, on its page.
"""

from __future__ import annotations

import time
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from .._support.extras import require
from .._support.names import nearest, no_such_name
from .inequalities import CATALOGUE, Inequality
from .interval_proof import BUDGET, Unproved
from .proof_steps import Intervals

__all__ = ["Certificate", "Inequality", "Unproved", "certify", "inequality", "method", "names", "resting_on", "table"]

BY_SYMBOLS, BY_INTERVALS, BY_HAND = "by symbols", "by intervals", "by hand only"


class Certificate(NamedTuple):
    """A proof that closed: of what, "by symbols" or "by intervals", on how many boxes, in how many CPU seconds."""

    name: str
    how: str
    boxes: int
    seconds: float


def names() -> list[str]:
    """The inequalities that have a proof by machine."""
    return [entry.name for entry in CATALOGUE]


def inequality(name: str) -> Inequality:
    """The inequality of this name: its statement, domain, page and step.

    >>> print(inequality("sign-gaussian").statement)
    2x\\Phi(-x)\\le0.34
    """
    found = next((entry for entry in CATALOGUE if entry.name == name), None)
    if found is None:
        raise ValueError(f"no inequality is called {name!r}{nearest(name, names())}")
    return found


def resting_on(bound: str) -> list[Inequality]:
    """The inequalities that a bound's proof uses; none where every step is proved by hand only."""
    return [entry for entry in CATALOGUE if bound in entry.bounds]


def method(entry: Inequality) -> str:
    """ "by intervals" where some part of the proof is, else "by symbols".

    >>> method(inequality("sign-cantelli"))
    'by symbols'
    """

    def any_intervals(step: Any) -> bool:
        inside = [getattr(step, f.name) for f in fields(step)] if is_dataclass(step) else []
        return isinstance(step, Intervals) or any(any_intervals(part) for part in inside)

    return BY_INTERVALS if any_intervals(entry.proof) else BY_SYMBOLS


def certify(which: str | Inequality, *, budget: int = BUDGET) -> Certificate:
    """Prove an inequality on all of its domain.

    Parameters
    ----------
    which : str or Inequality
        One of `names`, or an inequality of one's own.
    budget : int
        Boxes that each proof by intervals may look at.

    Returns
    -------
    Certificate

    Raises
    ------
    Unproved
        If the proof does not close: on which box, and what is known of the two sides there.
    ValueError
        On an unknown name.
    MissingExtra
        If the extra `certify` is not installed.

    Examples
    --------
    >>> certify("sign-gaussian").how
    'by intervals'
    """
    entry = which if isinstance(which, Inequality) else inequality(which)
    if budget < 1:
        raise ValueError(f"budget = {budget}; expected a number of boxes, at least 1")
    require("flint", "certify")
    started = time.process_time()
    boxes = entry.proof.run(entry.right - entry.left, entry.domain, budget)
    return Certificate(entry.name, method(entry), boxes, time.process_time() - started)


def table(budget: int = BUDGET) -> list[dict[str, Any]]:
    """Prove all; one row each with what is proved, for which page and step, how, and in how many boxes and seconds."""
    return [row(entry, budget) for entry in CATALOGUE]


def row(entry: Inequality, budget: int = BUDGET) -> dict[str, Any]:
    """The attempt to prove one inequality: `proved`, and `how` or the `reason` why the proof did not close."""
    about: dict[str, Any] = {"name": entry.name, "statement": entry.statement, "domain": entry.where,
                             "page": entry.page, "step": entry.step, "bounds": list(entry.bounds)}  # fmt: skip
    try:
        proof = certify(entry, budget=budget)
    except Unproved as reason:
        return about | {"proved": False, "how": None, "boxes": None, "seconds": None, "reason": str(reason)}
    return about | {"proved": True, "how": proof.how, "boxes": proof.boxes, "seconds": proof.seconds, "reason": None}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise no_such_name(__name__, name)
