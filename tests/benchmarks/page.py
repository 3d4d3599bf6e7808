"""How do the figures reach the reader? A table at 80 columns, a page for the site, JSON."""

from __future__ import annotations

from typing import Any

SHORT = {
    "C fast-math": "C fast",
    "torch f64": "torch",
    "torch f32": "t. f32",
    "optax f64": "optax",
    "optax f32": "o. f32",
}
NAMES = {"sgd": "SGD", "adagrad": "AdaGrad", "adam": "Adam", "adagrad_norm": "AdaGrad-Norm"}

#: Peer, smallest ratio peer / ours, smallest and largest d it is asked at: theory workload, noise in the clock.
TARGETS = (
    ("NumPy", 4.0, 10, 10),
    ("NumPy", 4.5, 100, 100),
    ("NumPy", 5.0, 1000, 100_000),
    ("optax f64", 8.0, 10, 100_000),
    ("torch f64", 8.0, 100, 100_000),
    ("C", 1 / 1.3, 10, 100_000),
    ("C fast-math", 1 / 1.3, 10, 10),
    ("C fast-math", 1 / 1.3, 100, 100_000),
)

#: Largest time per coordinate-step at d = 100,000 in units of that at d = 1,000.
GROWTH = 1.3


def figure(value: float | None) -> str:
    """Three digits at most."""
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 9.995 else (f"{value:.1f}" if value < 99.95 else f"{value:.0f}")


