"""Batch sizes that follow a test in a PyTorch training loop. Extra `torch`; imports torch and NumPy only.

>>> import torch, anisotropic.batching as batching
>>> model = torch.nn.Linear(3, 1, bias=False)
>>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
>>> controller = batching.torch.BatchSizeController(model, optimizer, batching.norm_test(0.5, start=4))
>>> controller.norms([1.0, 1.0], 0.5)        # two halves of the batch, and their average
>>> controller.step()                        # V = 2 batch/2 (1 - 0.25) = 3, wanted 3/(0.25 0.25) = 48
48
"""

from ..._support.extras import require

require("torch", "torch")

from .controller import BatchSizeController, NonFiniteGradient  # noqa: E402
from .sampler import BatchSampler  # noqa: E402

__all__ = ["BatchSampler", "BatchSizeController", "NonFiniteGradient"]
