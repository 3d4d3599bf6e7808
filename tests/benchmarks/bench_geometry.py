"""How fast is an exact Hessian diagonal? One product per unit against one per parameter, on a 98,540-parameter MLP.

    python tests/benchmarks/bench_geometry.py [--samples 256] [--entries 192]

The reference evaluates entries by vmapped forward-over-reverse products (`torch.func`), the fastest of the chunk sizes
tried; its time for the whole diagonal is extrapolated from `--entries` of them. CPU time, one thread, float64 for
both and float32 for the reference too. The two diagonals are compared at the evaluated entries.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from anisotropic.geometry import torch as geometry

WIDTHS = (100, 300, 200, 40)
CHUNKS = (4, 16, 64)


def model_and_batch(samples: int) -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    """Tanh network with random weights, random inputs and classes."""
    torch.manual_seed(0)
    a, b, c, d = WIDTHS
    model = nn.Sequential(nn.Linear(a, b), nn.Tanh(), nn.Linear(b, c), nn.Tanh(), nn.Linear(c, d))
    return model.double(), (torch.randn(samples, a, dtype=torch.float64), torch.randint(0, d, (samples,)))


def vmapped_entries(model: nn.Module, batch: tuple, name: str, index: np.ndarray, chunk: int) -> np.ndarray:
    """Diagonal entries of one parameter by vmapped Hessian-vector products."""
    parameters = {n: p.detach() for n, p in model.named_parameters()}
    weight = parameters[name]

    def loss(w: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(torch.func.functional_call(model, {**parameters, name: w}, (batch[0],)), batch[1])

    def entry(one_hot: torch.Tensor) -> torch.Tensor:
        return (torch.func.jvp(torch.func.grad(loss), (weight,), (one_hot,))[1] * one_hot).sum()

    out = []
    for start in range(0, len(index), chunk):
        rows = torch.as_tensor(index[start : start + chunk])
        units = F.one_hot(rows, weight.numel()).to(weight).reshape(len(rows), *weight.shape)
        out.append(torch.func.vmap(entry)(units))
    return torch.cat(out).double().numpy()


def main() -> None:
    """Measure, print a table as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--entries", type=int, default=192)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, batch = model_and_batch(options.samples)
    names = [n for n, _ in model.named_parameters()]
    geometry.hessian_diagonal(model, F.cross_entropy, batch, names[-1:])

    begin = time.process_time()
    diagonal = geometry.hessian_diagonal(model, F.cross_entropy, batch, names)
    ours = time.process_time() - begin
    size = sum(d.size for d in diagonal.values())
    largest = max(np.abs(d).max() for d in diagonal.values())

    rng, name = np.random.default_rng(0), "2.weight"
    index = rng.choice(diagonal[name].size, options.entries, replace=False)
    rows = {}
    for dtype in (torch.float64, torch.float32):
        cast = model.to(dtype), (batch[0].to(dtype), batch[1])
        best = np.inf
        for chunk in CHUNKS:
            vmapped_entries(*cast, name, index[:chunk], chunk)
            begin = time.process_time()
            found = vmapped_entries(*cast, name, index, chunk)
            best = min(best, (time.process_time() - begin) / options.entries)
        key = str(dtype).removeprefix("torch.")
        rows[key] = {
            "seconds per entry": best,
            "whole diagonal, seconds": best * size,
            "times slower": best * size / ours,
            "largest difference / largest entry": float(np.abs(found - diagonal[name].ravel()[index]).max() / largest),
        }
    report = {"parameters": size, "one product per unit, seconds": ours, "one product per entry": rows}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
