"""Which pages are made from the package? The table of bounds, what is proved by machine, and the reference."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import anisotropic as an
from anisotropic.evidence.mutations import TermNeed, read_mutation_table

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parents[1]
OUT = HERE / "_generated"
#: What a long search found, written by ``make search``.
MUTATION = HERE / "mutation.json"
#: Public names by task; what is not listed comes last.
GROUPS = {
    "Describe a problem": ("problems", "noises", "datasets", "Objective", "Noise"),
    "Choose a method": ("optimizers", "schedules", "batching", "Optimizer", "Schedule", "BatchRule", "leaf", "check",
                        "Findings", "ContractViolation", "advise", "Advice"),
    "Simulate and tune": ("simulate", "simulate_local", "tune", "Tuning", "steps_to_target", "tuned_steps_to_target",
                          "StepsToTarget", "race", "Race", "Method", "Run", "Facts", "load"),
    "State a theorem": ("bounds", "published", "Bound", "Requires", "Source"),
    "Judge a theorem": ("verify", "Verdict", "fit_rate", "search_worst_case", "setups", "exact", "certify",
                        "certified", "intervals"),
    "Measure a problem": ("smoothness", "geometry", "gradient_noise_scale", "noise_moments", "surge"),
    "Ask over a grid, and show it": ("Study", "study", "report", "plotting"),
    "The package itself": ("show_versions", "MissingExtra", "extras", "random"),
}  # fmt: skip
#: Submodules that import an optional package; each has a page of its own.
ADAPTERS = {"torch"}


def exponents(rate: dict[str, float] | None) -> str:
    """``$T^{-1/2} M^{-1/2}$`` from exponents."""
    powers = [f"{k}^{{{Fraction(v).limit_denominator(12)}}}" for k, v in (rate or {}).items() if v and k != "d"]
    return f"${' '.join(powers)}$" if powers else ""


def bounds_table() -> str:
    """Every bound of the registry: what it bounds, how its parts decay, where it comes from, and its inequality."""
    lines = ["| id | bounds | noise | bias | slack seen | steps proved | source |", "|---|---|---|---|---|---|---|"]
    rows = an.bounds.table()
    needs = read_mutation_table(MUTATION)
    for r in rows:
        name = f"[`{r['id']}`](#bound-{r['id'].replace('_', '-')})"
        parts = [name, f"`{r['measure']}` ({r['kind']})", exponents(r["rate"]), exponents(r["bias_rate"])]
        parts += [next((f"{1 / n.factor:.3g}" for n in needs if (n.bound, n.term, n.cause) == (r["id"], "", "")), "")]
        parts += [steps_proved(r["id"])]
        lines.append("| " + " | ".join([*parts, r["arxiv"] or r["source"] or ""]) + " |")
    for r in rows:
        lines += ["", f"(bound-{r['id'].replace('_', '-')})=", f"## {r['id']}", "", f"{r['title'] or 'A bound'}."]
        lines += ["", "$$", r["latex"], "$$", ""]
        lines += [f"* {sentence}" for sentence in r["requires"]]
        lines += [f"* condition: `{condition}`" for condition in r["conditions"]]
        default, *others = r["forms"]
        lines += [f"* forms: {', '.join([f'{default} (the default)', *others])}"] * bool(others)
        lines += [f"* constants: {', '.join(f'`{c}`' for c in r['constants'])}"]
        if r["source"]:
            lines += [f"* source: {r['status']}: {r['source']}" + (f", arXiv {r['arxiv']}" if r["arxiv"] else "")]
        if page := theory_page(r["id"]):
            lines += [f"* derivation: [{page.stem}](theory/{page.name})"]
        lines += needs_table([n for n in needs if n.bound == r["id"]])
    return "\n".join(lines) + "\n"


def steps_proved(bound: str) -> str:
    """How many steps of a bound's proof a machine proves, and how; the others are proved by hand."""
    ways = Counter(an.certified.method(entry) for entry in an.certified.resting_on(bound))
    return ", ".join(f"{count} {way}" for way, count in sorted(ways.items())) or an.certified.BY_HAND


