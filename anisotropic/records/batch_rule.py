"""Which rule chooses the next batch? A record of its function, parameters and limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from .checks import count
from .functions import parameters, takes
from .nouns import NoParameters, ours, set_fields
from .vocabulary import FORMS, one_of


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
        set_fields(
            self, ours=ours(), params=parameters(self.params, "batch rule"), start=start, slots=slots,
            interval=count(self.interval, "interval"), shrink=bool(self.shrink), exact=exact,
            form="exact" if exact else form,
        )  # fmt: skip

    def __repr__(self) -> str:
        settings = self.params._asdict() if self.params != NoParameters() else {}
        shown = {**settings, "form": self.form, "start": self.start, "max_batch": self.max_batch}
        return f"BatchRule({self.name}{''.join(f', {k}={v!r}' for k, v in shown.items())})"
