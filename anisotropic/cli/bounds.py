"""Which theorems are there, what do they say, what is their value, and how loose are they? ``anisotropic bounds``."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import DONE, PASS_ON, VIOLATED, Group, bound_ids, emit, find_bound, output_options, usage

if TYPE_CHECKING:
    from ..bounds import Bound

#: Bytes of a file of constants.
LARGEST_FILE = 256_000_000


@click.group(cls=Group)
def bounds() -> None:
    """List, show, evaluate and stress the theorems."""


def powers(exponents: tuple[float, float, float] | None) -> str:
    """``T^-1/2 M^-1/2`` from the exponents of a part in T, M and d, without that of the dimension."""
    from fractions import Fraction

    named = zip("TM", exponents or (), strict=False)
    return " ".join(f"{name}^{Fraction(power).limit_denominator(12)}" for name, power in named if power)


@bounds.command("list")
@output_options
def bounds_list(as_json: bool, quiet: bool) -> None:
    """All bounds, with how their noise and bias parts decay."""
    from .. import bounds as catalogue
    from .._support.output import show
    from ..bounds.decay import DECAY

    if as_json:
        emit(bounds=catalogue.table())
    elif quiet:
        print("\n".join(bound_ids()))
    else:
        rows = {name: DECAY[name] for name in bound_ids()}
        show([{"id": name, "measure": row.measure, "noise": powers(row.noise), "bias": powers(row.bias)}
              for name, row in rows.items()], "Bounds")  # fmt: skip


@bounds.command("show")
@click.argument("name", metavar="ID|FILE.py:NAME")
@click.option("--latex", is_flag=True, help="Only the LaTeX of the inequality.")
@click.option("--cite", is_flag=True, help="Only the BibTeX entry of the source.")
@output_options
def bounds_show(name: str, latex: bool, cite: bool, as_json: bool, quiet: bool) -> None:
    """One bound: inequality, assumptions, constants, source."""
    bound = find_bound(name)
    if as_json:
        from .. import bounds as catalogue

        emit(**catalogue.row(name, bound), statement=str(bound), bibtex=bound.cite() if bound.source else None)
    elif latex or cite:
        print("\n".join([bound.latex()] * latex + [bound.cite()] * cite))
    else:
        print(bound if not quiet else bound.latex())


@bounds.command("evaluate", context_settings=PASS_ON | {"help_option_names": ["--help"]})
@click.argument("name", metavar="ID|FILE.py:NAME")
@click.option("--form", help="Which form; 'bounds show' lists them.")
@click.argument("constants", nargs=-1, type=click.UNPROCESSED, metavar="--CONSTANT VALUE ...")
@output_options
def bounds_evaluate(name: str, form: str | None, constants: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """The value of a bound and of its terms for given constants.

    \b
    A value is a number, numbers for the coordinates (1,0.5,0.25), or a file:
      --L 1,0.5   --sigma 1   --L @curvature.npy   --sigma @sigma.csv   --D @box.json
    """
    import numpy as np

    from .._support.output import number, show

    bound = find_bound(name)
    values = read_constants(constants)
    for count, what in (("T", "updates"), ("M", "samples in a batch")):
        if np.ndim(values.get(count, 1)) == 0 and values.get(count, 1) < 1:
            raise click.UsageError(f"--{count} {values[count]:g}: expected a number of {what}, at least 1")
    with usage():
        terms = bound.terms(form, **values)
    value = sum(terms.values())
    chosen = form or bound.forms[0]
    forms, refused = values_of_forms(bound, values)
    if as_json:
        emit(bound=name, measure=bound.measure, kind=bound.kind, form=chosen, value=value, terms=terms, forms=forms,
             refused=refused)  # fmt: skip
    elif quiet:
        print(repr(float(value)))
    else:
        relation = {"upper": "<=", "lower": ">=", "equality": "="}[bound.kind]
        print(f"{name}: {bound.measure} {relation} {number(float(value))} (form {chosen})")
        show([{"term": k, "value": v, "share": f"{v / value:.1%}" if value else "-"} for k, v in terms.items()])
        if len(bound.forms) > 1:
            print("forms of the same theorem: " + ", ".join(f"{k} {number(v)}" for k, v in forms.items()))
            print("".join(f"  {k}: {reason}\n" for k, reason in refused.items()), end="")


def values_of_forms(bound: Bound, values: dict[str, Any]) -> tuple[dict[str, float], dict[str, str]]:
    """The value of every form that these constants allow, and for the others why they do not."""
    found, refused = {}, {}
    for form in bound.forms:
        try:
            found[form] = bound(form, **values)
        except ValueError as error:
            refused[form] = str(error)
    return found, refused


@bounds.command("search")
@click.argument("name", metavar="ID|FILE.py:NAME")
@click.option("--budget", type=click.IntRange(1), default=2000, show_default=True, help="Simulations in the search.")
@click.option("--seed", type=click.IntRange(0), default=0)
@click.option("--output", type=click.Path(path_type=Path), help="Write the instance to this JSON file.")
@output_options
def bounds_search(name: str, budget: int, seed: int, output: Path | None, as_json: bool, quiet: bool) -> int:
    """Search the instance on which measured / bound is largest; exit code 4 where that refutes the bound."""
    from .._support.output import number
    from ..evidence.search import search_worst_case
    from .own import Own, is_own, own

    bound, make = own(name) if is_own(name) else Own(find_bound(name), None)
    if not quiet:
        print(f"searching the worst of {budget:,} instances for {name}", file=sys.stderr, flush=True)
    with usage():
        found = search_worst_case(bound, budget=budget, seed=seed, make_optimizer=make, path=output)
    low, high = found.interval.low, found.interval.high
    if as_json:
        emit(bound=name, ratio=found.ratio, interval=[low, high], level=found.interval.level, refuted=found.refuted,
             instance=found.instance.to_dict())  # fmt: skip
    elif quiet:
        print(repr(float(found.ratio)))
    else:
        relation = "bound / measured" if bound.kind == "lower" else "measured / bound"
        print(f"{name}: {relation} = {number(found.ratio)} in [{number(low)}, {number(high)}], "
              f"{'REFUTED' if found.refuted else 'not contradicted'} (level {found.interval.level:g})")  # fmt: skip
        print(f"  {found.instance}")
    return VIOLATED if found.refuted else DONE


def read_constants(words: Sequence[str]) -> dict[str, Any]:
    """``--L 1,0.5 --T=100`` as a dict of floats and arrays."""
    values: dict[str, Any] = {}
    queue = list(words)
    while queue:
        word = queue.pop(0)
        name, equals, text = word.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if not word.startswith("--") or not name:
            raise click.UsageError(f"{word!r} is not a constant; expected --NAME VALUE, such as --T 1000")
        if not equals:
            if not queue:
                raise click.UsageError(f"--{name} has no value; expected a number, numbers with commas, or @file")
            text = queue.pop(0)
        if name in values:
            raise click.UsageError(f"--{name} is given twice")
        values[name] = read_value(name, text)
    return values


def read_array(path: Path) -> Any:
    """The numbers in a regular file that is not too large; a header that promises more than the file is refused."""
    import numpy as np

    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    if status.st_size > LARGEST_FILE:
        raise ValueError(f"it has {status.st_size:,} bytes; expected at most {LARGEST_FILE:,}")
    if path.suffix == ".npy":
        array = np.load(path, allow_pickle=False, mmap_mode="r")
    elif path.suffix == ".json":
        array = np.array(json.loads(path.read_text(encoding="utf-8")), dtype=np.float64)
    else:
        array = np.array(path.read_text(encoding="utf-8").replace(",", " ").split(), dtype=np.float64)
    return np.array(array, dtype=np.float64).squeeze()


def read_value(name: str, text: str) -> Any:
    """A number, an array written with commas, or the array in a .npy, .csv, .txt or .json file."""
    import numpy as np

    if text.startswith("@"):
        path = Path(text[1:])
        try:
            return read_array(path)
        except (OSError, ValueError, TypeError, RecursionError, EOFError) as error:
            reason = getattr(error, "strerror", None) or error
            raise click.UsageError(f"--{name}: cannot read numbers from {path}: {reason}") from None
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        raise click.UsageError(f"--{name} {text}: expected a number, numbers with commas, or @file") from None
    return numbers[0] if len(numbers) == 1 else np.array(numbers)
