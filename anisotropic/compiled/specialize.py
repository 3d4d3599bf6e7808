"""What does a kernel look like once its functions are known? Its own text, with the functions as globals.

Numba compiles a function that gets others as arguments anew in every process. So the leading parameters of a kernel,
those that take functions, leave its signature and become globals; likewise in each helper that the kernel hands one of
them on to. Nothing else of the text changes.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from numba.core.dispatcher import Dispatcher

KERNEL = "kernel"


class Unsuited(ValueError):
    """A kernel is written in a way that cannot be specialized; the sentence says which line."""


class Text(NamedTuple):
    """Source of the helpers and, last, of the kernel; the objects it names; options of each function in it."""

    source: str
    symbols: dict[str, Any]
    options: dict[str, dict[str, Any]]


def specialize(kernel: Any, functions: tuple[Any, ...]) -> Text:
    """The text of `kernel`, called KERNEL, for these values of its leading parameters.

    Examples
    --------
    >>> from numba import njit
    >>> @njit
    ... def twice(f, x):
    ...     return f(f(x))
    >>> print(specialize(twice, (twice,)).source)
    def kernel(x):
        return f(f(x))
    """
    writer = _Writer()
    leading = list(inspect.signature(kernel.py_func).parameters)[: len(functions)]
    bound = {parameter: writer.symbol(parameter, value) for parameter, value in zip(leading, functions, strict=True)}
    writer.write(kernel, bound, KERNEL)
    return Text("\n\n".join(writer.pieces), writer.symbols, writer.options)


class _Writer:
    def __init__(self) -> None:
        self.symbols: dict[str, Any] = {}
        self.options: dict[str, dict[str, Any]] = {}
        self.pieces: list[str] = []
        self.written: dict[tuple[Any, ...], str] = {}

    def symbol(self, wanted: str, value: Any) -> str:
        """A global name for `value`: the wanted one, or with a number where another object has it."""
        name, number = wanted, 1
        while name == KERNEL or name in self.options or (name in self.symbols and self.symbols[name] is not value):
            number += 1
            name = f"{wanted}_{number}"
        self.symbols[name] = value
        return name

    def write(self, kernel: Any, bound: Mapping[str, str], name: str) -> None:
        """Append the text of one function whose parameters in `bound` are the globals named there."""
        python = kernel.py_func
        tree = _definition(python)
        if tree.args.vararg or tree.args.kwarg or tree.args.kwonlyargs or python.__code__.co_freevars:
            raise Unsuited(f"{python.__name__} has keyword arguments or a closure; a kernel has positional ones only")
        keep = [i for i, a in enumerate(tree.args.args) if a.arg not in bound]
        first_default = len(tree.args.args) - len(tree.args.defaults)
        tree.args.defaults = [tree.args.defaults[i - first_default] for i in keep if i >= first_default]
        tree.args.args = [ast.arg(tree.args.args[i].arg) for i in keep]
        tree.name, tree.decorator_list, tree.returns = name, [], None
        if ast.get_docstring(tree) is not None and len(tree.body) > 1:
            tree.body = tree.body[1:]
        _Replace(self, python, bound).visit(tree)
        self.options[name] = options_of(kernel)
        self.pieces.append(ast.unparse(ast.fix_missing_locations(tree)))

    def helper(self, kernel: Any, bound: Mapping[str, str]) -> str:
        """Name of the text of a helper with these parameters bound; written once."""
        key = (kernel, *sorted(bound.items()))
        if key not in self.written:
            name = kernel.py_func.__name__
            while name == KERNEL or name in self.options or name in self.symbols:
                name += "_with"
            self.written[key] = name
            self.options[name] = {}
            self.write(kernel, bound, name)
        return self.written[key]


class _Replace(ast.NodeTransformer):
    """Globals by their symbols; calls that hand on a bound function by calls of a helper's own text."""

    def __init__(self, writer: _Writer, python: Callable[..., Any], bound: Mapping[str, str]) -> None:
        self.writer, self.python, self.bound = writer, python, bound
        self.local = set(python.__code__.co_varnames) - set(bound)

    def value(self, name: str) -> Any:
        return self.writer.symbols[self.bound[name]] if name in self.bound else self.python.__globals__.get(name)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.bound:
            if not isinstance(node.ctx, ast.Load):
                raise Unsuited(f"{self.python.__name__} line {node.lineno} assigns to the function {node.id!r}")
            return ast.copy_location(ast.Name(self.bound[node.id], node.ctx), node)
        if node.id in self.local:
            return node
        if node.id not in self.python.__globals__:
            if not hasattr(builtins, node.id):
                raise Unsuited(f"{self.python.__name__} line {node.lineno} names {node.id!r}, which is not defined")
            return node
        symbol = self.writer.symbol(node.id, self.python.__globals__[node.id])
        return ast.copy_location(ast.Name(symbol, node.ctx), node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        handed = {i: a.id for i, a in enumerate(node.args) if isinstance(a, ast.Name) and a.id in self.bound}
        if not handed:
            return self.generic_visit(node)
        target = self.value(node.func.id) if isinstance(node.func, ast.Name) else None
        if target is None and isinstance(node.func, ast.Name) and node.func.id in self.bound:
            return self.generic_visit(node)  # in a branch that is not compiled
        if not isinstance(target, Dispatcher) or any(isinstance(a, ast.Starred) for a in node.args):
            raise Unsuited(f"{self.python.__name__} line {node.lineno} hands a function on to what is not compiled")
        parameters = list(inspect.signature(target.py_func).parameters)
        name = self.writer.helper(target, {parameters[i]: self.bound[a] for i, a in handed.items()})
        rest = [self.visit(a) for i, a in enumerate(node.args) if i not in handed]
        keywords = [ast.keyword(k.arg, self.visit(k.value)) for k in node.keywords]
        return ast.copy_location(ast.Call(ast.Name(name, ast.Load()), rest, keywords), node)


def _definition(python: Callable[..., Any]) -> ast.FunctionDef:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(python))).body[0]
    except (OSError, TypeError, SyntaxError) as error:
        raise Unsuited(f"the text of {python.__qualname__} cannot be read: {error}") from None
    if not isinstance(tree, ast.FunctionDef):
        raise Unsuited(f"{python.__qualname__} is not defined by def")
    return tree


def options_of(kernel: Any) -> dict[str, Any]:
    """The options a compiled function was made with, as `njit` takes them."""
    return {k: v for k, v in kernel.targetoptions.items() if k not in ("nopython", "cache")}
