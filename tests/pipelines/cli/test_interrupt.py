# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The first Ctrl-C stops in good order, the second one ends the process, whatever it is doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from noisewise.pipelines.cli.interrupt import second_interrupt_ends

HOLD_ON = """
import signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from noisewise.pipelines.cli.interrupt import second_interrupt_ends

def forever():
    while True:
        pass

with second_interrupt_ends():
    with ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(forever)
            print("ready", flush=True)
            time.sleep(1000)
        except KeyboardInterrupt:
            print("first", flush=True)
            {then}
"""
# Code of a library that neither returns nor lets Python handle signals.
BUSY = """
import ctypes
from noisewise.pipelines.cli.interrupt import second_interrupt_ends

with second_interrupt_ends():
    print("ready", flush=True)
    while True:
        ctypes.CDLL(None).sem_wait(ctypes.create_string_buffer(64))
"""


def started(code):
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("then", ["raise", "forever()", "pool.submit(forever).result()"])
def test_the_second_ends_what_the_first_does_not(then):
    process = started(HOLD_ON.format(then=then))
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "first\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(60) in (-signal.SIGINT, 130)


@pytest.mark.skipif(sys.platform != "linux", reason="needs the C library's semaphores")
def test_a_main_thread_that_never_returns():
    blocked = BUSY.replace("while True:\n        ctypes", "while True:\n        ctypes")
    process = started(blocked)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    assert process.wait(60) in (-signal.SIGINT, 130)


def test_without_an_interrupt_everything_is_as_before():
    handler = signal.getsignal(signal.SIGINT)
    before = set(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else set()
    for _ in range(3):
        with second_interrupt_ends():
            assert signal.getsignal(signal.SIGINT) is not handler
        assert signal.getsignal(signal.SIGINT) is handler
    assert signal.set_wakeup_fd(-1) == -1 and before is not None
