"""What does one update of one matrix cost? Ours in a compiled loop, a NumPy loop, batched NumPy, and PyTorch's Muon.

    python tests/benchmarks/matrix_updates.py

One thread each, in processor time, the best of seven rounds that take turns.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import time  # noqa: E402

import numpy as np  # noqa: E402
from numba import njit  # noqa: E402

import anisotropic as an  # noqa: E402
from anisotropic.records import initial_state, with_shape  # noqa: E402

BATCH = 64
asgo, muon = an.optimizers.asgo(1e-3), an.optimizers.muon(1e-3)


@njit
def many_asgo(w, g, state, step, params, times, update=asgo.update):
    for t in range(times):
        g[0] += 1e-9
        update(w, g, state, step, t + 1, params)


@njit
def many_muon(w, g, state, step, params, times, update=muon.update):
    for t in range(times):
        g[0] += 1e-9
        update(w, g, state, step, t + 1, params)


def ours(method, run, m, times):
    d = m * m
    rng = np.random.default_rng(0)
    arguments = (rng.standard_normal(d), rng.standard_normal(d), initial_state(method, d, (m, m)), np.full(d, 1e-3),
                 with_shape(method.params, (m, m)))  # fmt: skip
    return lambda: run(*arguments, times)


def numpy_asgo(m, times, batch=()):
    rng = np.random.default_rng(0)
    W, G, V = rng.standard_normal((*batch, m, m)), rng.standard_normal((*batch, m, m)), np.zeros((*batch, m, m))

    def run():
        nonlocal W, V
        for _ in range(times):
            V = V + G @ G.swapaxes(-1, -2)
            values, Q = np.linalg.eigh(V)
            inverse = np.where(values > 1e-14 * values[..., -1:], 1 / np.sqrt(np.maximum(values, 1e-300)), 0.0)
            W = W - 1e-3 * (Q * inverse[..., None, :]) @ (Q.swapaxes(-1, -2) @ G)

    return run


def numpy_muon(m, times, batch=()):
    rng = np.random.default_rng(0)
    W, G = rng.standard_normal((*batch, m, m)), rng.standard_normal((*batch, m, m))

    def run():
        nonlocal W
        for _ in range(times):
            U, _, Vt = np.linalg.svd(G, full_matrices=False)
            W = W - 1e-3 * U @ Vt

    return run


def torch_muon(m, times):
    import torch

    torch.set_num_threads(1)
    parameter = torch.nn.Parameter(torch.randn(m, m))
    method = torch.optim.Muon([parameter], lr=1e-3)
    parameter.grad = torch.randn(m, m)

    def run():
        for _ in range(times):
            method.step()

    return run


def microseconds(m):
    """Best of seven rounds for each way, in microseconds for one update of one matrix."""
    times = max(20, 20_000 // m**2)
    few, batched = max(5, times // 20), max(2, times // BATCH)
    ways = {
        "asgo": (ours(asgo, many_asgo, m, times), times),
        "asgo, NumPy": (numpy_asgo(m, few), few),
        f"asgo, NumPy, {BATCH} at once": (numpy_asgo(m, batched, (BATCH,)), batched * BATCH),
        "muon": (ours(muon, many_muon, m, times), times),
        "muon, NumPy": (numpy_muon(m, few), few),
        f"muon, NumPy, {BATCH} at once": (numpy_muon(m, batched, (BATCH,)), batched * BATCH),
        "torch.optim.Muon.step": (torch_muon(m, few), few),
    }
    best = dict.fromkeys(ways, np.inf)
    for k in range(8):
        for name, (run, count) in ways.items():
            start = time.process_time()
            run()
            if k:
                best[name] = min(best[name], (time.process_time() - start) / count * 1e6)
    return best


def main():
    rows = {m: microseconds(m) for m in (4, 8, 16, 32)}
    names = list(next(iter(rows.values())))
    print("| m = n | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 1) + "|")
    for m, row in rows.items():
        print(f"| {m} | " + " | ".join(f"{row[name]:.3g}" for name in names) + " |")


if __name__ == "__main__":
    main()
