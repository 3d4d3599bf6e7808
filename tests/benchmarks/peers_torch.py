"""torch.optim on a cell: one (replicas, d) tensor, its gradient written in place, foreach; AdaGrad-Norm by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from cells import ADAGRAD_EPS, ADAM, CENTRE, SEED, STEP, Cell

torch.set_num_threads(1)


class AdaGradNorm(torch.optim.Optimizer):
    """torch.optim has none: one accumulator per replica (row)."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self):
        """One update."""
        for group in self.param_groups:
            for w in group["params"]:
                total = self.state[w].setdefault("sum", torch.zeros(w.shape[0], 1, dtype=w.dtype))
                total.add_((w.grad * w.grad).sum(dim=1, keepdim=True))
                w.addcdiv_(w.grad, total.sqrt(), value=-group["lr"])


def optimizer(method, w):
    """The method with the constants that all peers use."""
    step = STEP[method]
    return {
        "sgd": lambda: torch.optim.SGD([w], lr=step, foreach=True),
        "adagrad": lambda: torch.optim.Adagrad([w], lr=step, eps=ADAGRAD_EPS, foreach=True),
        "adam": lambda: torch.optim.Adam([w], lr=step, betas=ADAM[:2], eps=ADAM[2], foreach=True),
        "adagrad_norm": lambda: AdaGradNorm([w], step),
    }[method]()


@torch.no_grad()
def prepare(dtype, cell: Cell):
    """See `cells.Peer`."""
    h, scale = (torch.tensor(x, dtype=dtype) for x in (cell.curvature, cell.scale))
    shape = (cell.replicas, cell.dim)
    table = torch.tensor(cell.normals()[:, : cell.replicas], dtype=dtype) if cell.drawn else None
    recorded = set(cell.record.tolist())
    generator = torch.Generator().manual_seed(SEED)

    @torch.no_grad()
    def run():
        w = torch.zeros(shape, dtype=dtype, requires_grad=True)
        method = optimizer(cell.method, w)
        total, u, g, z = (torch.zeros(shape, dtype=dtype) for _ in range(4))
        sums, out = torch.zeros(3, cell.replicas, dtype=dtype), np.full((cell.replicas, 6), np.nan)
        w.grad = g
        for t in range(1, cell.steps + 2):
            recording = t - 1 in recorded
            torch.sub(w, CENTRE, out=u)
            torch.mul(u, h, out=g)
            if cell.theory or recording:
                f, l2 = 0.5 * (g * u).sum(dim=1), (g * g).sum(dim=1)
            if recording:
                average = (total - w) / (t - 1) - CENTRE
                out[:, 0], out[:, 5], out[:, 2] = f, l2, 0.5 * (average * average) @ h
                if cell.theory:
                    out[:, 1], out[:, 3], out[:, 4] = sums / (t - 1)
                if t == cell.steps + 1:
                    return out
            if cell.theory:
                sums[0] += f
                sums[1] += g.abs().sum(dim=1)
                sums[2] += l2
            if table is None:
                z.normal_(generator=generator)
                g.addcmul_(z, scale)
            else:
                g.addcmul_(table[(t - 1) & 3], scale)
            method.step()
            w.clamp_(-1.0, 1.0)
            total.add_(w)

    return run


float64, float32 = partial(prepare, torch.float64), partial(prepare, torch.float32)
