"""How do cells reach a SLURM cluster? In job arrays, by submitit; each task of an array is a chunk of many cells.

The driver alone writes the store. It keeps calls and answers as files in DIR/slurm, which every node must see, asks
``squeue`` which tasks are still there, and needs no accounting database.
"""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from .._support.extras import require
from .errors import Stopped, StudyError
from .pool import Pool
from .workers import WorkerDied, answer_of

#: Tasks in flight unless --workers says otherwise.
WIDTH = 16
#: Minutes that a task may take unless the executor's name says otherwise; SLURM ends it then.
MINUTES = 60
#: Seconds of cells in a task, and seconds that starting one costs a cluster.
SECONDS, OVERHEAD = 30.0, 5.0
#: Tasks in one job array; clusters allow 1,001 by default.
ARRAY = 1000
#: Seconds between two looks for answers, and between two questions to the controller.
LOOK, ASK = 1.0, 5.0
#: Seconds until the answer of a task that has ended must be seen, and that the controller may be silent.
GRACE, PATIENCE = 20.0, 600.0


class SlurmPool(Pool):
    """Job arrays as a pool. What is submitted goes out at the next `check`, as one array."""

    executor: Any
    chunk_seconds, overhead, first_chunk = SECONDS, OVERHEAD, 1_000_000

    def __init__(self, executor: Any, width: int) -> None:
        super().__init__(executor, width)
        self.here = False
        self._new: list[tuple[Future, Callable, tuple[Any, ...]]] = []
        self._jobs: dict[Future, Any] = {}
        self._ended: dict[Future, float] = {}
        self._looked = self._asked = 0.0
        self._heard = time.monotonic()

    def submit(self, seconds: float | None, fn: Callable, *args: Any) -> Future:
        future: Future = Future()
        self._new.append((future, fn, args))
        return future

    def check(self) -> None:
        """Send what is new, fetch what is there, and ask which tasks are still known to the controller."""
        self._send()
        now = time.monotonic()
        if now - self._looked >= LOOK:
            self._looked = now
            for future, job in list(self._jobs.items()):
                if future.cancelled():
                    self._forget(future, end=True)
                elif job.paths.result_pickle.exists():
                    self._answer(future, job)
        if self._jobs and now - self._asked >= ASK:
            self._asked = now
            self._ask(now)

    def close(self) -> None:
        """End what is still in the queue or running; logs of tasks that died stay."""
        for future in list(self._jobs):
            self._forget(future, end=True)
        folder = Path(self.executor.folder)
        for pattern in ("*_submission.sh", ".submission_file_*.sh"):
            for script in folder.glob(pattern):
                script.unlink()
        with contextlib.suppress(OSError):
            folder.rmdir()

    def _send(self) -> None:
        calls = [call for call in self._new if not call[0].cancelled()]
        self._new.clear()
        for first in range(0, len(calls), ARRAY):
            jobs = []
            try:
                with self.executor.batch():
                    for _, fn, args in calls[first : first + ARRAY]:
                        jobs.append(self.executor.submit(answer_of, fn, args, {}))
            except Exception as error:
                reason = _last_line(str(error))
                raise Stopped(f"SLURM refused a job array ({reason}); finished cells are kept") from None
            self._jobs |= {future: job for (future, _, _), job in zip(calls[first:], jobs, strict=False)}

    def _answer(self, future: Future, job: Any) -> None:
        try:
            good, value = pickle.loads(job.result())
        except Exception as error:
            good, value = False, WorkerDied(f"the SLURM task {job.job_id} failed: {_last_line(str(error))}")
        if not future.running():
            future.set_running_or_notify_cancel()
        (future.set_result if good else future.set_exception)(value)
        self._forget(future)

    def _ask(self, now: float) -> None:
        states = self._states()
        if states is None:
            if now - self._heard > PATIENCE:
                raise Stopped("the SLURM controller does not answer any more; finished cells are kept")
            return
        self._heard = now
        for future, job in list(self._jobs.items()):
            state = states.get(job.job_id)
            if state == "RUNNING" and not future.running() and not future.set_running_or_notify_cancel():
                continue
            if state is not None:
                self._ended.pop(future, None)
            elif now - self._ended.setdefault(future, now) > GRACE:
                if not future.running():
                    future.set_running_or_notify_cancel()
                log = job.paths.stdout
                said = _last_line(log.read_text(errors="replace")) if log.exists() else "it wrote no log"
                future.set_exception(WorkerDied(f"the SLURM task {job.job_id} ended without an answer: {said}"))
                self._forget(future, keep=True)

    def _states(self) -> dict[str, str] | None:
        """State of every task by its id; None where the controller cannot be asked."""
        arrays = ",".join(sorted({job.job_id.partition("_")[0] for job in self._jobs.values()}))
        try:
            done = subprocess.run(
                ["squeue", "--noheader", "--array", "--jobs", arrays, "--format", "%i %T"],
                capture_output=True,
                text=True,
                timeout=60.0,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        if done.returncode and "Invalid job id" not in done.stderr:  # that is: all of them have ended
            return None
        return dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)

    def _forget(self, future: Future, end: bool = False, keep: bool = False) -> None:
        job = self._jobs.pop(future)
        self._ended.pop(future, None)
        if end:
            job.cancel(check=False)
        if not keep:
            for path in (job.paths.result_pickle, job.paths.submitted_pickle, job.paths.stdout):
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def slurm_pool(options: str, workers: int | None, folder: Path) -> Iterator[SlurmPool]:
    """A pool of job arrays; `options` such as "partition=short,time=30,mem=4GB" are those of sbatch."""
    submitit = require("submitit", "slurm")
    pairs = [pair.partition("=") for pair in options.split(",") if pair]
    if wrong := [name for name, sign, value in pairs if not (sign and value)]:
        raise StudyError(f"executor slurm got {wrong[0]!r}; expected NAME=VALUE, such as slurm:partition=short,time=30")
    given: dict[str, Any] = {name: int(value) if value.isdigit() else value for name, _, value in pairs}
    width = workers or WIDTH
    defaults = {"time": MINUTES, "cpus_per_task": 1, "job_name": "anisotropic", "array_parallelism": width}
    try:
        executor = submitit.SlurmExecutor(folder=folder / "slurm")
    except RuntimeError:
        raise StudyError(
            "there is no SLURM here: the command srun is not found; run the driver on a login node of the cluster"
        ) from None
    try:
        executor.update_parameters(stderr_to_stdout=True, use_srun=False, **(defaults | given))
    except (ValueError, TypeError) as error:
        raise StudyError(f"executor slurm: {str(error).partition(chr(10))[0]}; see sbatch for the names") from None
    pool = SlurmPool(executor, width)
    try:
        yield pool
    finally:
        pool.close()


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
