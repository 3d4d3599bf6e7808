"""How is a study called? The command line that every study script and ``anisotropic study`` share."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from .._support.output import patient_streams, visible
from .._support.progress import hush
from . import report
from .driver import Interrupted, run
from .errors import Stopped, StudyError
from .executors import KNOWN
from .grid import Axes
from .manifest import MANIFEST, conditions, differences
from .results import Results
from .screen import first_screen, rest
from .status import errors, status
from .study import Study

WORKERS = "Threads, processes or SLURM tasks at once. Default: all cores, or 16 tasks."
TIMEOUT = "How long a cell may take (with --executor processes)."
COMPLETE, UNEXPECTED, USAGE, INCOMPLETE, VIOLATED, EXTRA = range(6)


def main(
    study: Study | str | Path | ModuleType | None = None, argv: Sequence[str] | None = None, prog: str = ""
) -> int:
    """Run a study as a command; returns the exit code.

    Parameters
    ----------
    study : Study, path or module, optional
        By default the script that is running.
    argv : sequence of str, optional
        By default the words of the command line.
    prog : str, optional
        What the user typed before `argv`, for the line that resumes.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    prog = prog or f"python {shlex.quote(sys.argv[0])}"
    with patient_streams():
        return _main(study, argv, prog)


def _main(study: Study | str | Path | ModuleType | None, argv: list[str], prog: str) -> int:
    from .._support.extras import MissingExtra

    line = f"{prog} {shlex.join(argv)}".strip()
    try:
        if not isinstance(study, Study):
            study = Study.load(sys.modules["__main__"] if study is None else study)
        command = _command(study, line)
        with command.make_context(prog, list(argv)) as context:
            return command.invoke(context) or COMPLETE
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show(sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return _complain(f"interrupted; finished cells are stored. To go on:\n  {line}", INCOMPLETE)
    except Stopped as error:
        return _complain(f"Error: {error}. To go on:\n  {line}", INCOMPLETE)
    except StudyError as error:
        return _complain(f"Error: {error}", USAGE)
    except MissingExtra as error:
        return _complain(f"Error: {error}", EXTRA)


def _complain(text: str, code: int) -> int:
    print(visible(text), file=sys.stderr)
    return code


def _command(study: Study, line: str) -> click.Command:
    """The click command of one study, with an option for each of its axes."""
    options: list[click.Parameter] = [
        click.Argument(["word"], type=click.Choice(["run", "plot", "status", "errors"]), required=False),
        click.Option(["--quick"], is_flag=True, help="The small grid, for a first look."),
        click.Option(["--results"], type=click.Path(path_type=Path), metavar="DIR", help="Default: results/NAME."),
        click.Option(["--executor"], default="threads", help=f"One of {KNOWN}."),
        click.Option(["--workers"], type=click.IntRange(1), help=WORKERS),
        click.Option(["--timeout"], type=click.FloatRange(0, min_open=True), metavar="SECONDS", help=TIMEOUT),
        click.Option(["--mix-processors"], is_flag=True, help="Cells of other kinds of processors may stand beside."),
        click.Option(["--json", "as_json"], is_flag=True, help="The summary as JSON, alone on stdout."),
        click.Option(["--quiet"], is_flag=True, callback=hush, help="No progress."),
        click.Option(
            ["--from-manifest"],
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Repeat the run that this manifest records, and compare.",
        ),
    ]
    for axis, values in study.axes.items():
        flags = list(dict.fromkeys([f"--{axis.replace('_', '-')}", f"--{axis}"]))
        shown = ",".join(str(v) for v in values)
        text = f"Axis; default {shown if len(shown) < 60 else shown[:56] + ' ...'}"
        options.append(click.Option([*flags, f"axis_{axis}"], metavar="V[,V...]", help=text))

    def callback(**chosen: Any) -> int:
        axes = {k: _values(study, k, chosen[f"axis_{k}"]) for k in study.axes if chosen[f"axis_{k}"] is not None}
        return _dispatch(study, line, axes, chosen)

    plain = "No word: run what is missing, then plot. A second run computes only what is missing."
    return click.Command(study.name, params=options, callback=callback, help=f"{study.document}\n\n{plain}")


def _values(study: Study, axis: str, text: str) -> list[Any]:
    """The values of ``--axis 1,2``: numbers where the axis holds numbers, else texts."""
    known = study.axes[axis]
    named = {str(v): v for v in known}
    values: list[Any] = []
    for word in (w.strip() for w in text.split(",")):
        if word in named:
            values.append(named[word])
        elif all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in known):
            try:
                exact = float(word)
            except ValueError:
                raise StudyError(f"axis {axis!r} got {word!r}; expected numbers such as {known[0]}") from None
            whole = exact.is_integer() and all(isinstance(v, int) for v in known)
            values.append(int(exact) if whole else exact)
        elif all(isinstance(v, str) for v in known):
            values.append(word)
        else:
            raise StudyError(f"axis {axis!r} got {word!r}; expected one of {', '.join(named)}")
    return values