def certified_table() -> str:
    """Every inequality that has a proof by machine, proved while this page is made."""
    lines = ["| inequality, and where | page, step | how | boxes | CPU s |", "|---|---|---|---|---|"]
    for row in an.certified.table():
        if not row["proved"]:
            raise ArithmeticError(f"{row['name']} is not proved: {row['reason']}")
        where = f"[`{row['page']}`]({row['page']}.md), {row['step']}"
        claim = f"`{row['name']}`<br>${_in_table(row['statement'])}$<br>${_in_table(row['domain'])}$"
        lines.append(f"| {claim} | {where} | "
                     f"{row['how']} | {row['boxes'] or ''} | {row['seconds']:.2f} |")  # fmt: skip
    by_hand = [f"`{bound}`" for bound in an.bounds if not an.certified.resting_on(bound)]
    return "\n".join([*lines, "", f"By hand only, every step: {', '.join(by_hand)}."]) + "\n"


def published_table() -> str:
    """Every rate that is cited as stated, at L = R = Delta = 1, beside the worst case that PEPit finds."""
    lines = ["| bound | at | $T$ | bound | PEPit says | bound / PEPit |", "|---|---|---|---|---|---|"]
    for row in an.published.table():
        found = row["found"]
        at = ", ".join(f"`{k}` = {row[k]:.4g}" for k in ("step_size", "mu", "momentum", "Delta") if k in row)
        lines.append(f"| `{row['bound']}` | {at} | {row['T']} | {found.bound:.6f} | at most {found.high:.6f} | "
                     f"{found.ratio:.3f} |")  # fmt: skip
    return "\n".join(lines) + "\n"


def _in_table(latex: str) -> str:
    """A bar would end the cell."""
    return re.sub(r"\|(.*?)\|", r"\\lvert \1\\rvert ", latex)


def needs_table(rows: list[TermNeed]) -> list[str]:
    """How much of each term and constant any instance found needs, and that instance."""
    if not rows:
        return ["* worst instances: not searched yet"]
    lines = ["", "| what is scaled | c | form | worst instance found |", "|---|---|---|---|"]
    for row in rows:
        found = ("no instance found that needs it", "", "") if row.instance is None else (
            f"{min(row.factor, 1):.3f}", row.form, str(row.instance)
        )  # fmt: skip
        what = f"`{row.cause}` everywhere" if row.cause else f"{row.term} term" if row.term else "the bound"
        lines.append("| " + " | ".join([what, *found]) + " |")
    return lines


def theory_page(bound: str) -> Path | None:
    """The page that derives a bound: one of its name, or the one that mentions it as code."""
    named = HERE / "theory" / f"{bound}.md"
    if named.is_file():
        return named
    pages = sorted((HERE / "theory").glob("*.md"))
    return next((p for p in pages if f"`{bound}`" in p.read_text(encoding="utf-8")), None)


def public_modules() -> dict[str, ModuleType]:
    """The public modules that exist, by name."""
    places = {f"{name}{a}": f"anisotropic.{place}{a}" for name, place in an._MODULES.items()
              for a in ("", *(f".{a}" for a in ADAPTERS))}  # fmt: skip
    return {name: importlib.import_module(place) for name, place in places.items() if _exists(place)}


def _exists(path: str) -> bool:
    try:
        return importlib.util.find_spec(path) is not None
    except ModuleNotFoundError:
        return False


def members(module: ModuleType) -> list[tuple[str, Any]]:
    """Public functions and classes of a module: those in ``__all__``, else those defined there."""
    names = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
    found = []
    for name in set(names) - ADAPTERS:
        thing = getattr(module, name)
        home = str(getattr(thing, "__module__", ""))
        own = home.startswith(module.__name__) or (hasattr(module, "__all__") and home.startswith("anisotropic"))
        if own and (inspect.isfunction(thing) or inspect.isclass(thing)) and thing.__doc__:
            found.append((name, thing))
    return sorted(found)


def reference_page(title: str, path: str, listed: list[tuple[str, Any]], about: str) -> str:
    """A page of autodoc directives."""
    lines = [f"# {title}", "", "```{eval-rst}", about, ""]
    for name, thing in listed:
        if inspect.isclass(thing):
            lines += [f".. autoclass:: {path}.{name}", "   :members:", ""]
        else:
            lines += [f".. autofunction:: {path}.{name}", ""]
    return "\n".join([*lines, "```", ""])


