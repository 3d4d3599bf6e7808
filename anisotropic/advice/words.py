"""How is the advice said? At most six sentences, the answer first, nothing that the races do not show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..intervals import Interval
from ..plotting.figures import title
from .compare import CONTROL, LABELS, Decision, adapts, decide, ratio, resolvable, still_open
from .prediction import RECORD

if TYPE_CHECKING:
    from .answer import Advice


def sentences(advice: Advice) -> list[str]:
    """The answer, the second measure, the control, the batch size, theory, and what a minute would buy."""
    first, *others = advice.measures
    found = [_answer(advice, first, LABELS.get(first, first))]
    if others:
        found.append(_other(advice, first, others[0], LABELS.get(others[0], others[0])))
    found += [_control(advice, first), _batch(advice), _theory(advice, first), _minute(advice, first)]
    return [sentence for sentence in found if sentence]


def _decisions(advice: Advice, measure: str) -> dict[int, Decision]:
    return {b: decide(advice.races[b, measure]) for b in advice.batch_sizes}


def _percent(r: Interval) -> str:
    return f"{r.estimate:.2g} [{r.low:.2g}, {r.high:.2g}]"


def listed(words: Sequence[object]) -> str:
    """"a", "a and b", "a, b and c".

    >>> listed([8, 64, 512])
    '8, 64 and 512'
    """
    texts = [f"{w:,}" if isinstance(w, int) else str(w) for w in words]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def _best(d: Decision, among: Sequence[str]) -> str | None:
    known = [m for m in among if m in d.ratios and np.isfinite(d.ratios[m].estimate)]
    return min(known, key=lambda m: d.ratios[m].estimate, default=None)


def _ahead(decisions: dict[int, Decision]) -> dict[int, str]:
    """By batch size, the best of the methods that adapt coordinates and are ahead of SGD beyond doubt."""
    found = {b: _best(d, [m for m in d.ahead if adapts(m)]) for b, d in decisions.items()}
    return {b: m for b, m in found.items() if m is not None}


def _names(advice: Advice) -> str:
    methods = next(iter(advice.races.values())).tuned
    return " or ".join(title(m) for m in methods if adapts(m)) or "another method"


def _answer(advice: Advice, measure: str, label: str) -> str:
    decisions = _decisions(advice, measure)
    ahead = _ahead(decisions)
    what = f"({label}, ratio to tuned SGD's, below 1 is better)"
    told = "; ".join(
        f"at batch size {b:,} {_winner_words(decisions[b], m)} {_percent(decisions[b].ratios[m])}"
        for b, m in ahead.items()
    )
    rest = [b for b in decisions if b not in ahead]
    if ahead and not rest:
        return f"Adaptive step sizes help here at every batch size tried: {told} {what}."
    if ahead:
        return f"Adaptive step sizes help here at some batch sizes: {told} {what}; {_unhelped(decisions, rest)}."
    return f"No evidence that {_names(advice)} helps here: {_unhelped(decisions, rest)} {what}."


def _winner_words(d: Decision, method: str) -> str:
    rivals = [title(m) for m in d.open if m != method and adapts(m)]
    return title(method) + (f" (not resolved from {listed(rivals)})" if rivals and method in d.open else "")


def _unhelped(decisions: dict[int, Decision], batches: Sequence[int]) -> str:
    """Why no adaptive method is ahead: SGD is, or the difference is open."""
    lost, open_, gone = [], [], []
    for b in batches:
        d = decisions[b]
        ours = [m for m in d.ratios if adapts(m)]
        best = _best(d, ours)
        if best is None:
            gone.append(b)
        elif best in d.behind:
            lost.append(f"{b:,} (best: {title(best)} {_percent(d.ratios[best])})")
        else:
            open_.append(f"{b:,} (best: {title(best)} {_percent(d.ratios[best])})")
    parts = [f"SGD is ahead at batch size {listed(lost)}"] if lost else []
    parts += [f"the difference is not resolved at batch size {listed(open_)}"] if open_ else []
    parts += [f"they diverged at batch size {listed(gone)}"] if gone else []
    return " and ".join(parts)


def _other(advice: Advice, first: str, measure: str, label: str) -> str:
    decisions, before = _decisions(advice, measure), _ahead(_decisions(advice, first))
    ahead = _ahead(decisions)
    told = "; ".join(f"{b:,}: {title(m)} {_percent(decisions[b].ratios[m])}" for b, m in ahead.items())
    if not ahead:
        where = listed(list(decisions))
        return f"Measured on the {label}, no adaptive method is ahead of SGD (batch size {where})."
    same = "the same holds" if set(ahead) == set(before) else f"they help at {listed(list(ahead))}"
    return f"Measured on the {label}, {same} ({told})."


def _control(advice: Advice, measure: str) -> str:
    """Whether an advantage comes from coordinates or from the decay of one step size."""
    ahead = _ahead(_decisions(advice, measure))
    races = {b: advice.races[b, measure] for b in ahead}
    if not ahead or any(CONTROL not in race.tuned for race in races.values()):
        return ""
    against = {b: ratio(races[b], m, CONTROL) for b, m in ahead.items()}
    clear = [b for b, r in against.items() if r.high < 1.0]
    if len(clear) == len(against):
        b = min(against, key=lambda b: against[b].estimate)
        return (
            "The gain comes from adapting coordinates: AdaGrad-Norm, which has one step size for all, is behind at "
            f"each of these (most at {b:,}: {title(ahead[b])} over it {_percent(against[b])})."
        )
    rest = [b for b in against if b not in clear]
    return (
        f"At batch size {listed(rest)} AdaGrad-Norm, which has one step size for all coordinates, is not behind: there "
        "the gain may come from the decay of the step size alone."
    )


def _limits(low: float, high: float) -> str:
    return f"[{low:,.3g}, {high:,.3g}]" if np.isfinite(high) else f"[{low:,.3g}, no upper end]"


def _batch(advice: Advice) -> str:
    c = advice.critical
    if c is None:
        return ""
    beside = (
        f"the gradient noise scale there is {c.over_rows:,.3g} over these rows and in "
        f"{_limits(*c.noise_scale.interval)} for fresh ones"
    )
    if not np.isfinite(c.low):
        return f"From a checkpoint of SGD no batch size made progress that could be measured; {beside}."
    if not np.isfinite(c.value):
        return (
            f"From a checkpoint of SGD even batches of {c.sizes[-1]:,.0f}, the largest tried, keep 90 % of the "
            f"progress of batches of {c.sizes[0]:,.0f} at equal samples; {beside}."
        )
    return (
        f"From a checkpoint of SGD batches up to {c.value:,.3g} {_limits(c.low, c.high)} keep 90 % of the progress of "
        f"batches of {c.sizes[0]:,.0f} at equal samples; {beside}."
    )


def _theory(advice: Advice, measure: str) -> str:
    """The hint, and where it and the race disagree."""
    known = [p for p in advice.predictions if p.favored is not None]
    if not advice.predictions:
        return ""
    if not known:
        return f"The bounds favor neither SGD nor AdaGrad for every width of the domain; a hint only ({RECORD})."
    wrong: list[int] = []
    right: list[int] = []
    for p in known:
        race = advice.races[p.batch_size, measure]
        d = decide(race)
        r = d.ratios.get("adagrad")
        if r is None or not (r.high < 1.0 or r.low > 1.0):
            continue
        (right if (p.favored == "adagrad") == (r.high < 1.0) else wrong).append(p.batch_size)
    favored = sorted({title(str(p.favored)) for p in known})
    ends = [v for p in known for v in p.ratios.values()]
    terms = sorted({p.deciding for p in known})
    hint = (
        f"As a hint only, the bounds favor {listed(favored)} (SGD's over AdaGrad's {min(ends):.2g} to {max(ends):.2g}; "
        f"the {' and '.join(terms)} term{'s decide' if len(terms) > 1 else ' decides'})"
    )
    if wrong:
        return f"{hint}, and the race says the opposite at batch size {listed(wrong)}: trust the race ({RECORD})."
    if right:
        return f"{hint}, and the race agrees at batch size {listed(right)} ({RECORD})."
    return f"{hint}, which the race neither confirms nor refutes ({RECORD})."


def _minute(advice: Advice, measure: str) -> str:
    """What is open, and what one more minute a batch size would resolve."""
    undecided = [b for b in advice.batch_sizes if _is_open(advice, b, measure)]
    if not undecided:
        return ""
    told = []
    for b in undecided:
        race, more = advice.races[b, measure], advice.more_replicas(b)
        factor = resolvable(race, more)
        would = "which would still leave it open" if still_open(race, more) else "enough if the estimates stay"
        told.append(f"{b:,}: differences above {100 * (factor - 1):.2g} % with about {more:,} more seeds, {would}")
    return f"Which method is best is open at batch size {listed(undecided)}; one more minute each would resolve, at " \
           f"{'; at '.join(told)}."  # fmt: skip


def _is_open(advice: Advice, batch: int, measure: str) -> bool:
    d = decide(advice.races[batch, measure])
    return d.winner is None and len(d.open) > 1
