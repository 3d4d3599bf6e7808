"""Which studies are there, and how are they run? ``anisotropic study``."""

from __future__ import annotations

from pathlib import Path

import click

from .common import PASS_ON, Group, emit, output_options, unknown


@click.group(cls=Group)
def study() -> None:
    """List, run, inspect and draw studies.

    A study is named by its file, or by its name: those in ./studies, or where there are none the ones that came with
    the package.
    """


def study_folder() -> Path:
    """Where studies are looked for: ./studies, or those that came with the package."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "_studies"  # in a wheel
    return next((f for f in (Path("studies"), shipped) if f.is_dir()), package.parent / "studies")


def study_files() -> dict[str, Path]:
    """The studies by name."""
    return {p.stem: p for p in sorted(study_folder().glob("*.py")) if not p.stem.startswith("_")}


def find_study(name: str) -> Path:
    """The file of a study that is named by its file, or by its name."""
    files = study_files()
    if name in files:
        return files[name]
    if name.endswith(".py") and Path(name).is_file():
        return Path(name)
    raise click.UsageError(unknown("study", name, list(files)))


@study.command("list")
@output_options
def study_list(as_json: bool, quiet: bool) -> None:
    """The studies and the questions that they answer."""
    import ast

    from .._support.output import show

    rows = []
    for name, path in study_files().items():
        document = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        rows.append({"study": name, "question": document.partition("\n")[0]})
    if as_json:
        emit(studies=rows)
    elif quiet:
        print("\n".join(row["study"] for row in rows))
    else:
        show(rows, "Studies")


def study_command(word: str, about: str) -> None:
    """Define one of ``study run``, ``study status`` and ``study plot``; their options are those of the study."""

    @study.command(word, help=about, context_settings=PASS_ON | {"help_option_names": []})
    @click.argument("name", metavar="NAME|FILE", required=False)
    @click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS]")
    @click.pass_context
    def command(ctx: click.Context, name: str | None, options: tuple[str, ...]) -> int | None:
        if name is None or name in ("--help", "-h"):
            print(ctx.get_help() + "\n\n  'anisotropic study run NAME --help' lists the options and axes of a study.")
            return None
        if name.startswith("-"):
            raise click.UsageError(f"the name of a study comes first: anisotropic study {word} NAME {name}")
        from ..study import main as run_study

        words = list(options) if word == "run" else [word, *options]
        return run_study(find_study(name), words, prog=f"anisotropic study run {name}")


study_command("run", "Compute what is missing, then plot; --quick for a first look.")
study_command("status", "How many cells are done, failed or missing.")
study_command("errors", "Why cells failed: their tracebacks.")
study_command("plot", "Draw what is there.")
