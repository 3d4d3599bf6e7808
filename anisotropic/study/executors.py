"""Who computes? Threads, processes, a Dask cluster or anything else with `submit`, by name."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .._support.environment import cores
from .._support.extras import MissingExtra, require
from .errors import Stopped, StudyError
from .pool import Pool, Serial
from .slurm import slurm_pool
from .workers import Workers

KNOWN = "serial, threads, processes, dask, dask:ADDRESS, slurm, slurm:OPTION=VALUE,..."
#: Seconds that a Dask cluster may be without a scheduler, or without the workers that it had, before it is given up.
PATIENCE = 60.0
#: Seconds between two questions to a Dask scheduler.
PULSE = 5.0


class DaskPool(Pool):
    """A Dask client as a pool: it follows the number of workers, and notices when the scheduler is gone."""

    def __init__(self, client: Any, executor: Executor) -> None:
        super().__init__(executor, 1)
        self.client = client
        self._asked, self._missed, self._had_workers = -PULSE, float("inf"), False
        self._address = getattr(client.scheduler, "address", "")
        self.check()

    def check(self) -> None:
        now = time.monotonic()
        if now - self._asked < PULSE and self.client.status == "running":
            return
        self._asked = now
        threads = self._threads()
        if threads:
            self.width, self._missed, self._had_workers = threads, float("inf"), True
        self._missed = min(self._missed, now)
        gone = self.client.status in ("closed", "closing")
        if threads == 0 and (gone or (self._had_workers and now - self._missed > PATIENCE)):
            what = "has no workers any more" if self.client.status == "running" else "does not answer any more"
            raise Stopped(
                f"the Dask scheduler {self._address} {what}; finished cells are kept: start it again with its workers"
            )

    def _threads(self) -> int:
        """Threads of all workers; 0 where the scheduler does not answer."""
        if self.client.status != "running":
            return 0
        try:
            return sum(self.client.sync(self.client.scheduler.ncores, callback_timeout=PULSE).values())
        except (OSError, TimeoutError, AttributeError):
            return 0


@contextlib.contextmanager
def pool_of(name: str | Executor, workers: int | None, folder: Path) -> Iterator[Pool]:
    """The pool of a name; an executor that the caller made is used and left open. Files of jobs go into `folder`."""
    if isinstance(name, Executor):
        client = getattr(name, "_client", None)
        if hasattr(client, "scheduler"):
            yield DaskPool(client, name)
        else:
            yield Pool(name, workers or getattr(name, "_max_workers", None) or cores())
        return
    kind, _, address = name.partition(":")
    width = workers or cores()
    executor: Executor
    if kind == "serial":
        executor, width = Serial(), 1
    elif kind == "threads":
        executor = ThreadPoolExecutor(width)
    elif kind == "processes":
        executor = Workers(width)
    elif kind == "dask":
        with _dask_client(address, width) as client:
            yield DaskPool(client, client.get_executor(pure=False))
        return
    elif kind == "slurm":
        with slurm_pool(address, workers, folder) as pool:
            yield pool
        return
    else:
        raise StudyError(f"executor {name!r} is unknown; expected one of {KNOWN}")
    try:
        yield Pool(executor, width)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def _dask_client(address: str, width: int) -> Iterator[Any]:
    """A client of the cluster at an address, or of one on this machine that strangers cannot reach."""
    distributed = require("dask.distributed", "distributed")
    with contextlib.ExitStack() as stack:
        if address:
            try:
                client = stack.enter_context(distributed.Client(address))
            except (OSError, ValueError, TypeError) as error:
                reason = str(error) or type(error).__name__
                raise StudyError(f"no Dask scheduler answers at {address!r} ({reason}); expected HOST:PORT") from None
        else:
            parts = ("scheduler", "worker", "nanny")
            silent: dict[str, list[str]] = {f"distributed.{part}.http.routes": [] for part in parts}
            stack.enter_context(require("dask.config", "distributed").set(silent))
            cluster = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=width,
                    threads_per_worker=1,
                    security=_encryption(distributed),
                    scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                )
            )
            client = stack.enter_context(distributed.Client(cluster))
        yield client


def _encryption(distributed: Any) -> Any:
    """Certificates for one run: without them everyone on this machine could send code to the scheduler's port."""
    try:
        return distributed.Security.temporary()
    except ImportError as error:
        raise MissingExtra(
            "executor 'dask' encrypts its connections with the package cryptography, which is not installed; it comes "
            "with the extra 'distributed': run pip install 'anisotropic[distributed]', or use executor 'processes'",
            name="cryptography",
        ) from error
