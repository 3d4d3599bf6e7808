"""What do all commands share? Options, exit codes, JSON, and sentences for names that do not exist."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import click

from .._support.names import nearest
from .._support.progress import hush

if TYPE_CHECKING:
    from ..bounds import Bound

DONE, UNEXPECTED, USAGE, INCOMPLETE, VIOLATED, EXTRA = range(6)
CODES = (
    "Exit codes: 0 done, 1 unexpected or not proved, 2 usage, 3 incomplete (resumable), 4 a bound violated, "
    "5 an extra missing."
)
PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True}


class Group(click.Group):
    """A group that suggests the nearest command."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        word = args[0]
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            raise click.UsageError(unknown("command", word, self.list_commands(ctx)), ctx) from None


def unknown(what: str, name: str, known: Sequence[str]) -> str:
    """A sentence for a name that does not exist, with the nearest one."""
    hint = nearest(name, known, 0.4) or (f"; there is {', '.join(known)}" if known else "")
    return f"no {what} is called {name!r}{hint}"


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The two options that every command has."""
    command = click.option("--quiet", is_flag=True, callback=hush, help="Only what a script needs.")(command)
    return click.option("--json", "as_json", is_flag=True, help="JSON, alone on stdout.")(command)


def emit(**data: Any) -> None:
    """Print one JSON document with the version of its schema."""
    from .._support.output import SCHEMA, plain

    print(json.dumps(plain({"schema": SCHEMA, **data}), allow_nan=False))


@contextlib.contextmanager
def usage() -> Iterator[None]:
    """Inside, what the library refuses is the user's to mend: one sentence, exit code 2."""
    try:
        yield
    except (ValueError, TypeError, KeyError, FileNotFoundError, ConnectionError) as error:
        raise click.UsageError(str(error.args[0] if isinstance(error, KeyError) else error)) from None


def find_bound(name: str) -> Bound:
    """The bound with this id, or the one of FILE.py:NAME."""
    from .. import bounds
    from .own import is_own, own

    if is_own(name):
        return own(name).bound
    if name not in bound_ids():
        raise click.UsageError(unknown("bound", name, bound_ids()) + " ('anisotropic bounds list' shows all)")
    return getattr(bounds, name)


def bound_ids() -> list[str]:
    """The ids of all bounds."""
    from .. import bounds

    return list(cast(Iterable[str], bounds))