def _dispatch(study: Study, line: str, overrides: Axes, chosen: dict[str, Any]) -> int:
    recorded = None
    if chosen["from_manifest"] is not None:
        if overrides or chosen["quick"]:
            raise StudyError("--from-manifest repeats the recorded axes; leave out --quick and the axes")
        recorded = _read_manifest(chosen["from_manifest"], study)
        overrides = recorded["config"]["axes"]
    axes = study.grid(chosen["quick"], **overrides)
    suffix = "-repeat" if recorded else "-quick" if chosen["quick"] else ""
    folder = chosen["results"] or Path("results") / f"{study.name}{suffix}"
    if chosen["word"] == "status":
        return status(study, folder, axes, chosen["as_json"])
    if chosen["word"] == "errors":
        return errors(Results(study, folder, axes), chosen["as_json"])
    if chosen["word"] == "plot":
        results = Results(study, folder, axes)
        return _conclude(study, results, line, chosen, recorded)
    if recorded and folder.resolve() == chosen["from_manifest"].resolve().parent:
        raise StudyError(f"a repeat in {folder} itself would replace what it is compared with; pass another --results")
    try:
        results = run(
            study,
            folder,
            axes,
            executor=chosen["executor"],
            workers=chosen["workers"],
            timeout=chosen["timeout"],
            mix_processors=chosen["mix_processors"],
            quiet=chosen["quiet"] or chosen["as_json"],
            command=line,
            repeats=_name_of(recorded) if recorded else "",
        )
    except Interrupted as stop:
        done, total = len(stop.results.points), stop.results.summary["cells"]
        print(f"stopped: {done} of {total} cells are stored. To go on:\n  {line}", file=sys.stderr, flush=True)
        if stop.dropped and chosen["executor"] == "threads":
            os._exit(INCOMPLETE)  # threads cannot be ended, and Python would wait for them
        return INCOMPLETE
    return _conclude(study, results, line, chosen, recorded)


def _name_of(manifest: dict[str, Any]) -> str:
    """A name for a recorded run, by which its interrupted repeat is known again."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]


def _conclude(
    study: Study, results: Results, line: str, chosen: dict[str, Any], manifest: dict[str, Any] | None
) -> int:
    total, done = results.summary["cells"], len(results.points)
    results.quiet = True  # what the plot says is shown below, the most important first
    if not results.complete:
        what = f"{len(results.failed)} failed, {len(results.missing)} not computed"
        what += f", {results.outdated} of them only by an older version" if results.outdated else ""
        what += f", {results.damaged} of them damaged in the store" if results.damaged else ""
        results.summary["sentences"].append(f"Incomplete: {done} of {total} cells ({what}).")
        words = shlex.split(line)
        if chosen["word"] == "plot":
            words.remove("plot")
        resume = shlex.join(words)
        print(f"incomplete: {done} of {total} cells ({what}). To go on:\n  {resume}", file=sys.stderr)
    drawn = chosen["word"] != "run" and study.plot is not None and (results.complete or chosen["word"] == "plot")
    if drawn and study.plot is not None:
        if not results.points:
            raise StudyError(f"{results.folder} has no finished cell to plot; run the study first")
        try:
            study.plot(results)
        except SystemExit:
            raise StudyError(f"the cells are stored, but the plot of {study.name} called sys.exit") from None
        except StudyError as error:
            raise StudyError(
                f"the cells are stored, but the figures and tables of {study.name} need more of the grid: {error}"
            ) from None
    same = _compare(results, manifest) if manifest else True
    if (drawn or manifest) and not chosen["as_json"]:
        first_screen(results.summary)
    if results.points:  # else an earlier summary, of other axes perhaps, says more than this one could
        results.write_summary()
    if chosen["as_json"]:
        print(results.summary_text(), end="")
    if drawn and (results.folder / MANIFEST).is_file():
        page = report.write(results.folder)
        if not chosen["as_json"] and not chosen["quiet"]:
            print(rest(results.summary, page), file=sys.stderr)
    if not results.complete:
        return INCOMPLETE
    return VIOLATED if results.violated else COMPLETE if same else UNEXPECTED


def _read_manifest(path: Path, study: Study) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        name, _ = manifest["study"], manifest["config"]["axes"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise StudyError(f"{path} is not the manifest of a study; expected {MANIFEST} of a results folder") from None
    if name != study.name:
        raise StudyError(f"{path} records the study {name!r}; this is {study.name!r}")
    return manifest


def _compare(results: Results, manifest: dict[str, Any]) -> bool:
    """Say whether the repeat gave the recorded numbers, and if not what has changed since."""
    told = results.summary["sentences"]
    digests = json.loads((results.folder / MANIFEST).read_text(encoding="utf-8"))["digests"]
    recorded = manifest.get("digests", {})
    shared = [k for k in recorded if k in digests]
    different = [k for k in shared if recorded[k] != digests[k]]
    if not different:
        told.insert(0, f"Repeated: {len(shared)} of {len(recorded)} recorded cells, all identical bit for bit.")
        return len(shared) == len(recorded)
    changed = differences(manifest, conditions(results.study))
    reason = "; ".join(changed) or "nothing that the manifest records has changed"
    told.insert(0, f"Repeated: {len(different)} of {len(shared)} cells differ from the manifest ({reason}).")
    return False
