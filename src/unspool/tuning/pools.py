"""Where trainings run: `Processes`, several at a time, each in a process of its own, or `ThisProcess`, one by one."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Protocol

import msgspec

from unspool.tuning.job import Job, Outcome, TimeUp

__all__ = ["Pool", "Processes", "ThisProcess"]

_PATIENCE = 20.0  # seconds that a stopped training has to save its checkpoint
_THREADS = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "MKL_NUM_THREADS")


class Pool(Protocol):
    """Runs trainings."""

    running: dict[int, Job]
    """The trainings that have begun, by trial."""

    @property
    def has_room(self) -> bool:
        """Whether another training can begin."""

    def start(self, job: Job) -> None:
        """Begin a training."""

    def wait(self, seconds: float, deadline: float) -> Outcome | None:
        """Return the next outcome; None after some seconds without one, or at the deadline."""

    def stop(self) -> None:
        """Stop all trainings after a checkpoint, and wait for their end."""

    def close(self) -> None:
        """End all processes."""


class ThisProcess:
    """Run one training at a time, in this process.

    Args:
        run: Trains a job until a deadline, by `time.monotonic`.
    """

    def __init__(self, run: Callable[[Job, float], Outcome]) -> None:
        self.running: dict[int, Job] = {}
        self._run = run

    @property
    def has_room(self) -> bool:
        """Whether no training waits."""
        return not self.running

    def start(self, job: Job) -> None:
        """Keep the job for `wait`."""
        self.running[job.trial] = job

    def wait(self, seconds: float, deadline: float) -> Outcome | None:
        """Run the training to its end, or to the deadline."""
        job = next(iter(self.running.values()))
        try:
            outcome = self._run(job, deadline)
        except TimeUp:
            return None
        del self.running[job.trial]
        return outcome

    def stop(self) -> None:
        """Forget the job; the training has saved its checkpoint."""
        self.running.clear()

    def close(self) -> None:
        """Do nothing."""


class _Worker:
    """One worker process."""

    def __init__(self, threads: int) -> None:
        paths = [path or os.getcwd() for path in sys.path]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
        environment |= {name: os.environ.get(name, str(threads)) for name in _THREADS}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "unspool.tuning.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # ctrl-C in the terminal reaches this process alone, which stops the workers
        )
        self.job: Job | None = None

    @property
    def outcomes(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def start(self, job: Job) -> None:
        assert self.process.stdin is not None
        self.job = job
        with suppress(BrokenPipeError):  # `outcome` tells of the process's end
            self.process.stdin.write(msgspec.json.encode(job) + b"\n")
            self.process.stdin.flush()

    def outcome(self) -> Outcome:
        """Read the outcome of the job; the end of the process is a failure."""
        assert self.job is not None
        line = self.outcomes.readline()
        if line.endswith(b"\n"):
            return msgspec.json.decode(line, type=Outcome)
        code = self.process.wait()
        reason = f"signal {-code}, perhaps for want of memory" if code < 0 else f"exit code {code}"
        return Outcome(trial=self.job.trial, rung=self.job.rung, failure=f"its process ended with {reason}")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


class Processes:
    """Run several trainings at a time, each in a process of its own.

    Args:
        count: Number of processes.
        threads: Threads of each process for libraries that have no setting.
    """

    def __init__(self, count: int, threads: int) -> None:
        self.running: dict[int, Job] = {}
        self._count, self._threads = count, threads
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()

    @property
    def has_room(self) -> bool:
        """Whether fewer trainings run than there are processes."""
        return len(self.running) < self._count

    def start(self, job: Job) -> None:
        """Give the job to an idle process."""
        idle = next((worker for worker in self._workers if worker.job is None), None)
        if idle is None:
            idle = _Worker(self._threads)
            self._workers.append(idle)
            self._selector.register(idle.outcomes, selectors.EVENT_READ, idle)
        idle.start(job)
        self.running[job.trial] = job

    def wait(self, seconds: float, deadline: float) -> Outcome | None:
        """Wait for an outcome; at the deadline, kill the trainings."""
        left = deadline - time.monotonic()
        for key, _ in self._selector.select(max(0.0, min(seconds, left))):
            return self._collect(key.data)
        if left <= 0:
            self._end(list(self._workers))
        return None

    def _collect(self, worker: _Worker) -> Outcome:
        outcome = worker.outcome()
        del self.running[outcome.trial]
        worker.job = None
        if worker.process.poll() is not None:
            self._end([worker])
        return outcome

    def stop(self) -> None:
        """Ask the trainings to stop, and kill those that take too long."""
        busy = [worker for worker in self._workers if worker.job is not None]
        for worker in busy:
            worker.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + _PATIENCE
        while self.running and (left := end - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                self._collect(key.data)
        self.close()

    def close(self) -> None:
        """End all processes."""
        self._end(list(self._workers))
        self.running.clear()

    def _end(self, workers: list[_Worker]) -> None:
        for worker in workers:
            self._selector.unregister(worker.outcomes)
            self._workers.remove(worker)
            worker.end()
