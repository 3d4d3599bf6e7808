"""Would AdaGrad or Adam beat SGD on my data? ``anisotropic advise``."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import click

from .common import emit, output_options, usage


@click.command()
@click.argument("data", metavar="NAME|FILE")
@click.option("--quick", is_flag=True, help="Two batch sizes, fewer passes and seeds.")
@click.option("--batch-size", "batch_sizes", type=click.IntRange(1), multiple=True, help="One or several times.")
@click.option("--method", "methods", multiple=True, help="One or several times: sgd, adagrad, adam, ...")
@click.option("--budget", type=click.IntRange(1), help="Samples of one run; by default 10 passes over the rows.")
@click.option("--l2", type=float, help="The ridge; by default 1 over the number of rows.")
@click.option("--label", metavar="COLUMN", help="Column of labels of a CSV file; by default the last.")
@click.option("--replicas", type=click.IntRange(2), help="Seeds of the reported runs.")
@click.option("--seed", type=click.IntRange(0), default=0)
@click.option("--threads", type=click.IntRange(1))
@click.option("--results", type=click.Path(path_type=Path), metavar="DIR", help="Keep what is finished, and go on.")
@click.option("--figure", type=click.Path(path_type=Path), metavar="FILE", help="Also draw ratios against batch sizes.")
@output_options
def advise(
    data: str, batch_sizes: tuple[int, ...], methods: tuple[str, ...], label: str | None, results: Path | None,
    figure: Path | None, as_json: bool, quiet: bool, **options: Any,
) -> None:  # fmt: skip
    """Race SGD, AdaGrad and Adam on a data set at equal samples, and say which is ahead at which batch size.

    NAME is one that `anisotropic datasets` lists; FILE is LIBSVM text, CSV or NPZ.
    """
    from .. import advice, datasets
    from ..study.errors import StudyError

    started = time.perf_counter()

    def say(text: str) -> None:
        if not quiet:
            print(f"{time.perf_counter() - started:5.0f} s  {text}", file=sys.stderr, flush=True)

    try:
        with usage():
            X, y = datasets.load(data, target=label)
            found = advice.advise(
                X, y, batch_sizes=batch_sizes or None, methods=methods or None, results=results, say=say, **options
            )
            found = replace(found, problem=found.problem | {"name": data})
    except KeyboardInterrupt:
        again = "the same command goes on" if results else "with --results DIR the same command would go on"
        print(f"interrupted; {again}", file=sys.stderr)
        raise
    except StudyError as error:
        raise click.UsageError(str(error)) from None
    if figure is not None:
        from ..plotting import save

        with usage():
            save(cast(Any, found.plot().figure), figure.with_suffix(""), [figure.suffix.lstrip(".") or "pdf"])
    if as_json:
        emit(**found.to_dict())
    elif quiet:
        print("\n".join(found.sentences))
    else:
        print(found)
