"""Which second derivatives does a PyTorch loss have? One differentiable graph of the loss, and what must be refused.

Everything runs by double backward through one retained graph. Nested forward mode is never used: it differentiates
layer_norm wrongly, and silently, in current PyTorch releases.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..._support.calling import arguments_for
from ..._support.names import nearest
from ...records import FloatArray
from .capture import Captured, capturing
from .inputs import cast, check_finite, inputs_and_targets

Loss = Callable[[Any, Any], torch.Tensor]


class LossGraph:
    """The loss of a model on one batch, differentiable twice in parameters and in the outputs of linear modules.

    The model itself is not changed: parameters and buffers are replaced by copies in `dtype` for one forward pass.
    `eps` is the relative rounding of its coarsest operation.
    """

    def __init__(self, model: nn.Module, loss: Loss, batch: Any, names: Sequence[str], dtype: torch.dtype) -> None:
        x, y = inputs_and_targets(batch)
        _refuse_half(model)
        _refuse_random(model)
        self.parameters = {
            name: p.detach().to(dtype).clone().requires_grad_(name in names) for name, p in model.named_parameters()
        }
        self.dtype = dtype
        self.captured: dict[str, Captured] = {}
        check_finite(x, "the batch's input")
        check_finite(y, "the batch's target")
        saved = _Saved()
        with saved:
            first = evaluate(model, loss, batch, self.parameters, dtype)[1]
        _check_loss(first, names)
        self.eps = max(saved.eps, torch.finfo(dtype).eps)
        kept = saved.bytes + sum(p.numel() * p.element_size() for p in self.parameters.values())
        refuse_memory(4 * kept, first.device)
        again = float(first.detach())
        del first
        with capturing(model, self.captured):
            value = evaluate(model, loss, batch, self.parameters, dtype)[1]
        self.loss = float(value.detach())
        if abs(self.loss - again) > 1e-6 * max(abs(again), 1e-12):
            raise ValueError(
                f"the loss is random: two passes over the same batch gave {again:.8g} and {self.loss:.8g}; "
                "switch off what draws random numbers, such as dropout, with model.eval()"
            )
        self.gradients = self._first_derivatives(value, names)

    def _first_derivatives(self, value: torch.Tensor, names: Sequence[str]) -> dict[str, torch.Tensor | None]:
        wanted = [self.parameters[name] for name in names]
        shifts = [c.shift for c in self.captured.values()]
        found = torch.autograd.grad(value, wanted + shifts, create_graph=True, allow_unused=True)
        for captured, gradient in zip(self.captured.values(), found[len(wanted) :], strict=True):
            if gradient is None:
                captured.calls = 0
            else:
                captured.gradient = gradient
        return dict(zip(names, found, strict=False))

    def product(self, name: str) -> Callable[[FloatArray], FloatArray]:
        """v -> H v for the Hessian block of one parameter, flat NumPy arrays."""
        parameter, gradient = self.parameters[name], self.gradients[name]
        assert gradient is not None

        def hvp(v: FloatArray) -> FloatArray:
            direction = torch.as_tensor(v, dtype=self.dtype, device=parameter.device).reshape(parameter.shape)
            return derivative(gradient, parameter, direction).double().cpu().numpy().ravel()

        return hvp

    def rounding(self) -> float:
        """Size of a diagonal entry that is rounding error: 4 eps times the largest entry of H v for signs v."""
        used = [(self.parameters[n], g) for n, g in self.gradients.items() if g is not None and g.requires_grad]
        generator = torch.Generator().manual_seed(0)
        signs = [(torch.randint(0, 2, p.shape, generator=generator) * 2 - 1).to(p) for p, _ in used]
        outputs, inputs = [g for _, g in used], [p for p, _ in used]
        try:
            products = torch.autograd.grad(outputs, inputs, signs, retain_graph=True, allow_unused=True) if used else ()
        except RuntimeError as error:
            if "not implemented" not in str(error):
                raise
            raise ValueError(f"an operation of model or loss has no second derivative in PyTorch ({error})") from error
        largest = max((float(p.abs().max()) for p in products if p is not None), default=0.0)
        return 4 * self.eps * largest


def evaluate(
    model: nn.Module, loss: Loss, batch: Any, parameters: Mapping[str, torch.Tensor], dtype: torch.dtype
) -> tuple[Any, torch.Tensor]:
    """Prediction and loss at other parameters, all in `dtype`, by operations that can be differentiated twice."""
    x, y = inputs_and_targets(batch)
    state = {**parameters, **{name: cast(b, dtype) for name, b in model.named_buffers()}}
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), _dtype_errors(dtype):
        prediction = torch.func.functional_call(model, state, *arguments_for(model.forward, cast(x, dtype)))
        return prediction, loss(prediction, cast(y, dtype))


def first_derivatives(
    model: nn.Module,
    loss: Loss,
    batch: Any,
    names: Sequence[str],
    dtype: torch.dtype,
    shift: Mapping[str, torch.Tensor] | None = None,
) -> dict[str, FloatArray]:
    """Flat gradients of the loss on one batch, at the model's weights plus `shift`."""
    moved = shift or {}
    parameters = {
        name: p.detach().to(dtype) + moved[name].to(p.device, dtype) if name in moved else p.detach().to(dtype)
        for name, p in model.named_parameters()
    }
    wanted = [parameters[name].requires_grad_(True) for name in names]
    value = evaluate(model, loss, batch, parameters, dtype)[1]
    found = torch.autograd.grad(value, wanted, allow_unused=True)
    pairs = zip(names, wanted, found, strict=True)
    return {n: (torch.zeros_like(p) if g is None else g).double().cpu().numpy().ravel() for n, p, g in pairs}


