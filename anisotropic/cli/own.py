"""Which bound does FILE.py:NAME mean? A theorem of one's own, read from a file that is run as Python."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from .._support.names import nearest

if TYPE_CHECKING:
    from ..bounds import Bound


def is_own(name: str) -> bool:
    """Whether this word names a file, rather than a bound of the catalogue."""
    return ".py" in name or "/" in name or ":" in name


class Own(NamedTuple):
    """A bound from a file, and the function `make_optimizer` beside it, for a method that the package has not."""

    bound: Bound
    make_optimizer: Callable[..., Any] | None


def own(name: str) -> Own:
    """What FILE.py:NAME names; a file or name that gives no bound is answered with a sentence."""
    from ..bounds import Bound

    file, colon, attribute = name.rpartition(":")
    if not colon or not file.endswith(".py") or not attribute.isidentifier():
        raise click.UsageError(f"{name!r} names no bound; write FILE.py:NAME for a bound of your own, or an ID")
    module = _loaded(Path(file))
    if not hasattr(module, attribute):
        there = [n for n, thing in vars(module).items() if isinstance(thing, Bound)]
        hint = nearest(attribute, there, 0.4) or (f"; it has {', '.join(there)}" if there else "; it has no bound")
        raise click.UsageError(f"{file} has nothing called {attribute!r}{hint}")
    bound = getattr(module, attribute)
    if not isinstance(bound, Bound):
        raise click.UsageError(f"{attribute} in {file} is {_kind(bound)}; expected a Bound, made with an.Bound(...)")
    make = getattr(module, "make_optimizer", None)
    if make is not None and not callable(make):
        raise click.UsageError(f"make_optimizer in {file} is {_kind(make)}; expected a function of a dict of constants")

    def guarded(known: dict[str, Any]) -> Any:
        try:
            return make(known)  # type: ignore[misc]
        except Exception as error:
            raise click.UsageError(f"make_optimizer in {file} failed{_told(error, Path(file))}") from None

    return Own(bound, guarded if make else None)


def _kind(thing: Any) -> str:
    name = type(thing).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _loaded(path: Path) -> ModuleType:
    """The file as a module; its folder is where it may import from, and what it prints goes to stderr."""
    place = path.resolve()
    known = f"_own_{place.stem}"
    if not place.is_file():
        raise click.UsageError(f"cannot read {path}: {'it is a folder' if place.is_dir() else 'there is no such file'}")
    spec = importlib.util.spec_from_file_location(known, place)
    if spec is None or spec.loader is None:
        raise click.UsageError(f"cannot read {path}: it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[known] = module
    sys.path.insert(0, str(place.parent))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[known]
        raise click.UsageError(f"{path} cannot be run{_told(error, path)}") from None
    finally:
        sys.path.remove(str(place.parent))
    return module


def _told(error: BaseException, path: Path) -> str:
    """The last line of the traceback, and which line of the file it comes from."""
    place = str(path.resolve())
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == place]
    where = f" (line {lines[-1]})" if lines else ""
    return f"{where}: {traceback.format_exception_only(error)[-1].strip()}"
