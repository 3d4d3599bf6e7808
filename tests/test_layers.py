"""Who may import whom? The layers of the package, read from its source, and what an import loads.

A module may import what its row names, and nothing else of the package; `names` and `extras` are open to all. Packages
from outside come in two lists: those that may load with the module, and those that only a function may load.
"""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import anisotropic as an

ROOT = Path(an.__file__).parent
OPEN = {"_support"}


class Row(NamedTuple):
    """Modules of the package, packages that may load with the module, packages that only a function may load."""

    package: str = ""
    outside: str = ""
    later: str = ""


BELOW = "records compiled"
NOUNS = f"{BELOW} smoothness problems noises optimizers schedules batching"
LAYERS = {
    "__init__": Row("*"),  # names as text, imported when they are first asked for
    "__main__": Row("cli"),
    "_support": Row("", "numpy", "rich llvmlite"),
    "records": Row("", "numpy", "numba xarray pandas"),
    "compiled": Row("", "numpy numba llvmlite"),
    "smoothness": Row("records", "numpy scipy"),
    "problems": Row(f"{BELOW} smoothness", "numpy scipy"),
    "noises": Row(BELOW, "numpy"),
    "optimizers": Row(BELOW, "numpy"),
    "schedules": Row(BELOW, "numpy"),
    "batching": Row(BELOW, "numpy numba", "scipy"),
    "batching.torch": Row("records batching", "numpy torch"),
    "intervals": Row("records", "numpy", "scipy"),
    "simulation": Row(f"{BELOW} batching intervals", "numpy numba"),
    "surge": Row("records", "numpy scipy"),
    "noise_scale": Row("records", "numpy scipy"),
    "bounds": Row("records", "numpy sympy", "scipy"),
    "evidence": Row(f"{NOUNS} simulation intervals bounds", "numpy scipy sympy", "cvxpy PEPit clarabel flint"),
    "geometry": Row(f"{BELOW} intervals", "numpy numba", "scipy"),
    "geometry.torch": Row("records geometry", "numpy torch", "scipy"),
    "datasets": Row("records", "numpy scipy", "pooch sklearn"),
    "advice": Row(f"{NOUNS} simulation intervals bounds evidence noise_scale datasets plotting study",
                  "numpy scipy", "matplotlib"),
    "advice.torch": Row("records evidence advice", "numpy torch"),
    "plotting": Row("records intervals bounds evidence", "numpy", "matplotlib"),
    "study": Row("records intervals evidence plotting", "numpy click",
                 "jinja2 markupsafe pandas rich llvmlite submitit xarray"),
    "cli": Row("records advice bounds datasets evidence study plotting", "click", "numpy rich"),
}
ADAPTERS = [name for name in LAYERS if "." in name]


class Import(NamedTuple):
    """One import statement: where, from and to which module and layer, and whether it runs when the module loads."""

    place: str
    source: str
    unit: str
    module: str
    target: str
    inside: bool
    loading: bool


def unit_of(parts: tuple[str, ...]) -> str:
    """The row that a dotted name below the package belongs to."""
    two = ".".join(parts[:2])
    return two if two in LAYERS else parts[0] if parts else "__init__"


def module_of(parts: tuple[str, ...]) -> str:
    """The dotted name of a module; a package is told apart from the modules in it by `__init__`."""
    return ".".join((*parts, "__init__") if ROOT.joinpath(*parts).is_dir() else parts)


def is_module(parts: tuple[str, ...]) -> bool:
    path = ROOT.joinpath(*parts)
    return path.is_dir() or path.with_suffix(".py").exists()


def statements(path: Path):
    """(node, runs when the module loads) for every import outside of `if TYPE_CHECKING`."""
    def visit(node, loading):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                for other in child.orelse:
                    yield from visit(other, loading)
                continue
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield child, loading
            yield from visit(child, loading and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), True)


