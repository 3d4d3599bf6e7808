"""What can be asked from a shell? Bounds, verdicts, studies, data sets and reports; see ``anisotropic --help``.

Exit codes: 0 done (inconclusive and not applicable are answers), 1 unexpected, 2 usage, 3 incomplete and resumable,
4 a bound was violated, 5 an extra is missing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from .. import __version__
from .advise import advise
from .bounds import bounds
from .certify import certify
from .common import CODES, DONE, EXTRA, INCOMPLETE, UNEXPECTED, USAGE, Group
from .files import datasets, report
from .studies import study
from .verify import verify

__all__ = ["cli", "main"]


@click.group(cls=Group, epilog=CODES)
@click.version_option(__version__, prog_name="anisotropic", message="%(prog)s %(version)s")
def cli() -> None:
    """Convergence theory of adaptive optimization, checked against simulation.

    \b
    anisotropic bounds show convex_adagrad
    anisotropic bounds evaluate convex_sgd --L 1,0.5 --sigma 1 --R 2 --T 1000 --M 64
    anisotropic verify convex_adagrad
    anisotropic study run large_batch --quick
    anisotropic advise breast_cancer --quick
    """


for command in (advise, bounds, certify, datasets, report, study, verify):
    cli.add_command(command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    >>> main(["--version"])
    anisotropic ...
    0
    """
    try:
        if "_ANISOTROPIC_COMPLETE" in os.environ:
            cli.main(prog_name="anisotropic")
        with cli.make_context("anisotropic", list(sys.argv[1:] if argv is None else argv)) as context:
            code = cli.invoke(context)
        sys.stdout.flush()
        return code or DONE
    except click.exceptions.Exit as error:
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except click.ClickException as error:
        error.show(sys.stderr)
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return INCOMPLETE
    except Exception as error:
        return _explained(error)


def _explained(error: Exception) -> int:
    """Say what went wrong; the classes are looked up only here, since they cost NumPy."""
    from .._support.extras import MissingExtra
    from ..study.errors import Stopped, StudyError

    if isinstance(error, (MissingExtra, StudyError)):
        print(f"Error: {error}", file=sys.stderr)
        return EXTRA if isinstance(error, MissingExtra) else INCOMPLETE if isinstance(error, Stopped) else USAGE
    import traceback

    traceback.print_exception(error)
    return UNEXPECTED
