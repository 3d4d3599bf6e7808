"""What does watching the gradients cost? Ratios to a plain training step of a small CNN on 8 x 8 images, one thread.

Run by hand: ``python tests/benchmarks/bench_controller.py``. The three kinds of step alternate, and each
ratio is that of medians over rounds, so that other load on the machine falls on all alike.
"""

import statistics
import time

import torch
from torch import nn

from anisotropic.batching import norm_test
from anisotropic.batching.torch import BatchSizeController
from anisotropic.batching.torch.gradients import squared_norm

BATCH, ROUNDS = 64, 60


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def main():
    torch.set_num_threads(1)
    model, loss = network(), nn.functional.cross_entropy
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    rule = norm_test(0.9, start=BATCH, max_batch=BATCH + 1)
    controller = BatchSizeController(model, optimizer, rule)
    x, y = torch.randn(BATCH, 1, 8, 8), torch.randint(0, 10, (BATCH,))

    def plain():
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()

    def two_floats():
        optimizer.zero_grad()
        loss(model(x), y).backward()
        size = float(squared_norm([p.grad for p in model.parameters()])) ** 0.5
        controller.norms((1.01 * size, 1.01 * size), size)
        optimizer.step()
        controller.step()

    def per_sample():
        optimizer.zero_grad()
        controller.per_sample(loss, (x, y))
        optimizer.step()
        controller.step()

    ways = {"plain": plain, "two floats": two_floats, "per sample": per_sample}
    seconds = {name: [] for name in ways}
    for turn in range(ROUNDS + 5):
        for name, way in ways.items():
            controller.batch_size = BATCH
            start = time.process_time()
            way()
            if turn >= 5:
                seconds[name].append(time.process_time() - start)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    for name, value in median.items():
        print(f"{name:<12}{1e3 * value:8.2f} ms{value / median['plain']:8.3f} x plain")


if __name__ == "__main__":
    main()
