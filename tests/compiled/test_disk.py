"""Kernels on disk: the same bits as in memory, never a stale one, and a broken cache costs time and no result."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pytest
from numba import njit

import anisotropic
from anisotropic.compiled import disk, folder
from anisotropic.compiled.disk import KernelsNotKept, ready

PACKAGE = Path(anisotropic.__file__).parent


@njit
def apply(f, x, out):
    """The smallest kernel: f at every entry."""
    for i in range(x.size):
        out[i] = f(x[i])


SHIFT = 1.0


@njit
def shifted(x):
    return x * 3.0 + SHIFT


X = np.arange(4.0)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty folder for kernels, and a process that remembers none."""
    place = tmp_path / "kernels"
    monkeypatch.setenv(folder.SETTING, str(place))
    fresh()
    yield place
    fresh()


def fresh():
    disk._made.clear()
    disk._said.clear()


def results(f, kernel=apply):
    """What the kernel gives for f, and whether it came from disk."""
    out = np.empty(X.size)
    ready(kernel, (f,), (X, out))(X, out)
    (compiled,) = list(disk._made.values())[-1:]
    return out.tolist(), sum(compiled.stats.cache_hits.values()) == 1


def entries(root):
    return sorted(p.name for p in root.iterdir()) if root.exists() else []


def test_a_kernel_is_compiled_once_and_loaded_after(root):
    assert results(shifted) == ([1.0, 4.0, 7.0, 10.0], False)
    first = {p: p.stat().st_mtime_ns for p in root.rglob("*.nb?")}
    assert len(first) == 2 and results(shifted)[1] is False  # this process has it
    fresh()
    assert results(shifted) == ([1.0, 4.0, 7.0, 10.0], True)
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*.nb?")} == first
    assert os.stat(root).st_mode & 0o777 == 0o700


