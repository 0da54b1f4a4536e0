# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Long commands in separate processes, which are logged, timed, and ended with their parent."""

from __future__ import annotations

import os
import platform
import resource
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

__all__ = ["device_name", "ended_by_sigterm", "run_logged"]


def run_logged(
    command: Sequence[str],
    log: str | os.PathLike,
    beat: Callable[[float, float], None] = lambda wall, cpu: None,
    beat_seconds: float = 10.0,
    pass_fds: Sequence[int] = (),
) -> int:
    """Run a command and append its output to a log.

    The command is terminated when an exception (such as Ctrl-C) leaves this function.

    Args:
        command: the arguments.
        log: the file for the command line and all output.
        beat: called with the elapsed wall-clock seconds and CPU seconds (of the command and its children) every
            ``beat_seconds`` and at the end, so that a record survives when the caller is killed.
        beat_seconds: the interval between two calls.
        pass_fds: file descriptors that the command inherits, such as one that holds a lock.

    Returns:
        The exit status.
    """
    before, started = _children_seconds(), time.monotonic()
    with Path(log).open("ab") as output:
        output.write(f"\n{time.strftime('%Y-%m-%d %H:%M:%S')} $ {shlex.join(command)}\n".encode())
        output.flush()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, pass_fds=pass_fds
        )
        try:
            while True:
                try:
                    process.wait(beat_seconds)
                    break
                except subprocess.TimeoutExpired:
                    beat(time.monotonic() - started, _tree_seconds(process.pid))
        except BaseException:
            _end(process)
            raise
        finally:
            beat(time.monotonic() - started, _children_seconds() - before)
    return process.returncode


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Turn SIGTERM into ``SystemExit(143)`` inside the block, so that running work is cleaned up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def device_name(device: str | None = None) -> str:
    """Return the name of the processor that networks run on.

    Args:
        device: ``"cpu"``, ``"cuda"``, ...; None takes a GPU where there is one.

    Returns:
        The name of the GPU or of the CPU.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _children_seconds() -> float:
    """CPU seconds of all children that have ended, including their own children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _tree_seconds(pid: int) -> float:
    """CPU seconds so far of a running process and its descendants; 0 on systems without ``/proc``."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    except OSError:
        return 0.0
    # utime, stime, cutime, cstime: the 14th to 17th field, of which the first two lie before the name's end.
    ticks = sum(int(value) for value in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK") + sum(_tree_seconds(int(child)) for child in children)