def grouped(names: list[str]) -> dict[str, list[str]]:
    """Public names by task; those that no task lists come last."""
    known = {name for group in GROUPS.values() for name in group}
    found = {title: [n for n in group if n in names] for title, group in GROUPS.items()}
    found["More"] = [n for n in names if n not in known]
    return {title: group for title, group in found.items() if group}


def reference_groups(names: list[str], pages: dict[str, str]) -> str:
    """Every public name by task, with the first line of its docstring."""
    lines = []
    for title, group in grouped(names).items():
        lines += [f"## {title}", "", "| name | what it is |", "|---|---|"]
        for name in group:
            about = re.sub(r"``([^`]*)``", r"`\1`", first_line(name))
            page = f"[`an.{name}`](_generated/reference/{name}.md)"
            link = page if name in pages else f"{{py:obj}}`an.{name} <anisotropic.{name}>`"
            lines.append(f"| {link} | {about.replace('|', chr(92) + '|')} |")
        lines.append("")
    return "\n".join(lines)


def first_line(name: str) -> str:
    """The question or the sentence that the docstring of a public name opens with, or that of its module."""
    thing = getattr(an, name)
    home = importlib.import_module(f"anisotropic.{an._HOME[name]}") if name in an._HOME else thing
    told = inspect.getdoc(thing) if inspect.isroutine(thing) or not callable(thing) or inspect.isclass(thing) else None
    return " ".join((told or home.__doc__ or "").partition("\n\n")[0].split())


def write(path: Path, text: str) -> None:
    """Write only what has changed, so that Sphinx rebuilds only that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def generate(app: Sphinx | None = None) -> None:
    """Write all generated pages."""
    write(OUT / "bounds_table.md", bounds_table())
    write(OUT / "certified_table.md", certified_table())
    write(OUT / "published_table.md", published_table())
    pages = OUT / "reference"
    texts, elsewhere = {}, set()
    for name, module in public_modules().items():
        if listed := members(module):
            about = f".. automodule:: {module.__name__}\n   :no-members:"
            texts[name] = reference_page(f"anisotropic.{name}", module.__name__, listed, about)
            elsewhere |= {id(thing) for _, thing in listed}
    homes = {n: m for n, m in an._HOME.items() if _exists(f"anisotropic.{m}")}
    found = [(n, getattr(importlib.import_module(f"anisotropic.{m}"), n, None)) for n, m in homes.items()]
    top = [(n, t) for n, t in found if (inspect.isfunction(t) or inspect.isclass(t)) and id(t) not in elsewhere]
    names = dict(top)
    parts = [
        reference_page(title, "anisotropic", [(n, names[n]) for n in group], "").replace("# ", "## ", 1)
        for title, group in grouped(list(names)).items()
    ]
    texts["anisotropic"] = "\n".join(["# anisotropic", "", *parts])
    public = [n for n in an.__all__ if n != "__version__" and (n in texts or n in names)]
    write(OUT / "reference_groups.md", reference_groups(public, texts))
    for name, text in texts.items():
        write(pages / f"{name}.md", text)
    for stale in set(pages.glob("*.md")) - {pages / f"{name}.md" for name in texts}:
        stale.unlink()


def escape_bars(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings write absolute values with bars, which reStructuredText would take for substitutions."""
    in_example = False
    for i, line in enumerate(lines):
        in_example = line.lstrip().startswith(">>>") or (in_example and bool(line.strip()))
        if not in_example:
            pieces = re.split(r"(``.*?``)", line)
            lines[i] = "".join(p if p.startswith("``") else re.sub(r"(?<!\\)\|", r"\\|", p) for p in pieces)


def breakable(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Let long names in code break after an underscore, and nowhere else."""
    if body := context.get("body"):
        context["body"] = re.sub(
            r'(?<=<span class="pre">)[^<]*(?=</span>)', lambda found: found[0].replace("_", "_<wbr>"), body
        )


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", generate)
    app.connect("html-page-context", breakable)
    app.connect("autodoc-process-docstring", escape_bars, priority=400)
    return {"parallel_read_safe": True}
