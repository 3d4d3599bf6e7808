"""What does a user wait for besides the loop? Start-up, compilation, threads, memory, large batches."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

FIRST = """
import numpy as np, anisotropic as an
h = 1 / np.arange(1.0, 101) ** 2
f = an.problems.quadratic(h, center=0.9, box=(-1, 1))
an.simulate(f, an.optimizers.adagrad(step_size=1.4), noise=an.noises.gaussian(np.sqrt(h)), start=0.0, steps=100,
            replicas=4)
"""

VERIFY = ["-m", "anisotropic", "verify", "convex_adagrad", "--quiet"]

#: Peak resident memory above that before the run, in MB, of (steps, replicas) pairs; the peak is reset by the kernel.
MEMORY = """
import json, re, numpy as np, anisotropic as an
d = 200_000
f = an.problems.quadratic(np.ones(d), box=(-1, 1))
def kilobytes(field):
    return int(re.search(field + r":\\s+(\\d+)", open("/proc/self/status").read()).group(1))
def run(steps, replicas, threads):
    an.simulate(f, an.optimizers.adagrad(step_size=1.0), noise=an.noises.gaussian(1.0), start=0.0, steps=steps,
                replicas=replicas, records=1, threads=threads)
run(2, 2, 2)
found = {}
for steps, replicas, threads in ((8, 2, 1), (64, 2, 1), (8, 16, 1), (8, 16, 2)):
    open("/proc/self/clear_refs", "w").write("5")
    before = kilobytes("VmRSS")
    run(steps, replicas, threads)
    found[f"{steps} steps, {replicas} replicas, {threads} threads"] = (kilobytes("VmHWM") - before) / 1024
print(json.dumps(found))
"""


def spent(arguments: list[str], **environment: str) -> tuple[float, float, str]:
    """CPU seconds, wall seconds and output of a new Python process."""
    root = str(Path(__file__).resolve().parents[2])
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": root, **environment}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall, done.stdout


#: What the package imports before it simulates, so that the rest of a first simulation can be told apart.
IMPORTS = "import numba, numba.core.types, anisotropic; anisotropic.simulate, anisotropic.problems, anisotropic.noises"


def middle(arguments: list[str], rounds: int) -> dict[str, float]:
    """Median CPU and wall seconds."""
    seen = [spent(arguments) for _ in range(rounds)]
    return {"cpu": median(s[0] for s in seen), "wall": median(s[1] for s in seen)}


def start_up(rounds: int) -> dict[str, dict[str, float]]:
    """Import and help, against a Python that does nothing and one that imports NumPy."""
    return {
        "python, nothing": middle(["-c", "pass"], rounds),
        "import numpy": middle(["-c", "import numpy"], rounds),
        "import anisotropic": middle(["-c", "import anisotropic"], rounds),
        "anisotropic --help": middle(["-m", "anisotropic", "--help"], rounds),
    }


def first_simulation(rounds: int) -> dict[str, dict[str, float]]:
    """Whole processes that need a kernel: with nothing on disk, with what that one left there, and with no cache."""
    found = {"the imports of a simulation": middle(["-c", IMPORTS], rounds)}
    for name, arguments in {"first simulation": ["-c", FIRST], "verify convex_adagrad": VERIFY}.items():
        for state in ("empty cache", "kernels on disk", "cache off"):
            seen = []
            for _ in range(rounds):
                with TemporaryDirectory() as folder:
                    place = "off" if state == "cache off" else folder
                    if state == "kernels on disk":
                        spent(arguments, ANISOTROPIC_KERNEL_CACHE=place)
                    seen.append(spent(arguments, ANISOTROPIC_KERNEL_CACHE=place))
            found[f"{name}, {state}"] = {"cpu": median(s[0] for s in seen), "wall": median(s[1] for s in seen)}
    return found


def memory() -> dict[str, float] | str:
    """Peak memory of a run at d = 200,000 (MB), or why it cannot be measured."""
    if not Path("/proc/self/clear_refs").exists():
        return "needs /proc/self/clear_refs (Linux)"
    return json.loads(spent(["-c", MEMORY])[2])


def threads(rounds: int) -> dict[str, float] | str:
    """Wall seconds of the same run on one and on two threads: the best of interleaved rounds."""
    import numpy as np

    import anisotropic as an

    if len(os.sched_getaffinity(0)) < 2:
        return "needs two processors"
    h = 1 / np.arange(1.0, 101) ** 2
    f, method = an.problems.quadratic(h, center=0.9, box=(-1, 1)), an.optimizers.adagrad(1.0)
    seen: dict[int, list[float]] = {1: [], 2: []}
    for i in range(rounds + 1):
        for count, walls in seen.items():
            start = time.perf_counter()
            noise = an.noises.gaussian(np.sqrt(h))
            an.simulate(f, method, noise=noise, start=0.0, steps=2000, replicas=256, threads=count)
            if i:
                walls.append(time.perf_counter() - start)
    return {"one": min(seen[1]), "two": min(seen[2]), "ratio": min(seen[1]) / min(seen[2])}


def batches(rounds: int) -> dict[str, float]:
    """CPU ns per coordinate-step under Rademacher noise: a batch of 2 and one of 10^9."""
    import numpy as np

    import anisotropic as an

    f = an.problems.quadratic(np.ones(100), box=(-1, 1))
    seen: dict[int, list[float]] = {2: [], 10**9: []}
    for i in range(rounds + 1):
        for batch, seconds in seen.items():
            start = time.process_time()
            size = {"steps": 500, "replicas": 16, "batch_size": batch, "threads": 1}
            an.simulate(f, an.optimizers.sgd(0.1), noise=an.noises.rademacher(1.0), start=0.0, **size)
            if i:
                seconds.append(time.process_time() - start)
    return {f"batch of {batch:,}": median(s) / (100 * 500 * 16) * 1e9 for batch, s in seen.items()}
