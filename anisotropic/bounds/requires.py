"""Which hypotheses of a theorem cannot be read off its constants? Checked on the facts of a run, before any number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .._support.names import nearest
from ..records import Facts
from ..records.vocabulary import LAWS, OPTIMIZERS, PRESETS, PROPERTIES, meant, one_of

Names = Iterable[str] | str


def checked(requires: Any) -> Requires:
    """The hypotheses of a bound; a dict is answered with what to write."""
    if requires is None or isinstance(requires, Requires):
        return requires or Requires()
    raise TypeError(f"requires = {requires!r}; expected an.Requires, such as an.Requires(optimizers='sgd')")


def _tuple(values: Names) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


@dataclass(frozen=True)
class Requires:
    """What a run must be for a theorem to speak about it. An empty field asks for nothing.

    Parameters
    ----------
    optimizers : names
        Update rules that the proof covers.
    preset : str or None
        Where the optimizer puts its epsilon: "convex" (outside the root) or "nonconvex" (v_0 = eps^2).
    properties : names
        Of the objective: "convex", "separable", "interior minimizer", ... Without a box every minimizer is interior.
    box : bool or None
        True: iterates must be clipped to a box. False: they must not.
    schedule, batch : names or None
        "constant", the names of schedules or batch rules, or None where any will do.
    fixed_schedule : bool
        Whether the step sizes must be known before the run: none that depend on the loss.
    batch_test_always_holds : bool
        Whether the inequality of the batch rule must hold in every iteration: exact form, tested in every iteration, no
        cap met.
    objectives : names
        Problem families that the theorem is about.
    laws, noises : names
        Noise laws ("gaussian", ...) and noise models ("gaussian", "none", ...) that the proof covers.

    Examples
    --------
    >>> from anisotropic.records import Facts
    >>> Requires(optimizers="sgd", properties="convex").unmet(Facts(optimizer="adam", properties=("convex",)))
    ["the optimizer is 'adam'; the theorem is about sgd"]
    """

    optimizers: Names = ()
    preset: str | None = None
    properties: Names = frozenset()
    box: bool | None = None
    schedule: Names | None = "constant"
    batch: Names | None = "constant"
    objectives: Names = ()
    laws: Names = frozenset()
    noises: Names = frozenset()
    batch_test_always_holds: bool = False
    fixed_schedule: bool = False

    def __new__(cls, *args: Any, **given: Any) -> Requires:
        for name in given:
            if name not in cls.__dataclass_fields__:
                raise TypeError(f"Requires has no hypothesis {name!r}{nearest(name, cls.__dataclass_fields__)}")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        object.__setattr__(self, "optimizers", _tuple(self.optimizers))
        object.__setattr__(self, "objectives", _tuple(self.objectives))
        for name in ("schedule", "batch"):
            wanted = getattr(self, name)
            object.__setattr__(self, name, None if wanted is None else _tuple(wanted))
        for name in ("properties", "laws", "noises"):
            object.__setattr__(self, name, frozenset(_tuple(getattr(self, name))))
        for what, given, known in (("property", self.properties, PROPERTIES), ("law", self.laws, LAWS)):
            for word in given:
                one_of(word, known, what)
        if self.preset is not None:
            one_of(self.preset, PRESETS, "preset")

    def unmet(self, facts: Facts) -> list[str]:
        """One sentence for each hypothesis that a run with these `facts` does not meet."""
        found: list[str] = []
        optimizer = facts.optimizer
        if self.optimizers and optimizer not in tuple(self.optimizers):
            slip = next((m for name in self.optimizers if (m := meant(name, OPTIMIZERS))), "")
            found.append(f"the optimizer is {optimizer!r}; the theorem is about {' or '.join(self.optimizers)}{slip}")
        preset = facts.settings.get("preset")
        if self.preset and not found and preset != self.preset:
            place = "v_0 = 0 and eps outside the root" if self.preset == "convex" else "v_0 = eps^2, inside the root"
            found.append(f"the optimizer's preset is {preset!r}; the theorem needs {self.preset!r} ({place})")
        objective = facts.objective
        if self.objectives and objective not in tuple(self.objectives):
            found.append(f"the objective is {objective!r}; the theorem is about {' or '.join(self.objectives)}")
        if self.box is not None and facts.box != self.box:
            found.append(
                "the iterates are not confined to a box, and the theorem needs one" if self.box
                else "the iterates are clipped to a box; the theorem is about unconstrained iterates"
            )
        have = set(facts.properties) | (set() if facts.box else {"interior minimizer"})
        for lacking in sorted(frozenset(self.properties) - have):
            found.append(f"the objective is not known to have the property {lacking!r}")
        for what, wanted, actual in (
            ("schedule", self.schedule, facts.schedule), ("batch", self.batch, facts.batch),
        ):  # fmt: skip
            if wanted is not None and actual not in tuple(wanted):
                found.append(f"the {what} is {actual!r}; the theorem needs {' or '.join(map(repr, wanted))}")
        if self.fixed_schedule and facts.schedule_watches_loss:
            found.append(
                f"the step sizes of schedule {facts.schedule!r} depend on the loss; the theorem is about step sizes "
                "fixed before the run"
            )
        if self.batch_test_always_holds and not facts.batch_test_always_holds:
            found.append(
                "the batch rule did not hold in every iteration; the theorem needs its exact form, tested in every "
                "iteration, and neither a cap nor a floor that breaks its inequality"
            )
        for label, actual, allowed in (
            ("law of the noise", facts.law, self.laws), ("noise", facts.noise, self.noises),
        ):  # fmt: skip
            if allowed and actual not in tuple(allowed):
                found.append(f"the {label} is {actual!r}; the theorem needs {' or '.join(sorted(allowed))}")
        return found

    def sentences(self) -> list[str]:
        """The hypotheses in words, for a printed statement."""
        told: list[str] = []
        if self.optimizers:
            preset = {"convex": ", eps outside the root", "nonconvex": ", v_0 = eps^2"}.get(self.preset or "", "")
            told.append(f"optimizer: {' or '.join(self.optimizers)}{preset}")
        if self.properties or self.objectives:
            told.append("objective: " + ", ".join([*self.objectives, *sorted(self.properties)]))
        if self.box is not None:
            told.append("iterates clipped to a box" if self.box else "no projection")
        if self.laws or self.noises:
            told.append("noise: " + ", ".join(sorted({*self.laws, *self.noises})))
        others = {w: [n for n in getattr(self, w) or () if n != "constant"] for w in ("schedule", "batch")}
        if others["schedule"]:
            told.append(f"step size schedule: {' or '.join(others['schedule'])}")
        if self.fixed_schedule:
            told.append("any step sizes fixed before the run")
        if others["batch"]:
            held = ", exact, at every iteration" * self.batch_test_always_holds
            told.append(f"batch: {' or '.join(others['batch'])}{held}")
        constant = [what for what in ("schedule", "batch") if getattr(self, what) == ("constant",)]
        if constant:
            told.append("constant " + " and ".join("step size" if c == "schedule" else "batch size" for c in constant))
        return told
