"""How much of each term, and of each constant, does any instance found need? The table behind docs/bounds.md.

One row for a bound as a whole, one for each term, one for each constant that is made smaller everywhere in the bound.
The search for a bound starts from the instances that the table has already, so that no factor falls.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import bounds
from ..bounds.theorem import Bound
from ..records import count
from .families import HUBER, Instance, instance_from
from .scores import PRECISION
from .search import FINAL_REPLICAS, Search, check_writable, measured

#: Part of the budget that the search for each single term or constant adds to that for the bound as a whole.
SHARE = 0.25


@dataclass(frozen=True)
class TermNeed:
    """How much of a term or constant any instance found needs: with `factor` times it, none contradicts the bound.

    `term` and `cause` are empty for the bound as a whole; a `cause` is a constant that is scaled everywhere in it.
    `factor` is 0 where no instance found needs it. `level` is that of the interval behind it, `budget` and `seed` are
    those of the search.
    """

    bound: str
    form: str
    term: str
    factor: float
    level: float
    instance: Instance | None
    cause: str = ""
    budget: int = 0
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return vars(self) | {"instance": self.instance.to_dict() if self.instance else None}


def mutation_table(
    names: Iterable[str] | None = None,
    budget: int = 2000,
    seed: int = 0,
    *,
    path: str | Path | None = None,
    level: float = 1e-3,
) -> list[TermNeed]:
    """For each bound, its terms and its constants: the smallest factor that no instance found contradicts.

    A factor c means that the instance refutes the bound, in the form that is tightest there, with any factor clearly
    below c, since c is taken at the lower limit.

    Parameters
    ----------
    names : ids of bounds, or None for all
    budget : int
        Simulations in the search for a bound as a whole; each of its terms and constants adds a quarter of them.
    seed : int
        As in `search_worst_case`.
    path : path or None
        Where to write the rows of a bound as soon as they are known. Bounds that the file has with this budget and
        seed are done, so that an interrupted search goes on where it stopped; for the others its instances are where
        the search starts.
    level : float
        Of the interval for each factor, over `FINAL_REPLICAS` fresh replicas.
    """
    check_writable(path)
    budget = count(budget, "budget")
    rows = read_mutation_table(path) if path is not None and Path(path).exists() else []
    ids = list(names or bounds)  # type: ignore[arg-type]
    for name in ids:
        old = [row for row in rows if row.bound == name]
        if not old or any((row.budget, row.seed) != (budget, seed) for row in old):
            found = needs(bounds[name], budget, seed, level, [row.instance for row in old if row.instance])  # type: ignore[index]
            rows = _in_order([row for row in rows if row.bound != name] + found)
            if path is not None:
                _write(path, rows)
    return [row for row in rows if row.bound in ids]


def needs(bound: Bound, budget: int, seed: int, level: float, known: Iterable[Instance] = ()) -> list[TermNeed]:
    """Rows of a bound. What was found for one term may serve another one better than its own search did."""
    known = list(known)
    search = Search(bound, HUBER, seed, [instance.point for instance in known])
    found = [*known, search.worst(budget)]
    wanted = list(dict.fromkeys(need for scores in search.tried.values() for need in scores))
    terms, causes = [n for n in wanted if not n.cause], [n for n in wanted if n.cause]
    for need in terms[1:]:
        found += search.further(need, max(1, int(SHARE * budget)))
    search.look_at([x for need in terms for x in search.leaders(need, 1)])
    for need in causes:
        found += search.further(need, max(1, int(SHARE * budget)))
    best = {n: TermNeed(bound.name, "", n.term, 0.0, level, None, n.cause, budget, seed) for n in wanted}
    for k, instance in enumerate(found):
        if instance in found[:k]:
            continue
        for need, score in measured(instance, FINAL_REPLICAS, seed + 2, level).items():
            least = PRECISION if need.cause else 0.0
            if need in best and score.value > max(best[need].factor, least):
                best[need] = TermNeed(
                    bound.name, score.form, need.term, score.value, level, instance, need.cause, budget, seed
                )
    return [best[need] for need in terms + causes]


def _in_order(rows: list[TermNeed]) -> list[TermNeed]:
    """Bounds as the catalogue lists them; those that it no longer has are left out."""
    order = {name: k for k, name in enumerate(bounds)}  # type: ignore[arg-type, var-annotated]
    return sorted((row for row in rows if row.bound in order), key=lambda row: order[row.bound])


def _write(path: str | Path, rows: Iterable[TermNeed]) -> None:
    """All or nothing, whenever the process ends."""
    place = Path(path)
    draft = place.with_name(f"{place.name}.part")
    draft.write_text(json.dumps([row.to_dict() for row in rows], indent=1) + "\n")
    os.replace(draft, place)


def read_mutation_table(path: str | Path) -> list[TermNeed]:
    """The rows that `mutation_table` wrote."""
    return [
        TermNeed(**row | {"instance": instance_from(row["instance"]) if row["instance"] else None})
        for row in json.loads(Path(path).read_text())
    ]


def main(arguments: list[str]) -> int:
    """``python -m anisotropic.evidence.mutations FILE BUDGET SEED [ID ...]``: the table in FILE, written or resumed."""
    path, budget, seed, *names = arguments
    for row in mutation_table(names or None, int(budget), int(seed), path=path):
        what = f"{row.cause} everywhere" if row.cause else row.term or "all terms"
        print(f"{row.bound:<34}{row.form:<10}{what:<24}{row.factor:>8.3f}")
    return 0


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