def imports() -> list[Import]:
    """Every import in the package; relative ones resolved."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        package = parts[:-1]
        own = parts[:-1] if parts[-1] == "__init__" else parts
        for node, loading in statements(path):
            place, source, unit = f"{path.relative_to(ROOT.parent)}:{node.lineno}", ".".join(own), unit_of(own)
            if isinstance(node, ast.Import):
                targets = [tuple(a.name.split(".")) for a in node.names]
            elif node.level == 0:
                targets = [tuple(str(node.module).split("."))]
            else:
                base = ("anisotropic", *package[: len(package) - node.level + 1], *(node.module or "").split("."))
                base = tuple(p for p in base if p)
                targets = [(*base, a.name) if is_module((*base[1:], a.name)) else base for a in node.names]
            for target in targets:
                if target[0] == "anisotropic":
                    found.append(Import(place, source, unit, module_of(target[1:]), unit_of(target[1:]), True, loading))
                elif target[0] not in sys.stdlib_module_names:
                    found.append(Import(place, source, unit, target[0], target[0], False, loading))
    return found


IMPORTS = imports()


def test_every_module_has_a_row():
    units = {unit_of(p.relative_to(ROOT).with_suffix("").parts) for p in ROOT.rglob("*.py")}
    assert units - set(LAYERS) == set(), "give each new module a row in LAYERS: which layer is it?"
    assert len(IMPORTS) > 150  # the reader of the source sees something


def test_modules_import_only_what_their_layer_allows():
    wrong = []
    for i in IMPORTS:
        row = LAYERS.get(i.unit, Row())
        if i.inside:
            allowed = {i.unit, "__init__"} | OPEN | set(row.package.split())
            if row.package != "*" and i.target not in allowed:
                wrong.append(f"{i.place}: {i.unit} imports {i.target}")
        else:
            allowed = set(row.outside.split()) | (set() if i.loading else set(row.later.split()))
            if i.target not in allowed:
                wrong.append(f"{i.place}: {i.unit} imports {i.target}{' when it loads' if i.loading else ''}")
    assert wrong == []


def test_layers_have_no_circles():
    """The rows and the imports that are really there can be ordered, lazy ones included."""
    real: dict[str, set[str]] = {}
    for i in IMPORTS:
        if i.inside and i.target not in (i.unit, "__init__") and i.unit != "__init__":
            real.setdefault(i.unit, set()).add(i.target)
    for adapter in ADAPTERS:  # a package names its adapter only as text, when it is asked for
        real.get(adapter.partition(".")[0], set()).discard(adapter)
    order = list(TopologicalSorter(real).static_order())
    assert order.index("records") < order.index("simulation") < order.index("cli")
    list(TopologicalSorter({k: row.package.split() for k, row in LAYERS.items() if row.package != "*"}).static_order())


def test_no_circle_exists_inside_a_package():
    """Imports between modules, lazy ones included; `__init__` only names its modules as text."""
    real: dict[str, set[str]] = {}
    for i in IMPORTS:
        if i.inside and i.module != i.source and not i.module.endswith("__init__"):
            real.setdefault(i.source, set()).add(i.module)
    list(TopologicalSorter(real).static_order())
    assert "simulation.loop" in real["simulation.layout"]  # the reader of the source sees imports inside a package


def test_laws_and_rules_never_know_each_other():
    """What an objective, a noise or an optimizer may import leaves out the others and the kernel, in the table too."""
    nouns = {"problems", "noises", "optimizers", "schedules", "batching"}
    for noun in nouns:
        assert not set(LAYERS[noun].package.split()) & ((nouns - {noun}) | {"simulation", "bounds"})
    assert not set(LAYERS["bounds"].package.split()) & {"simulation", "compiled"}
    assert "numba" not in LAYERS["bounds"].outside + LAYERS["bounds"].later + LAYERS["evidence"].outside


@pytest.mark.parametrize("path", sorted((ROOT.parent / "studies").glob("*.py")), ids=lambda p: p.stem)
def test_studies_use_public_names_only(path):
    for node, _ in statements(path):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else [str(node.module)]
        for name in names:
            first, _, rest = name.partition(".")
            public = first != "anisotropic" or not rest or rest.partition(".")[0] in an.__all__
            assert public, f"{path.name}:{node.lineno} imports {name}"
    used = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "an"
    }
    assert used <= set(an.__all__)


HEAVY = ["numba", "sympy", "scipy", "matplotlib", "torch", "pandas", "sklearn", "cvxpy"]


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import anisotropic", [*HEAVY, "numpy", "click", "rich"]),
        ("from anisotropic.cli import main; main(['--help'])", [*HEAVY, "numpy", "rich"]),
        ("from anisotropic.cli import main; main(['bounds', 'list'])", HEAVY),
        ("import anisotropic.bounds as b; b.convex_adagrad.latex()", ["numba", "matplotlib", "scipy.stats", "torch"]),
        ("import anisotropic.evidence.verdicts, anisotropic.intervals",
         ["numba", "matplotlib", "scipy.stats", "torch"]),
        ("import anisotropic.plotting", ["numba", "sympy", "matplotlib", "scipy.stats"]),
        ("import anisotropic.study", ["numba", "sympy", "matplotlib", "scipy.stats", "pandas"]),
        ("import anisotropic.geometry", ["numba", "scipy.stats", "torch"]),
        ("import anisotropic.simulation.run, anisotropic.problems", ["sympy", "scipy.stats", "matplotlib", "torch"]),
        *(
            (f"import anisotropic.{name}", ["numba", "sympy", "matplotlib", "scipy.stats"])
            for name in ADAPTERS
            if is_module(tuple(name.split(".")))
        ),
    ],
)
def test_an_import_loads_no_more_than_it_needs(code, forbidden):
    """Told by what is loaded in a fresh process, not by a clock."""
    check = f"{code}\nimport sys\nprint('loaded:', *[m for m in {forbidden!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_unknown_public_names_suggest_the_nearest():
    with pytest.raises(AttributeError, match="no name 'simulte'; did you mean 'simulate'"):
        _ = an.simulte
