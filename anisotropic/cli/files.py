"""Which data sets are there, what does a results folder say? ``anisotropic datasets`` and ``anisotropic report``."""

from __future__ import annotations

from pathlib import Path

import click

from .common import emit, output_options, usage


@click.command()
@click.argument("name", metavar="NAME|FILE", required=False)
@output_options
def datasets(name: str | None, as_json: bool, quiet: bool) -> None:
    """The data sets available and those that can be fetched, or what one of them holds."""
    from .. import datasets as library

    if name is None:
        names = library.available()
        if as_json:
            emit(datasets=names, registry=library.registered())
        else:
            print("\n".join(names))
            if not quiet:
                from .._support.output import show

                rows = [row | {"at hand": row["name"] in names} for row in library.registered()]
                show(rows, "Fetched on first use")
        return
    with usage():
        X, y = library.load(name)
    rows, columns = X.shape
    facts = {"rows": rows, "columns": columns, "nonzero": X.nnz / (rows * columns), "positive": float((y > 0).mean())}
    if as_json:
        emit(name=name, **facts)
    elif quiet:
        print(rows, columns)
    else:
        print(f"{name}: {rows:,} rows, {columns:,} columns, {facts['nonzero']:.1%} nonzero, {facts['positive']:.1%} +1")


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="Default: report.html in DIR.")
@output_options
def report(folder: Path, output: Path | None, as_json: bool, quiet: bool) -> None:
    """One self-contained HTML page about a results folder."""
    from ..study.report import write

    path = write(folder, output)
    if as_json:
        emit(report=str(path))
    elif not quiet:
        print(path)
