"""Does any input end in a traceback, a hang or a crash? ``python tests/fuzz.py 1000000`` tries so many.

Every target takes bytes. It may answer, or refuse with an error of its documented kind whose text is a sentence;
anything else is a finding, and the input is kept. The table goes into docs/explanation/fuzzing.md. Needs atheris.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "explanation" / "fuzzing.md"
MARK = "% The table is written by make fuzz."
#: Seconds that one input may take, and megabytes that the process may fill.
SECONDS, MEGABYTES = 5, 2000

FOLDER = Path(tempfile.mkdtemp())


def refused(error: Exception, *kinds: type[Exception]) -> None:
    """The error is one of the documented kinds, and a sentence."""
    if not isinstance(error, kinds) or len(str(error).split()) < 4:
        raise error


def reader(suffix: str, *names: str) -> Callable[[bytes], None]:
    def target(data: bytes) -> None:
        import anisotropic as an

        path = FOLDER / f"data{suffix}"
        path.write_bytes(data)
        try:
            X, y = an.datasets.load(path)
        except Exception as error:
            refused(error, ValueError)
        else:
            assert X.shape[0] == y.size and set(np.unique(y)) <= {-1.0, 1.0}
            assert np.isfinite(X.data if hasattr(X, "indices") else X).all()

    return target


def saved_run(data: bytes) -> None:
    """A file that claims to be a run."""
    import anisotropic as an

    path = FOLDER / "run.npz"
    path.write_bytes(data)
    try:
        an.load(path)
    except Exception as error:
        refused(error, ValueError)


def manifest(data: bytes) -> None:
    """A file that claims to be the manifest of a study's run, as --from-manifest and status read it."""
    from anisotropic.study import StudyError, manifest as manifests
    from anisotropic.study.command import _read_manifest

    path = FOLDER / manifests.MANIFEST
    path.write_bytes(data)
    manifests.read(FOLDER)

    class Named:
        name = "squares"

    try:
        _read_manifest(path, Named())  # type: ignore[arg-type]
    except Exception as error:
        refused(error, StudyError)


WORDS = (
    "bounds", "show", "evaluate", "list", "convex_sgd", "convex_adagrad", "--json", "--quiet", "--help", "--form",
    "simple", "L=1", "sigma=0.1", "R=1", "D=2", "T=100", "M=4", "step_size=0.1", "L=@/nowhere", "study", "status",
    "errors", "large_batch", "--results", "r", "report", "datasets", "verify", "nothing", "-", "=", "1e400", "nan",
    "\u00e9", "",
)  # fmt: skip


def arguments(data: bytes) -> None:
    """Words after ``anisotropic``: an exit code, and no traceback on stderr."""
    import contextlib

    from anisotropic.cli import main

    words = [WORDS[b] if b < len(WORDS) else chr(b) * (b % 5) for b in data[:8]]
    if words[:1] == ["verify"] or words[:2] == ["study", "run"]:  # these compute; what they refuse is tested elsewhere
        words[0] = "bounds"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.chdir(FOLDER):
        code = main(words)
    assert code in (0, 2, 3, 5) and "Traceback" not in err.getvalue(), (words, code, err.getvalue())


def example_run() -> bytes:
    import anisotropic as an

    f, method, noise = an.problems.quadratic([1.0, 0.5]), an.optimizers.sgd(0.1), an.noises.gaussian(1.0)
    run = an.simulate(f, method, noise=noise, start=1.0, steps=4, replicas=2)
    run.save(FOLDER / "example.npz")
    return (FOLDER / "example.npz").read_bytes()


def example_npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, X=np.eye(2), y=np.array([1.0, -1.0]))
    return file.getvalue()


def example_sparse() -> bytes:
    file = io.BytesIO()
    np.savez(file, data=np.ones(2), indices=np.arange(2), indptr=np.arange(3), shape=(2, 2), y=np.array([1.0, -1.0]))
    return file.getvalue()


#: Name, target, first inputs, share of the inputs.
TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]], float]] = {
    "LIBSVM file": (reader(".svm"), lambda: [b"1 1:0.5 3:1\n-1 2:1e-3\n", b"+1 1:1 # x\n0 2:2"], 0.5),
    "CSV file": (reader(".csv"), lambda: [b"a,b,y\n1,2,1\n3,4,0\n", b"1,2,yes\n3,4,no"], 0.2),
    "NPZ file": (reader(".npz"), lambda: [example_npz(), example_sparse()], 0.1),
    "saved run": (saved_run, lambda: [example_run()], 0.05),
    "manifest": (manifest, lambda: [json.dumps({"study": "squares", "config": {"axes": {}}}).encode(), b"[]"], 0.1),
    "arguments": (arguments, lambda: [bytes([0, 1, 4, 6]), bytes([0, 2, 4, 11, 12, 13, 15, 16, 17])], 0.05),
}


def one(name: str, runs: int, seed: int) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["anisotropic"]):
        import anisotropic.cli
        import anisotropic.datasets.libsvm
        import anisotropic.datasets.tables
        import anisotropic.records.run
        import anisotropic.study.command
        import anisotropic.study.manifest  # noqa: F401
    target, examples, _ = TARGETS[name]
    corpus = Path(tempfile.mkdtemp())
    for i, example in enumerate(examples()):
        (corpus / str(i)).write_bytes(example)
    options = [f"-runs={runs}", f"-seed={seed}", f"-timeout={SECONDS}", f"-rss_limit_mb={MEGABYTES}", "-max_len=4096"]
    kept = ROOT / "results" / "fuzz"
    kept.mkdir(parents=True, exist_ok=True)
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={kept}/{name.replace(' ', '_')}-", str(corpus)], target)
    atheris.Fuzz()


def all_of(runs: int, seed: int = 1) -> int:
    """Fuzz every target, each in a process of its own, and write the page; the number of findings."""
    rows = []
    for name, (_, _, share) in TARGETS.items():
        start, count = time.monotonic(), max(1, int(share * runs))
        done = subprocess.run([sys.executable, __file__, name, str(count), str(seed)], capture_output=True, text=True)
        if done.returncode:
            print(done.stdout, done.stderr, sep="\n")
        seconds, found = time.monotonic() - start, "one" if done.returncode else "none"
        rows.append(f"| {name} | {count:,} | {seconds:.0f} s | {found} |")
        print(rows[-1], flush=True)
    head = "| input | inputs tried | time | findings |\n|---|---:|---:|---|\n"
    if PAGE.exists():
        text = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
        PAGE.write_text(f"{text}{MARK}\n\n{head}" + "\n".join(rows) + "\n", encoding="utf-8")
    return sum(row.endswith("| one |") for row in rows)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        one(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        raise SystemExit(all_of(int(sys.argv[1])))