def run(script, *words, cwd=None, **environment):
    """The lines that a script prints in a fresh process."""
    env = os.environ | {"PYTHONPATH": str(PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run(
        [sys.executable, script, *words], env=env, cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()


REPORT = """
import numpy as np
from numba import njit
from anisotropic.compiled import disk
@njit
def apply(f, x, out):
    for i in range(x.size):
        out[i] = f(x[i])
def report(f):
    x, out = np.ones(2), np.empty(2)
    disk.ready(apply, (f,), (x, out))(x, out)
    (made,) = list(disk._made.values())[-1:]
    print(out[0], "loaded" if sum(made.stats.cache_hits.values()) else "compiled")
"""
STUDY = {
    "report.py": REPORT,
    "deep.py": "K = 2.0\n",
    "near.py": "from numba import njit\nimport deep\n@njit\ndef helper(x): return x * deep.K\n",
    "leaves.py": "import numpy as np\nfrom numba import njit\nimport near\n"
    "TABLE = np.array([10.0, 20.0])\nOFFSET = 0.5\n"
    "@njit\ndef leaf(x): return near.helper(x) + TABLE[1] + OFFSET\n",
    "main.py": "import leaves\nfrom report import report\nreport(leaves.leaf)\n",
}
EDITS = [  # file, old, new, result afterwards (22.5 before)
    ("leaves.py", "+ OFFSET", "- OFFSET", "21.5"),
    ("leaves.py", "OFFSET = 0.5", "OFFSET = 0.25", "21.75"),
    ("leaves.py", "20.0]", "30.0]", "31.75"),
    ("near.py", "x * deep.K", "x + deep.K", "32.75"),
    ("deep.py", "2.0", "4.0", "34.75"),
]


def test_no_result_is_stale_after_an_edit(tmp_path):
    """A leaf, its constants and arrays, a helper, and a constant two files away; and the way back is remembered."""
    setting = {folder.SETTING: str(tmp_path / "kernels")}
    for name, text in STUDY.items():
        (tmp_path / name).write_text(text)
    assert run(tmp_path / "main.py", **setting) == ["22.5 compiled"]
    assert run(tmp_path / "main.py", **setting) == ["22.5 loaded"]
    for name, old, new, result in EDITS:
        path = tmp_path / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        assert run(tmp_path / "main.py", **setting) == [f"{result} compiled"]
    for name, text in STUDY.items():
        (tmp_path / name).write_text("\n\n# at another place\n" + text)
    assert run(tmp_path / "main.py", **setting) == ["22.5 loaded"]


def test_an_edit_of_the_package_is_seen(tmp_path):
    setting = {folder.SETTING: str(tmp_path / "kernels"), "PYTHONPATH": str(tmp_path)}
    shutil.copytree(PACKAGE, tmp_path / "anisotropic", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "main.py").write_text(
        REPORT + "from anisotropic.compiled.elementary import sigmoid\n"
        "@njit\ndef leaf(x): return round(sigmoid(x - 1.0), 3)\nreport(leaf)\n"
    )
    assert run(tmp_path / "main.py", **setting) == ["0.5 compiled"]
    assert run(tmp_path / "main.py", **setting) == ["0.5 loaded"]
    path = tmp_path / "anisotropic" / "compiled" / "elementary.py"
    assert "p = 1.0 / (1.0 + e)" in path.read_text()
    path.write_text(path.read_text().replace("p = 1.0 / (1.0 + e)", "p = 1.0 / (3.0 + e)"))
    assert run(tmp_path / "main.py", **setting) == ["0.25 compiled"]


def test_scripts_notebooks_and_records_of_their_own_are_kept_too(tmp_path):
    """Functions of __main__, of code without a file and of a closure, and parameters of a class from there."""
    setting = {folder.SETTING: str(tmp_path / "kernels")}
    text = REPORT + (
        "from typing import NamedTuple\n"
        "class Mine(NamedTuple):\n    scale: float\n    table: np.ndarray\n"
        "@njit\ndef outer(f, p, out): out[0] = f(p)\n"
        "cell = '@njit\\ndef leaf(p): return p.scale * p.table[1] + K'\n"
        "scope = {'njit': njit, '__name__': '__main__', 'K': 1.0}\nexec(cell, scope)\n"
        "p, out = Mine(2.0, np.array([3.0, 4.0])), np.empty(1)\n"
        "disk.ready(outer, (scope['leaf'],), (p, out))(p, out)\n"
        "made, = disk._made.values()\n"
        "print(out[0], 'loaded' if made.stats.cache_hits else 'compiled')\n"
        "def make(k):\n    @njit\n    def inner(x): return x * k\n    return inner\n"
        "report(make(5.0))\nreport(make(7.0))\n"
    )
    (tmp_path / "script.py").write_text(text)
    assert run(tmp_path / "script.py", **setting) == ["9.0 compiled", "5.0 compiled", "7.0 compiled"]
    assert run(tmp_path / "script.py", **setting) == ["9.0 loaded", "5.0 loaded", "7.0 loaded"]
    (tmp_path / "script.py").write_text(text.replace("'K': 1.0", "'K': 2.0").replace("x * k", "x + k"))
    assert run(tmp_path / "script.py", **setting) == ["10.0 compiled", "6.0 compiled", "8.0 compiled"]


SIMULATION = """
import hashlib
import numpy as np
import anisotropic as an
from anisotropic.compiled import disk
def digest(run):
    names = ("gap", "mean_gap", "average_gap", "gradient_l1", "gradient_l2_squared", "batch_size")
    return hashlib.sha256(b"".join(np.ascontiguousarray(run[n]).tobytes() for n in names)).hexdigest()
@an.leaf
def largest(w, gradient, params):
    top = 0.0
    for j in range(w.size):
        top = max(top, abs(w[j]))
    return top
h = 1 / np.arange(1.0, 21) ** 2
f, noise = an.problems.quadratic(h, center=0.9, box=(-1, 1)), an.noises.gaussian(np.sqrt(h))
common = dict(start=0.0, steps=50, replicas=20, threads=1)
print(digest(an.simulate(f, an.optimizers.adagrad(0.5), noise=noise, measures={"m": largest}, **common)))
X = np.random.default_rng(0).standard_normal((30, 6))
rows = an.problems.logistic_regression(X, np.sign(X[:, 0] + 0.1), l2=0.1)
rule = an.batching.norm_test(0.7)
print(digest(an.simulate(rows, an.optimizers.sgd(0.1), noise=an.noises.minibatch(), batch_size=rule, **common)))
print(sum(bool(k.stats.cache_hits) for k in disk._made.values()), len(disk._made))
"""


def test_simulations_give_the_same_bits_on_disk_and_in_memory(tmp_path):
    """A tile of replicas with a measure, and a finite sum under a batch rule: compiled, loaded, and never kept."""
    (tmp_path / "script.py").write_text(SIMULATION)
    kept = {folder.SETTING: str(tmp_path / "kernels")}
    first, second = run(tmp_path / "script.py", **kept), run(tmp_path / "script.py", **kept)
    off = run(tmp_path / "script.py", **{folder.SETTING: "off"})
    assert first[:2] == second[:2] == off[:2]
    assert (first[2], second[2], off[2]) == ("0 3", "3 3", "0 3")


def test_two_processes_fill_the_folder_at_once(tmp_path):
    (tmp_path / "report.py").write_text(REPORT)
    (tmp_path / "main.py").write_text(
        "import sys, time\nfrom report import *\n@njit\ndef leaf(x): return x + 41.0\n"
        "open(sys.argv[1], 'w').close()\n"
        "from pathlib import Path\n"
        "while len(list(Path(sys.argv[1]).parent.glob('at-*'))) < 3: time.sleep(0.001)\nreport(leaf)\n"
    )
    env = os.environ | {"PYTHONPATH": str(PACKAGE.parent), folder.SETTING: str(tmp_path / "kernels")}
    words = [[sys.executable, tmp_path / "main.py", tmp_path / f"at-{i}"] for i in range(3)]
    jobs = [subprocess.Popen(w, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for w in words]
    for job in jobs:
        out, err = job.communicate(timeout=300)
        assert (job.returncode, out.split()[0], err) == (0, "42.0", "")
    (entry,) = (tmp_path / "kernels").iterdir()
    assert folder.whole(entry, {})
    assert run(tmp_path / "main.py", tmp_path / "at-3", **{folder.SETTING: env[folder.SETTING]}) == ["42.0 loaded"]


def damage(entry, how):
    compiled, index = next(entry.rglob("*.nbc")), next(entry.rglob("*.nbi"))
    source = next(entry.glob("*.py"))
    if how == "code cut short":
        compiled.write_bytes(compiled.read_bytes()[:-100])
    elif how == "one bit of the code":
        data = bytearray(compiled.read_bytes())
        data[len(data) // 2] ^= 1
        compiled.write_bytes(data)
    elif how == "index empty":
        index.write_bytes(b"")
    elif how == "code gone":
        compiled.unlink()
    elif how == "text tampered with":
        source.write_text(source.read_text().replace("f(x[i])", "-f(x[i])"))
    elif how == "text and digest tampered with":
        source.write_text("raise SystemExit('executed')\n")
        sign(entry)
    elif how == "a file too many":
        (entry / "__pycache__" / "more.nbc").write_bytes(b"x")
    elif how == "digests gone":
        (entry / folder.DIGESTS).unlink()
    elif how == "digests no JSON":
        (entry / folder.DIGESTS).write_text("{")
    elif how == "digests a list":
        (entry / folder.DIGESTS).write_text("[]")
    elif how == "code that cannot be loaded, with its digest":
        compiled.write_bytes(b"no pickle")
        sign(entry)
    elif how == "index of another version, with its digest":
        import pickle

        index.write_bytes(pickle.dumps("0.0") + pickle.dumps(None))
        sign(entry)
    elif how == "an empty folder":
        shutil.rmtree(entry)
        entry.mkdir()
    elif how == "a file in place of it":
        shutil.rmtree(entry)
        entry.write_text("x")


def sign(entry):
    """Digests that fit what is there now, as an attacker would write them."""
    import hashlib

    files = {n: hashlib.sha256((entry / n).read_bytes()).hexdigest() for n in folder._names(entry)}
    (entry / folder.DIGESTS).write_text(json.dumps(files))


@pytest.mark.parametrize(
    "how",
    [
        "code cut short", "one bit of the code", "index empty", "code gone", "text tampered with",
        "text and digest tampered with", "a file too many", "digests gone", "digests no JSON", "digests a list",
        "code that cannot be loaded, with its digest", "index of another version, with its digest", "an empty folder",
        "a file in place of it",
    ],
)  # fmt: skip
def test_a_damaged_entry_is_made_anew(root, how):
    expected, _ = results(shifted)
    (name,) = entries(root)
    damage(root / name, how)
    fresh()
    assert results(shifted) == (expected, False)
    assert entries(root) == [name] and folder.whole(root / name, {})
    fresh()
    assert results(shifted) == (expected, True)


def refused(f=shifted):
    """The warning of a folder that cannot be used; the result is right all the same, and the warning comes once."""
    with pytest.warns(KernelsNotKept) as seen:
        assert results(f) == ([1.0, 4.0, 7.0, 10.0], False)
    disk._made.clear()
    assert results(f) == ([1.0, 4.0, 7.0, 10.0], False)  # silent: warnings are errors here
    (warning,) = seen
    return str(warning.message)


def test_a_folder_that_others_can_enter_is_not_used(root):
    root.mkdir()
    root.chmod(0o777)
    assert "is open to others (mode 777; expected 700); see ANISOTROPIC_KERNEL_CACHE" in refused()
    assert entries(root) == []


def test_a_folder_of_another_user_is_not_used(root, monkeypatch):
    root.mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert "belongs to user" in refused() and entries(root) == []


def test_a_link_is_not_followed(root, tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    root.symlink_to(tmp_path / "real")
    assert "is a link" in refused() and entries(tmp_path / "real") == []


def test_a_file_in_place_of_the_folder(root):
    root.write_text("mine")
    assert "is no folder" in refused() and root.read_text() == "mine"


def test_a_folder_that_cannot_be_made(root, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(folder.SETTING, str(tmp_path / "file" / "kernels"))
    assert "cannot be made: " in refused()


@pytest.mark.parametrize("word", ["0", "no", "kernels/here"])
def test_the_setting_is_off_or_an_absolute_path(root, monkeypatch, word):
    monkeypatch.setenv(folder.SETTING, word)
    assert f"ANISOTROPIC_KERNEL_CACHE = '{word}'; expected 'off' or an absolute path" in refused()


def test_off_keeps_nothing_and_says_nothing(root, monkeypatch):
    monkeypatch.setenv(folder.SETTING, "off")
    assert results(shifted) == ([1.0, 4.0, 7.0, 10.0], False)
    assert not root.exists() and folder.chosen() is None


def test_the_folder_of_the_platform(monkeypatch, tmp_path):
    monkeypatch.delenv(folder.SETTING, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder.chosen() == tmp_path / "anisotropic" / "kernels"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert folder.chosen() == tmp_path / ".cache" / "anisotropic" / "kernels"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert folder.chosen() == tmp_path / "Library" / "Caches" / "anisotropic" / "kernels"

    def homeless():
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(folder.Unusable, match="no home directory is known; set ANISOTROPIC_KERNEL_CACHE"):
        folder.chosen()


@pytest.mark.parametrize("where", ["mkdtemp", "rename", "save_data", "save_index", "write"])
def test_a_full_disk_costs_the_entry_and_not_the_kernel(root, monkeypatch, where):
    from numba.core.caching import IndexDataCacheFile

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    root.mkdir(mode=0o700)
    with monkeypatch.context() as broken:
        if where == "mkdtemp":
            broken.setattr(folder.tempfile, "mkdtemp", full)
        elif where == "rename":
            broken.setattr(folder.os, "rename", full)
        elif where == "write":
            broken.setattr(Path, "write_text", full)
        else:
            broken.setattr(IndexDataCacheFile, f"_{where}", full)
        assert "No space left on device" in refused()
    assert entries(root) == []
    fresh()
    assert results(shifted)[1] is False and len(entries(root)) == 1


def test_old_kernels_go_first_when_the_folder_is_full(tmp_path):
    for age, name in enumerate(["newest", "middle", "oldest"]):
        entry = tmp_path / name
        (entry / "__pycache__").mkdir(parents=True)
        (entry / "__pycache__" / "x.nbc").write_bytes(bytes(1000))
        (entry / folder.DIGESTS).write_text("{}")
        os.utime(entry / folder.DIGESTS, (1e9 - age, 1e9 - age))
    for name, age in (("new-1", 7200), ("new-2", 0), ("old-1", 7200)):
        (tmp_path / name).mkdir()
        stamp = (tmp_path / name).stat().st_mtime - age
        os.utime(tmp_path / name, (stamp, stamp))
    folder.bound(tmp_path, 2500)
    assert entries(tmp_path) == ["middle", "new-2", "newest"]
    folder.used(tmp_path / "middle")
    folder.bound(tmp_path, 1500)
    assert entries(tmp_path) == ["middle", "new-2"]


def test_the_folder_stays_bounded_while_kernels_come(root, monkeypatch):
    results(shifted)
    size = sum(p.stat().st_size for p in root.rglob("*") if p.is_file())
    monkeypatch.setattr(folder, "LIMIT", int(1.5 * size))
    (old,) = entries(root)
    os.utime(root / old / folder.DIGESTS, (1e9, 1e9))

    @njit
    def other(x):
        return x - 3.0

    results(other)
    assert len(entries(root)) == 1 and entries(root) != [old]


def test_without_the_compiler_nothing_is_kept(root, monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)

    def kernel(f, x):
        return f(x) + 1

    assert ready(kernel, (lambda x: 2 * x,), (3.0,))(3.0) == 7.0 and not root.exists()


def entry_name(f=shifted):
    types = tuple(numba.typeof(v) for v in (X, X))
    return disk._entry_name(apply, (f, None), types, [])


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("CPU_NAME", "nocona", True), ("CPU_FEATURES", "+avx2", True), ("OPT", 1, True), ("BOUNDSCHECK", 1, True),
        ("LOOP_VECTORIZE", 0, True), ("NUMBA_NUM_THREADS", 17, False), ("CACHE_DIR", "/elsewhere", False),
    ],
)  # fmt: skip
def test_settings_that_change_machine_code_have_entries_of_their_own(monkeypatch, name, value, other):
    before = entry_name()
    monkeypatch.setattr(numba.config, name, value)
    assert (entry_name() != before) is other


@pytest.mark.parametrize("of", ["numba", "llvmlite", "numpy", "python", "cpu", "features"])
def test_versions_and_processors_have_entries_of_their_own(monkeypatch, of):
    before = entry_name()
    if of in ("numba", "llvmlite", "numpy"):
        monkeypatch.setattr(sys.modules[of], "__version__", "99")
    elif of == "python":
        monkeypatch.setattr(disk.platform, "python_version", lambda: "3.99.0")
    elif of == "cpu":
        monkeypatch.setattr(disk.llvm, "get_host_cpu_name", lambda: "abacus")
    else:
        features = disk.llvm.get_host_cpu_features()
        features["beads"] = True
        monkeypatch.setattr(disk.llvm, "get_host_cpu_features", lambda: features)
    assert entry_name() != before


def test_the_cache_lies_in_our_folder_wherever_numba_keeps_others(root, tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "elsewhere"))
    assert results(shifted)[1] is False and len(list(root.rglob("*.nbc"))) == 1
    assert str(tmp_path / "elsewhere") == numba.config.CACHE_DIR and not (tmp_path / "elsewhere").exists()
    fresh()
    assert results(shifted)[1] is True


def test_a_constant_that_changed_after_an_earlier_compilation_counts(root, monkeypatch):
    """Numba keeps the constants of the first compilation; the copies in a kernel have those of now."""
    assert shifted(1.0) == 4.0
    assert results(shifted)[0][1] == 4.0
    monkeypatch.setitem(globals(), "SHIFT", 2.0)
    fresh()
    assert shifted(1.0) == 4.0
    assert results(shifted) == ([2.0, 5.0, 8.0, 11.0], False)


class Mine(NamedTuple):
    """Parameters of a class from here."""

    scale: float
    inner: tuple


class Inner(NamedTuple):
    """Parameters inside parameters."""

    table: np.ndarray


@njit
def from_params(f, params, out):
    out[0] = f(params)


@njit
def product(params):
    return params.scale * params.inner.table[1]


def test_records_of_ones_own_are_kept(root):
    params, out = Mine(2.0, Inner(np.array([3.0, 4.0]))), np.empty(1)
    for loaded in (False, True):
        kernel = ready(from_params, (product,), (params, out))
        kernel(params, out)
        (made,) = disk._made.values()
        assert out[0] == 8.0 and bool(made.stats.cache_hits) is loaded
        kernel(params._replace(scale=3.0), out)
        assert out[0] == 12.0
        fresh()


@njit
def fibonacci(x):
    if x < 2.0:
        return x
    return fibonacci(x - 1.0) + fibonacci(x - 2.0)


LARGE = np.ones(200_000)


@njit
def first_of_large(x):
    return LARGE[int(x)] * x


@pytest.mark.parametrize(("f", "result"), [(fibonacci, 2.0), (first_of_large, 3.0)])
def test_what_cannot_be_kept_is_compiled_in_memory(root, f, result):
    """A recursion is called and not inlined; a large global array is known by its address."""
    assert results(f)[0][3] == result
    assert entries(root) == []


def test_what_has_no_fingerprint_is_compiled_in_memory(root, monkeypatch):
    def nothing(function):
        raise disk.NoFingerprint("no fingerprint")

    monkeypatch.setattr(disk, "of_function", nothing)
    assert results(shifted) == ([1.0, 4.0, 7.0, 10.0], False) and entries(root) == []


def test_an_overload_of_the_users_keeps_kernels_in_memory(tmp_path):
    """A kernel may reach it without naming it."""
    (tmp_path / "script.py").write_text(
        REPORT + "from numba.extending import register_jitable\n@register_jitable\ndef g(x): return x + 1\n"
        "@njit\ndef leaf(x): return g(x)\nreport(leaf)\n"
    )
    for _ in range(2):
        assert run(tmp_path / "script.py", **{folder.SETTING: str(tmp_path / "kernels")}) == ["2.0 compiled"]


def test_a_function_that_does_not_compile_says_so_and_leaves_nothing(root):
    @njit
    def wrong(x):
        return x.nothing

    with pytest.raises(numba.TypingError, match="nothing"):
        results(wrong)
    assert entries(root) == []


def test_every_leaf_of_the_package_is_always_inlined():
    """Or kernels with it would not be kept: a call that is left over has other bits in another process."""
    import importlib
    import pkgutil

    leaves = {}
    for module in pkgutil.walk_packages(anisotropic.__path__, "anisotropic."):
        if module.name.split(".")[1] in ("compiled", "problems", "noises", "optimizers", "schedules", "batching"):
            if module.name.startswith("anisotropic.batching.torch"):
                continue
            found = vars(importlib.import_module(module.name))
            leaves |= {f"{module.name}.{k}": v for k, v in found.items() if hasattr(v, "targetoptions")}
    loose = [
        name
        for name, leaf in leaves.items()
        if not leaf.targetoptions.get("forceinline") and leaf.targetoptions.get("inline") != "always"
    ]
    assert len(leaves) > 50 and loose == []
