"""The fingerprint of code: what changes a number changes it, and nothing else does."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numba
import numpy as np
import pytest

import anisotropic
from anisotropic._support import fingerprint
from anisotropic._support.fingerprint import (
    NoFingerprint,
    of_function,
    of_source,
    origin,
    package_digest,
    walk,
)

PACKAGE = Path(anisotropic.__file__).parent


def f_of(text: str, name: str = "f"):
    """The function `name` of a text that runs nowhere on disk, as in a notebook."""
    scope = {"__name__": "__main__", "__builtins__": __builtins__}
    exec(text, scope)
    return scope[name]


CHANGES = {
    "body": ("def f(x): return x + 1", "def f(x): return x + 2"),
    "constant": ("K = 1\ndef f(x): return x * K", "K = 2\ndef f(x): return x * K"),
    "sign of zero": ("K = 0.0\ndef f(x): return x * K", "K = -0.0\ndef f(x): return x * K"),
    "type of a constant": ("K = 1\ndef f(x): return x * K", "K = 1.0\ndef f(x): return x * K"),
    "array": (
        "import numpy as np\nA = np.arange(5.0)\ndef f(x): return A[x]",
        "import numpy as np\nA = np.arange(5.0); A[3] = 7\ndef f(x): return A[x]",
    ),
    "type of an array": (
        "import numpy as np\nA = np.zeros(2, np.int64)\ndef f(x): return A[x]",
        "import numpy as np\nA = np.zeros(2, np.float64)\ndef f(x): return A[x]",
    ),
    "array in a dict in a list": (
        "import numpy as np\nA = [{'a': np.array([1, 2])}]\ndef f(x): return A[0]['a'][x]",
        "import numpy as np\nA = [{'a': np.array([1, 3])}]\ndef f(x): return A[0]['a'][x]",
    ),
    "helper": (
        "def g(x): return x\ndef f(x): return g(x)",
        "def g(x): return -x\ndef f(x): return g(x)",
    ),
    "helper of a helper": (
        "def h(x): return 1\ndef g(x): return h(x)\ndef f(x): return g(x)",
        "def h(x): return 2\ndef g(x): return h(x)\ndef f(x): return g(x)",
    ),
    "default": ("def f(x, k=1): return x * k", "def f(x, k=2): return x * k"),
    "keyword default": ("def f(x, *, k=1): return x * k", "def f(x, *, k=2): return x * k"),
    "closure": (
        "def make(k):\n    def f(x): return x * k\n    return f\nf = make(1)",
        "def make(k):\n    def f(x): return x * k\n    return f\nf = make(100)",
    ),
    "nested function": (
        "def f(x):\n    def g(y): return y + 1\n    return g(x)",
        "def f(x):\n    def g(y): return y + 2\n    return g(x)",
    ),
    "global of a nested function": (
        "K = 1\ndef f(x): return [K for _ in range(x)]",
        "K = 2\ndef f(x): return [K for _ in range(x)]",
    ),
    "default of a record": (
        "from typing import NamedTuple\nclass P(NamedTuple):\n    a: float = 1.0\ndef f(x): return P().a * x",
        "from typing import NamedTuple\nclass P(NamedTuple):\n    a: float = 2.0\ndef f(x): return P().a * x",
    ),
    "order of a record": (
        "from typing import NamedTuple\nclass P(NamedTuple):\n    a: int\n    b: int\ndef f(x): return P(x, 2).a",
        "from typing import NamedTuple\nclass P(NamedTuple):\n    b: int\n    a: int\ndef f(x): return P(x, 2).a",
    ),
    "method": (
        "class C:\n    def m(self): return 1\nc = C()\ndef f(x): return c.m()",
        "class C:\n    def m(self): return 2\nc = C()\ndef f(x): return c.m()",
    ),
    "base class": (
        "class B:\n    k = 1\nclass C(B): pass\ndef f(x): return C.k",
        "class B:\n    k = 2\nclass C(B): pass\ndef f(x): return C.k",
    ),
    "state of an object": (
        "class C: pass\nc = C(); c.k = 1\ndef f(x): return c.k",
        "class C: pass\nc = C(); c.k = 2\ndef f(x): return c.k",
    ),
    "dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass C:\n    k: int = 1\ndef f(x): return C().k",
        "from dataclasses import dataclass\n@dataclass\nclass C:\n    k: int = 2\ndef f(x): return C().k",
    ),
    "enum": (
        "import enum\nclass E(enum.Enum):\n    A = 1\ndef f(x): return E.A.value",
        "import enum\nclass E(enum.Enum):\n    A = 2\ndef f(x): return E.A.value",
    ),
    "set": ("S = {'a', 'b'}\ndef f(x): return x in S", "S = {'a', 'c'}\ndef f(x): return x in S"),
    "order of a dict": (
        "S = {'a': 1, 'b': 2}\ndef f(x): return next(iter(S))",
        "S = {'b': 2, 'a': 1}\ndef f(x): return next(iter(S))",
    ),
    "behind a cache": (
        "import functools\n@functools.lru_cache\ndef g(x): return x\ndef f(x): return g(x)",
        "import functools\n@functools.lru_cache\ndef g(x): return -x\ndef f(x): return g(x)",
    ),
    "argument of a partial": (
        "import functools\ndef g(k, x): return k\nf = functools.partial(g, 1)",
        "import functools\ndef g(k, x): return k\nf = functools.partial(g, 2)",
    ),
    "function of an installed package": (
        "import numpy as np\ndef f(x): return np.sin(x)",
        "import numpy as np\ndef f(x): return np.cos(x)",
    ),
    "name imported from an installed package": (
        "from numpy import sin as g\ndef f(x): return g(x)",
        "from numpy import cos as g\ndef f(x): return g(x)",
    ),
    "function of this package": (
        "import anisotropic as an\ndef f(x): return an.optimizers.sgd(x)",
        "import anisotropic as an\ndef f(x): return an.optimizers.adagrad(x)",
    ),
    "record of this package": (
        "import anisotropic as an\nF = an.problems.quadratic([1.0, 2.0])\ndef f(x): return F.value(x, F.params)",
        "import anisotropic as an\nF = an.problems.quadratic([1.0, 3.0])\ndef f(x): return F.value(x, F.params)",
    ),
    "compiled helper": (
        "from numba import njit\n@njit\ndef g(x): return x\n@njit\ndef f(x): return g(x)",
        "from numba import njit\n@njit\ndef g(x): return -x\n@njit\ndef f(x): return g(x)",
    ),
    "option of the compiler": (
        "from numba import njit\n@njit(fastmath={'nsz'})\ndef f(x): return x",
        "from numba import njit\n@njit(fastmath={'nsz', 'reassoc'})\ndef f(x): return x",
    ),
    "late definition": ("def f(x): return g(x)", "def f(x): return g(x)\ndef g(x): return x"),
    "exception table": (
        "def f(x):\n    try:\n        return x\n    except ValueError:\n        return 0",
        "def f(x):\n    try:\n        return x\n    except TypeError:\n        return 0",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_function_reaches_changes_its_fingerprint(name):
    before, after = CHANGES[name]
    assert of_function(f_of(before)) == of_function(f_of(before))
    assert of_function(f_of(before)) != of_function(f_of(after))


KEPT = {
    "place and comments": ("def f(x): return x + 1", "\n\n# text\ndef f(x):\n    # why\n    return x + 1"),
    "a global that it does not name": ("K = 1\ndef f(x): return x", "K = 2\ndef f(x): return x"),
    "an address": ("class C: pass\nc = C()\ndef f(x): return c", "z = 9\nclass C: pass\nc = C()\ndef f(x): return c"),
    "other code beside it": ("def f(x): return x", "def plot(r): return r\ndef f(x): return x"),
    "annotations": ("def f(x): return x", "def f(x: 'float') -> 'float': return x"),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_what_it_does_not_reach_leaves_it_alone(name):
    before, after = KEPT[name]
    assert of_function(f_of(before)) == of_function(f_of(after))


CIRCLES = {
    "functions": "def g(n): return f(n - 1)\ndef f(n): return {} if n < 0 else g(n)",
    "a list that holds itself": "L = [{}]\nL.append(L)\ndef f(x): return L",
    "a set of functions that name it": "def f(x): return S, {}\nS = {{f}}",
    "an object that knows itself": "class C: pass\nc = C(); c.me = c; c.k = {}\ndef f(x): return c",
}


@pytest.mark.parametrize("name", CIRCLES)
def test_circles_end(name):
    one, two = (of_function(f_of(CIRCLES[name].format(k))) for k in (1, 2))
    assert one != two and one == of_function(f_of(CIRCLES[name].format(1)))


def test_another_process_gets_the_same(tmp_path):
    """Sets of texts, objects and functions, under other hash seeds and at another place."""
    text = (
        "import sys\nfrom anisotropic._support.fingerprint import of_function, of_source\n"
        "import numpy as np, anisotropic as an\n"
        "S, O = {'a', 'b', 'c', (1, 'd')}, object()\nF = an.problems.quadratic([1.0, 2.0])\n"
        "def g(x): return {'u', 'v', 'w'} & S\ndef f(x): return g(x), O, F, np.linalg.norm(x), __file__, len(x)\n"
        "print(of_function(f), of_source(__file__))\n"
    )
    found = set()
    for seed in "123":
        path = tmp_path / seed / "s.py"
        path.parent.mkdir()
        path.write_text(text)
        found.add(python(path, PYTHONHASHSEED=seed))
    assert len(found) == 1 and len(found.pop().split()) == 2


def python(path, cwd=None, **environment):
    """What a script prints in a fresh process."""
    place = environment.pop("PYTHONPATH", str(PACKAGE.parent))
    env = os.environ | {"PYTHONPATH": place, "PYTHONDONTWRITEBYTECODE": "1"} | environment
    done = subprocess.run([sys.executable, path], env=env, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Writes modules into a folder on the path and forgets the loaded ones of the same names."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two versions of one second look alike to Python's own cache
    ours = set(sys.modules)

    def write(texts=()):
        for name, text in dict(texts).items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        for name in set(sys.modules) - ours:
            if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]

    yield write
    write()


def test_helpers_two_modules_away_count(modules):
    text = "import near1\ndef f(x): return near1.g(x)"
    near = "import deep1\ndef g(x): return deep1.K * x\ndef other(x): return x"
    modules({"near1.py": near, "deep1.py": "K = 1\nUNUSED = 1"})
    first = of_function(f_of(text))
    modules({"deep1.py": "K = 100\nUNUSED = 1"})
    second = of_function(f_of(text))
    modules({"deep1.py": "K = 1\nUNUSED = 2"})
    third = of_function(f_of(text))
    modules({"near1.py": near.replace("*", "+")})
    assert first == third != second and of_function(f_of(text)) not in (first, second)


def test_packages_and_modules_used_as_values_count(modules):
    text = "import pack1.inner\ndef f(x): return pack1.inner.g(x)"
    inner = "from . import low\ndef g(x): return low.K"
    modules({"pack1/__init__.py": "", "pack1/inner.py": inner, "pack1/low.py": "K = 1"})
    first = of_function(f_of(text))
    modules({"pack1/low.py": "K = 2"})
    assert of_function(f_of(text)) != first
    whole = "import deep2\ndef f(x): return getattr(deep2, x)"
    modules({"deep2.py": "K = 1"})
    first = of_function(f_of(whole))
    modules({"deep2.py": "K = 2"})
    assert of_function(f_of(whole)) != first


def test_imports_inside_a_function_count(modules):
    text = "def f(x):\n    from near3 import g\n    return g(x)"
    modules({"near3.py": "from deep3 import K\ndef g(x): return K", "deep3.py": "K = 1"})
    first = of_function(f_of(text))
    modules({"deep3.py": "K = 2"})
    assert of_function(f_of(text)) != first


def test_installed_packages_count_by_version(monkeypatch):
    text = "import numpy as np\ndef f(x): return np.sin(x)"
    first = of_function(f_of(text))
    monkeypatch.setattr(origin, "_version", lambda top: "99.0")
    origin._of_file.cache_clear()
    try:
        assert of_function(f_of(text)) != first
    finally:
        origin._of_file.cache_clear()


def test_the_package_counts_as_a_whole(monkeypatch, tmp_path):
    path = tmp_path / "s.py"
    path.write_text("AXES = {}")
    before = of_function(f_of("def f(x): return x")), of_source(path)
    monkeypatch.setattr(fingerprint, "package_digest", lambda: "0" * 64)
    after = of_function(f_of("def f(x): return x")), of_source(path)
    assert before[0] != after[0] and before[1] != after[1]


def test_jit_functions_of_the_package_are_not_walked():
    """Their digest is that of the package and their name, so a thousand globals behind them cost nothing."""
    value = anisotropic.problems.quadratic(1.0).value
    assert of_function(value) == of_function(value) != of_function(anisotropic.problems.quadratic(1.0).gradient)


def test_what_has_no_fingerprint_is_named(monkeypatch, tmp_path):
    with open(tmp_path / "x", "w") as file:
        g = f_of("def g(x): return table.read()\ndef f(x): return g(x)")
        g.__globals__["table"] = file
        with pytest.raises(NoFingerprint, match=r"f -> g -> table has no fingerprint: it is a _io.TextIOWrapper"):
            of_function(g)
    g.__globals__["table"] = threading.Lock()
    with pytest.raises(NoFingerprint, match="_thread.lock"):
        of_function(g)
    g.__globals__["table"] = [1, {"a": time.sleep}]
    known = walk.of_module
    monkeypatch.setattr(walk, "of_module", lambda name: origin.Origin("user") if name == "time" else known(name))
    with pytest.raises(NoFingerprint, match=r"table -> \[1\] -> \['a'\] .* 'time.sleep' of a compiled extension"):
        of_function(g)


def test_numba_functions_and_python_functions_differ():
    def g(x):
        return x

    assert of_function(g) != of_function(numba.njit(g)) != of_function(numba.njit(fastmath=True)(g))


@pytest.mark.parametrize("place", ["one", "site-packages/package/_studies"])  # studies may come in a wheel
def test_of_source_follows_imports(tmp_path, place):
    folder = tmp_path / place
    (folder / "pack").mkdir(parents=True)
    texts = {
        "s.py": "import near, pack.tool\nimport numpy, json, anisotropic\nfrom importlib import import_module\n"
        "late = import_module('late')\nAXES = {'n': [1]}\ndef cell(n): return {'y': near.f(n)}",
        "near.py": "import deep\ndef f(n): return deep.K * n",
        "deep.py": "K = 1",
        "late.py": "K = 1",
        "pack/__init__.py": "K = 1",
        "pack/tool.py": "from .inner import K",
        "pack/inner.py": "from . import last\nK = last.K",
        "pack/last.py": "K = 1",
    }
    others = {"unused.py": "K = 1", "pack/unused.py": "K = 1", "notes.txt": "K"}
    for name, text in {**texts, **others}.items():
        (folder / name).write_text(text)
    first = of_source(folder / "s.py")
    for name in others:
        (folder / name).write_text("K = 22")
    assert of_source(folder / "s.py") == first
    shutil.copytree(folder, tmp_path / "two")
    assert of_source(tmp_path / "two" / "s.py") == first
    for name, text in texts.items():
        (folder / name).write_text(text + "\nEDITED = 1\n")  # seen although the process has read it before
        assert of_source(folder / "s.py") != first, name
        (folder / name).write_bytes(text.encode().replace(b"\n", b"\r\n"))
        assert of_source(folder / "s.py") == first, name


def test_of_source_takes_a_reduced_text(tmp_path):
    (tmp_path / "s.py").write_text("import near\ndef plot(r): pass")
    (tmp_path / "near.py").write_text("K = 1")
    first = of_source(tmp_path / "s.py", text="import near")
    (tmp_path / "s.py").write_text("import near\ndef plot(r): r.say('new label')")
    assert of_source(tmp_path / "s.py", text="import near") == first != of_source(tmp_path / "s.py")
    (tmp_path / "near.py").write_text("K = 2")
    assert of_source(tmp_path / "s.py", text="import near") != first


def test_of_source_says_what_it_cannot_read(tmp_path):
    with pytest.raises(NoFingerprint, match="cannot read .*s.py: No such file"):
        of_source(tmp_path / "s.py")
    (tmp_path / "s.py").write_text("import near")
    (tmp_path / "near.py").write_text("def (")
    with pytest.raises(NoFingerprint, match="near.py is not Python"):
        of_source(tmp_path / "s.py")


def test_package_digest_sees_an_edit_and_refuses_one_made_while_running(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "anisotropic", ignore=shutil.ignore_patterns("__pycache__"))
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, anisotropic\nfrom anisotropic._support.fingerprint import package_digest, SourceChanged\n"
        "print(package_digest())\n"
        "from pathlib import Path\nfile = Path(anisotropic.__file__).parent / 'noises.py'\n"
        "file.write_text(file.read_text() + '\\n')\n"
        "try: package_digest()\nexcept SourceChanged as e: print(e)\n"
    )
    first, sentence = python(script, PYTHONPATH=str(tmp_path)).splitlines()
    assert first == package_digest()
    assert sentence.startswith("noises.py of the package changed after") and sentence.endswith("restart Python")
    assert python(script, PYTHONPATH=str(tmp_path)).splitlines()[0] != first


def test_a_fingerprint_is_cheap():
    """No clock: a second digest of the package reads no file."""
    package_digest()
    opened = []

    def audit(event, args):
        if event == "open" and watching and str(args[0]).endswith(".py"):
            opened.append(args[0])

    watching = True
    sys.addaudithook(audit)
    package_digest()
    watching = False
    assert opened == []


def test_a_changed_array_gives_another_fingerprint_in_the_same_process():
    f = f_of("import numpy as np\nA = np.zeros(3)\ndef f(x): return A[x]")
    first = of_function(f)
    f.__globals__["A"][1] = np.nextafter(0.0, 1.0)
    assert of_function(f) != first
