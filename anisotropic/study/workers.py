"""Which process computed what? Worker processes that die alone and are known by name, and that end with their driver.

The pool of the standard library forgets which call killed a worker, gives up all calls when one dies, and leaves its
workers behind when the driver is killed. Here every worker has a pipe of its own and a thread that waits for it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any

from .errors import StudyError


class WorkerDied(Exception):
    """The process that computed a call ended before it answered."""


class TookTooLong(WorkerDied):
    """The process was ended since a call took longer than allowed."""


class Workers(Executor):
    """An executor of `count` processes. A call that kills its process fails with `WorkerDied`; the others go on."""

    def __init__(self, count: int) -> None:
        self._calls: queue.SimpleQueue[tuple[Future, bytes, float | None] | None] = queue.SimpleQueue()
        self._context = get_context("spawn")
        self._processes: dict[int, Any] = {}
        self._closed = False
        self._first = pickle.dumps((_nothing, (), {}))
        self.count = count
        for number in range(count):
            threading.Thread(target=self._serve, args=(number,), daemon=True).start()

    def prepare(self, fn: Callable[..., Any], /, *args: Any) -> None:
        """What every process calls before its first call, outside of any limit of time."""
        self._first = _packed(fn, args, {})

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        return self.submit_within(None, fn, *args, **kwargs)

    def submit_within(self, seconds: float | None, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Like `submit`; after so many seconds the process is ended and the call fails with `TookTooLong`."""
        if self._closed:
            raise RuntimeError("these workers were shut down")
        future: Future = Future()
        self._calls.put((future, _packed(fn, args, kwargs), seconds))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, also those that compute."""
        self._closed = True
        for _ in range(self.count):
            self._calls.put(None)
        for process in list(self._processes.values()):
            process.kill()
        for process in list(self._processes.values()):
            process.join()

    def _serve(self, number: int) -> None:
        """Hand calls to one process, and start another when it dies."""
        pipe: Connection | None = None
        while (item := self._calls.get()) is not None:
            future, call, seconds = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if pipe is None:
                    pipe = self._start(number)
                pipe.send_bytes(call)
                if not wait([pipe], seconds):
                    self._processes[number].kill()
                    raise TookTooLong(f"it took more than {seconds:.3g} s")
                good, value = pickle.loads(pipe.recv_bytes())
            except BaseException as error:
                if pipe is not None:
                    pipe.close()
                    pipe = None
                future.set_exception(self._death(number) if isinstance(error, (EOFError, OSError)) else error)
            else:
                (future.set_result if good else future.set_exception)(value)
        if pipe is not None:
            pipe.close()

    def _start(self, number: int) -> Connection:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs,), daemon=True)
        process.start()
        self._processes[number] = process
        theirs.close()
        if self._closed:
            process.kill()
        try:
            ours.send_bytes(self._first)
            good, value = pickle.loads(ours.recv_bytes())
        except (EOFError, OSError):
            raise StudyError(
                f"a worker process ended as soon as it started ({self._death(number)}); a script that runs a study "
                'must do so below if __name__ == "__main__":, since every worker imports it'
            ) from None
        if not good:
            raise value
        return ours

    def _death(self, number: int) -> WorkerDied:
        process = self._processes[number]
        process.join(5.0)
        code = process.exitcode
        if code is None or code >= 0:
            return WorkerDied(f"the process that computed it ended with exit code {code}")
        name = signal.Signals(-code).name if -code in signal.Signals._value2member_map_ else f"signal {-code}"
        hint = {"SIGKILL": "; out of memory?", "SIGSEGV": "; a fault in compiled code"}.get(name, "")
        return WorkerDied(f"the process that computed it was killed by {name}{hint}")


def _work(pipe: Connection) -> None:
    """What a worker does: answer calls until the driver is gone."""
    for name in ("SIGINT", "SIGTERM"):  # of Ctrl-C and batch systems, which the driver answers for all
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send_bytes(answer_of(*pickle.loads(pipe.recv_bytes())))


def answer_of(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """What a call gives, pickled: True and its value, or False and its exception."""
    try:
        return pickle.dumps((True, fn(*args, **kwargs)))
    except BaseException as error:
        return _failure(error)


def _packed(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    try:
        return pickle.dumps((fn, args, kwargs))
    except Exception as error:
        raise StudyError(
            f"the cell cannot be sent to another process ({error}); define it in a file, or use executor='threads'"
        ) from None


def _nothing() -> None:
    """Before the first call nothing is to be prepared."""


def _failure(error: BaseException) -> bytes:
    try:
        answer = pickle.dumps((False, error))
        pickle.loads(answer)
    except Exception:
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
    return answer


def _end_with_driver() -> None:
    driver = parent_process()
    if driver is not None:
        wait([driver.sentinel])
        os._exit(1)