def derivative(gradient: torch.Tensor, variable: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """d <gradient, direction> / d variable through the retained graph; zero where they are not connected."""
    if not gradient.requires_grad:
        return torch.zeros_like(variable)
    (found,) = torch.autograd.grad(gradient, variable, direction, retain_graph=True, allow_unused=True)
    return torch.zeros_like(variable) if found is None else found


def layer_names(model: nn.Module, layers: Iterable[str] | None) -> list[str]:
    """Parameters to measure: every matrix that is trained, or those named (a module's name stands for its matrices)."""
    trained = dict(model.named_parameters())
    first_name = {id(p): name for name, p in trained.items()}
    tied = {name: first_name[id(p)] for name, p in model.named_parameters(remove_duplicate=False)}
    matrices = [name for name, p in trained.items() if p.ndim >= 2 and p.requires_grad]
    if layers is None:
        frozen = [name for name, p in trained.items() if p.ndim >= 2 and not p.requires_grad]
        if frozen:
            warnings.warn(f"left out, since frozen: {', '.join(frozen)}", UserWarning, stacklevel=3)
        if not matrices:
            raise ValueError("the model has no matrix that requires a gradient; name parameters by layers=[...]")
        return matrices
    chosen: list[str] = []
    for given in [layers] if isinstance(layers, str) else layers:
        name = tied.get(given, given)
        inside = [n for alias, n in tied.items() if n in matrices and alias.startswith(f"{name}.")]
        if name in trained:
            if not trained[name].requires_grad:
                raise ValueError(f"parameter {name!r} is frozen (requires_grad is False); unfreeze it or leave it out")
            chosen.append(name)
        elif inside:
            chosen.extend(inside)
        else:
            hint = nearest(name, trained, cutoff=0.3)
            raise ValueError(f"the model has no parameter or module {name!r} with a matrix{hint}")
    return list(dict.fromkeys(chosen))


def default_dtype(model: nn.Module) -> torch.dtype:
    """float64, except on devices that lack it (MPS)."""
    devices = {p.device.type for p in model.parameters()}
    return torch.float32 if "mps" in devices else torch.float64


class _Saved(torch.autograd.graph.saved_tensors_hooks):
    """Counts the bytes that a forward pass keeps for its backward pass, and finds its coarsest arithmetic.

    Many models compute norms and losses in float32 whatever they are given.
    """

    def __init__(self) -> None:
        self.bytes, self.eps, self.seen = 0, 0.0, set[int]()

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.is_floating_point() and tensor.requires_grad:
                self.eps = max(self.eps, torch.finfo(tensor.dtype).eps)
            if tensor.data_ptr() not in self.seen:
                self.seen.add(tensor.data_ptr())
                self.bytes += tensor.numel() * tensor.element_size()
            return tensor

        super().__init__(pack, lambda tensor: tensor)


def _check_loss(value: Any, names: Sequence[str]) -> None:
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise ValueError(f"the loss is {shape}; expected one number: reduce it, for example with .mean()")
    number = float(value.detach())
    if not math.isfinite(number):
        raise ValueError(f"the loss is {number} on this batch; expected a finite number: check weights and batch")
    if not value.requires_grad:
        raise ValueError(no_gradient(names[0]))


def no_gradient(name: str) -> str:
    """Message for a parameter that the loss does not depend on."""
    return f"the loss on this batch does not depend on parameter {name!r}, so it has no gradient"


def _refuse_half(model: nn.Module) -> None:
    half = [name for name, p in model.named_parameters() if p.dtype in (torch.float16, torch.bfloat16)]
    if half:
        raise ValueError(
            f"parameter {half[0]!r} and {len(half) - 1} more are half precision, too coarse for second derivatives; "
            "pass model.float(), which is then evaluated in float64"
        )


def _refuse_random(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if not module.training:
            continue
        drop = getattr(module, "p", 0.0) if isinstance(module, nn.modules.dropout._DropoutNd) else 0.0
        drop = module.dropout if isinstance(module, (nn.MultiheadAttention, nn.RNNBase)) else drop
        if drop:
            raise ValueError(f"{name!r} is in training mode and drops units (p = {drop:g}); call model.eval() first")
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats:
            raise ValueError(
                f"{name!r} is a batch norm in training mode, which couples the samples of a batch; call model.eval() "
                "first: its running mean and variance are then frozen, and the Hessian is that of the frozen model"
            )


@contextmanager
def _dtype_errors(dtype: torch.dtype) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if "dtype" in str(error) or "same type" in str(error):
            raise ValueError(
                f"the model cannot be evaluated in {dtype} ({error}); it makes tensors of a fixed type inside: pass "
                "dtype=torch.float32 or make them follow the input's type"
            ) from error
        raise


def refuse_memory(need: int, device: torch.device) -> None:
    """Raise MemoryError where a device has less than `need` bytes free."""
    free = free_memory(device)
    if free is not None and need > free:
        raise MemoryError(
            f"second derivatives of this batch need about {need / 1e9:.3g} GB, and {free / 1e9:.3g} GB are free on "
            f"{device}; pass fewer samples (memory grows in proportion), or dtype=torch.float32 (half of it)"
        )


def free_memory(device: torch.device) -> int | None:
    """Bytes free on a device, or None where that cannot be told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
