# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C: the first one stops a command in good order, the second one ends it at once, whatever it is doing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .console import INTERRUPTED

__all__ = ["second_interrupt_ends"]


@contextmanager
def second_interrupt_ends() -> Iterator[None]:
    """Within the block, and until the process ends if it was interrupted there, a second Ctrl-C ends the process.

    The first one raises ``KeyboardInterrupt`` and hands the next one to the system, which no code can hold up. Where
    the main thread is busy in a library, so that not even the first one is noticed, another thread counts them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    interrupted = False

    def first(number: int, frame: object) -> None:
        nonlocal interrupted
        interrupted = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise KeyboardInterrupt

    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    threading.Thread(target=_count, args=(read_end,), name="interrupts", daemon=True).start()
    handler = signal.signal(signal.SIGINT, first)
    descriptor = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    try:
        yield
    finally:
        if not interrupted:
            signal.set_wakeup_fd(descriptor)
            signal.signal(signal.SIGINT, handler)
            os.close(write_end)


def _count(read_end: int) -> None:
    count = 0
    while numbers := os.read(read_end, 64):
        count += numbers.count(signal.SIGINT)
        if count > 1:
            os._exit(INTERRUPTED)
    os.close(read_end)