def sections(rows: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Rows by workload and by where the noise is drawn."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["workload"], row["noise"]), []).append(row)
    return found


def table(rows: list[dict[str, Any]], peers: list[str]) -> list[list[str]]:
    """Header and cells: our nanoseconds, then ratios."""
    others = [p for p in peers if p != "ours"]
    lines = [["method", "d", "ours ns", *(SHORT.get(p, p) for p in others)]]
    for row in rows:
        ratios = [figure(row["ratio"].get(p)) for p in others]
        lines.append([NAMES[row["method"]], f"{row['dim']:,}", figure(row["ns"]["ours"]), *ratios])
    return lines


def verdicts(rows: list[dict[str, Any]]) -> list[str]:
    """One sentence for each target: the smallest ratio seen and where."""
    said = []
    asked = [row for row in rows if (row["workload"], row["noise"]) == ("theory", "in the clock")]
    for peer, target, low, high in TARGETS:
        here = [row for row in asked if low <= row["dim"] <= high and peer in row["ratio"]]
        seen = [(row["ratio"][peer], NAMES[row["method"]], row["dim"]) for row in here]
        where = f"d = {low}" if low == high else f"d = {low:,} to {high:,}"
        if not seen:
            said.append(f"{peer}, {where}: not measured")
            continue
        ratio, method, dim = min(seen)
        outcome = "reached" if ratio >= target else "NOT reached"
        found = f"smallest {figure(ratio)} ({method}, d = {dim:,})"
        said.append(f"{peer}, {where}: at least {figure(target)} wanted, {found}: {outcome}")
    ours = {(NAMES[row["method"]], row["dim"]): row["ns"]["ours"] for row in asked}
    growth = [
        (ours[name, 100_000] / ours[name, 1000], name) for name, dim in ours if dim == 1000 and (name, 100_000) in ours
    ]
    if growth:
        ratio, name = max(growth)
        outcome = "reached" if ratio <= GROWTH else "NOT reached"
        found = f"largest {figure(ratio)} ({name})"
        said.append(f"time at d = 100,000 / time at d = 1,000: at most {GROWTH} wanted, {found}: {outcome}")
    return said


def text(report: dict[str, Any]) -> str:
    """The tables for a terminal."""
    out = []
    for (workload, noise), rows in sections(report["rows"]).items():
        lines = table(rows, report["peers"])
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        out.append(f"\n{workload}, noise {noise}: ns per coordinate-step, then peer / ours")
        for line in lines:
            cells = [line[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True)]
            out.append("  ".join(cells).rstrip())
    out += ["", *verdicts(report["rows"]), *others(report)]
    return "\n".join(out)


def seconds(times: dict[str, float]) -> str:
    """CPU and wall."""
    return f"{times['cpu']:.2f} s CPU, {times['wall']:.2f} s wall"


def others(report: dict[str, Any]) -> list[str]:
    """Sentences on everything but the loop."""
    said = [f"{name}: not measured ({reason})" for name, reason in report["missing"].items()]
    if report["sampler"]:
        ours, theirs = report["sampler"].values()
        said.append(f"one normal: {ours:.2f} ns, NumPy SFC64 {theirs:.2f} ns, ratio {theirs / ours:.1f}")
    said += [f"{name}: {seconds(times)}" for name, times in report["start"].items()]
    threads = report["threads"]
    if isinstance(threads, str):
        said.append(f"two threads: not measured ({threads})")
    elif threads:
        said.append(f"two threads: {threads['ratio']:.2f} times as fast as one (wall, best of interleaved runs)")
    if isinstance(report["memory"], str):
        said.append(f"memory: not measured ({report['memory']})")
    else:
        said += [f"peak memory at d = 200,000, {name}: {value:.1f} MB" for name, value in report["memory"].items()]
    said += [f"Rademacher noise, {name}: {value:.0f} ns" for name, value in report["batches"].items()]
    return said


def machine(report: dict[str, Any]) -> list[str]:
    """Where this was measured."""
    e = report["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    return [
        f"* Processor: {e['cpu']}, {report['vector']}, compiled for {e['cpu_target']}, {e['cores']} cores, "
        "of which one is used.",
        f"* System: {e['os']}, Python {e['python']}.",
        f"* Versions: {versions}.",
    ]


INTRODUCTION = """# Speed against peers

Written by `make bench`. One number is the CPU time of one update of one coordinate, in nanoseconds, or the ratio of a
peer's to ours (above 1: the peer is slower). All run in one process on one processor, in turn; the figures are medians
over {rounds} rounds, the ratios medians of the ratios within a round.

The problem is f(w) = (1/2) sum h_j (w_j - 0.9)^2 on [-1, 1]^d with h_j = 1/j^2 and Gaussian noise sqrt(h_j / 64).
*Theory* takes the running means of gap, |grad|_1 and |grad|_2^2 at every step, which theorems bound; *bare* takes
statistics at about 100 records. Every peer projects onto the box and averages the iterates. Before the clock starts,
all peers simulate the same run, and their statistics must agree: to rounding where the noise is the same, within
{limit:g} standard errors where it is not.

Peers: **C** is `reference.c`, the same algorithm with the same random numbers in one fused pass, by `gcc -O3
-march=native` (plain: gcc may then not vectorise roots and sums) and with the fast-math flags of this package's leaves.
**NumPy** uses in-place ufuncs on (replicas, d) arrays and SFC64. **torch** is `torch.optim` with foreach, float64, then
float32; **optax** is one `jit` for the whole run, float64, then float32. Neither has AdaGrad-Norm: there it is written
by hand. Each peer draws normals with its own generator, which is most of its cost; in the tables with noise drawn
beforehand a cycle of four steps' normals is read instead, so that the difference shows the sampler's part.
"""


def markdown(report: dict[str, Any]) -> str:
    """The page for docs/."""
    out = [INTRODUCTION.format(rounds=report["rounds"], limit=report["limit"])]
    for (workload, noise), rows in sections(report["rows"]).items():
        lines = table(rows, report["peers"])
        out += [f"## {workload.capitalize()}, noise {noise}", "", "| " + " | ".join(lines[0]) + " |"]
        out.append("|---|" + "---:|" * (len(lines[0]) - 1))
        out += ["| " + " | ".join(line) + " |" for line in lines[1:]] + [""]
    sizes = {(r["replicas"], r["steps"], r["dim"]): r["timed steps"] for r in report["rows"]}
    out += ["Sizes (replicas, steps, d), and the steps timed, with records in proportion:", ""]
    for (replicas, steps, dim), timed in sizes.items():
        slow = min(timed.values())
        out.append(f"* ({replicas:,}, {steps:,}, {dim:,}): ours and C {timed['ours']:,} steps, other peers {slow:,}.")
    out += ["", "## What was wanted", "", *(f"* {line}." for line in verdicts(report["rows"]))]
    out += ["", "## Besides the loop", "", *(f"* {line}." for line in others(report))]
    return "\n".join([*out, "", "## Where", "", *machine(report), ""])
