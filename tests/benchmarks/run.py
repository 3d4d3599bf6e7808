"""How fast is the simulation, against whom? Prints tables; writes docs/benchmarks.md and docs/benchmarks.json.

    python tests/benchmarks/run.py [--quick] [--rounds N] [--out DIR]

`--quick` runs two methods at two sizes in under a minute of CPU time, and writes nothing unless `--out` is given.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def plan(quick: bool) -> Iterator[tuple]:
    """(size, method, theory, drawn) of every row."""
    from cells import METHODS, SIZES

    for theory in (True,) if quick else (True, False):
        for drawn in (False,) if quick else (False, True):
            for method in ("sgd", "adagrad") if quick else METHODS:
                for size in (SIZES[0], SIZES[3]) if quick else SIZES:
                    small = size._replace(long=size.long // 4, short=size.short // 4)
                    yield (small if quick else size), method, theory, drawn


def one_processor() -> None:
    """Keep this process, and the thread pools that libraries make at import, on one processor."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def vector() -> str:
    """The widest vector instructions that the compiler may use."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    return next((n for n, k in (("AVX-512", "avx512f"), ("AVX2", "avx2"), ("AVX", "avx")) if features.get(k)), "no AVX")


def versions() -> dict[str, str]:
    """What was compared."""
    import subprocess
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("numpy", "numba", "llvmlite", "torch", "jax", "optax"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    try:
        line = subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
        found["gcc"] = line.split()[-1]
    except (FileNotFoundError, subprocess.CalledProcessError):
        found["gcc"] = "absent"
    return found


def main() -> int:
    """Measure, print, write; 1 if two peers did not simulate the same thing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=None, help="default 5, quick 3")
    parser.add_argument("--out", type=Path, default=None, help="folder for the page and the JSON, default docs")
    options = parser.parse_args()
    rounds = options.rounds or (3 if options.quick else 5)
    sys.path.insert(0, str(ROOT))

    import latency

    from anisotropic._support.environment import environment

    print("start-up, threads, memory, batches ...", file=sys.stderr, flush=True)
    report: dict = {"rounds": rounds, "start": latency.start_up(rounds)}
    report |= {"threads": {}, "memory": {}, "batches": {}, "sampler": {}}
    report |= {"environment": environment(ROOT), "versions": versions(), "vector": vector()}
    if not options.quick:
        report["start"] |= latency.first_simulation(rounds)
        report |= {"threads": latency.threads(rounds), "memory": latency.memory()}
    one_processor()

    import measure
    import page

    peers, missing = measure.load()
    if not options.quick:
        report |= {"batches": latency.batches(rounds), "sampler": measure.sampler(rounds)}
    report |= {"peers": list(peers), "missing": missing, "limit": measure.LIMIT}
    report["rows"] = []
    for size, method, theory, drawn in plan(options.quick):
        row = measure.compare(peers, size, method, theory, drawn, rounds)
        report["rows"].append(row)
        line = f"{method}, d = {size.dim}, {row['workload']}, noise {row['noise']}: {row['ns']['ours']:.2f} ns"
        print(line, file=sys.stderr, flush=True)
    print(page.text(report))
    folder = options.out or (None if options.quick else ROOT / "docs")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "benchmarks.md").write_text(page.markdown(report), encoding="utf-8")
        (folder / "benchmarks.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    complaints = [c for row in report["rows"] for c in row["complaints"]]
    for complaint in complaints:
        print(f"DIFFERENT: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
