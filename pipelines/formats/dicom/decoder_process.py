# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Decoders of compressed frames in a process of their own: damaged data may end or hang it, and the run goes on.

The process reads one JSON line for each file, and answers each frame with a JSON line and the bytes of its pixels.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..stack import FormatError

__all__ = ["decoded_frames", "serve"]

START = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {__name__} import serve; serve()"
# A frame is given up after this time, and a second for each megabyte of its pixels.
PATIENCE = 60.0
# It holds more than the longest line.
LARGEST_LINE = 2**16

_idle: list[_Decoder] = []
_lock = threading.Lock()


def decoded_frames(path: Path, shape: tuple[int, ...], plugin: str) -> Iterator[np.ndarray]:
    """Decode the frames of a file in another process. It is started on first use, and again after it has died.

    Args:
        path: the file.
        shape: of each frame, ``(H, W)`` or ``(H, W, 3)``.
        plugin: pydicom's name of the decoder; ``""`` takes its first choice.

    Yields:
        Each frame.

    Raises:
        FormatError: when a frame has another shape, or the decoder fails, dies or takes too long.
    """
    with _lock:
        decoder = _idle.pop() if _idle else None
    if decoder is not None and decoder.process.poll() is not None:
        decoder.end()  # it was killed meanwhile
        decoder = None
    if decoder is None:
        decoder = _Decoder()
    whole = False
    try:
        yield from decoder.frames(path, shape, plugin)
        whole = True
    except _DecodingError as error:
        whole = True
        raise FormatError(path, f"cannot be read as DICOM: {error}") from error
    finally:
        # After anything else, unread frames may still be on their way.
        if whole:
            with _lock:
                _idle.append(decoder)
        else:
            decoder.end()


def serve() -> None:
    """Answer requests on standard input until it ends."""
    answers = os.fdopen(os.dup(1), "wb")
    # Decoders print to standard output.
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        # The system ends a process that hangs even where its parent is gone.
        _alarm(request["limit"])
        try:
            for frame in _decode(Path(os.fsdecode(bytes.fromhex(request["path"]))), request["plugin"]):
                frame = np.ascontiguousarray(frame)
                _send(answers, {"shape": frame.shape, "dtype": frame.dtype.str})
                answers.write(memoryview(frame).cast("B"))
                _alarm(request["limit"])
            _send(answers, {"done": True})
        except Exception as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            _send(answers, {"error": (lines[-1] if lines else type(error).__name__)[:300]})
        finally:
            _alarm(0)


def _alarm(seconds: float) -> None:
    if hasattr(signal, "alarm"):
        signal.alarm(math.ceil(seconds))


class _DecodingError(Exception):
    """The decoder's own error; its process lives on."""


class _Decoder:
    """The process, as its parent sees it."""

    def __init__(self) -> None:
        # In a session of its own: Ctrl-C is for the parent, which ends its decoders.
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def frames(self, path: Path, shape: tuple[int, ...], plugin: str) -> Iterator[np.ndarray]:
        limit = PATIENCE + math.prod(shape) / 1e6
        request = {"path": os.fsencode(os.path.abspath(path)).hex(), "plugin": plugin, "limit": 2 * limit}
        try:
            _send(self.process.stdin, request)
        except OSError:
            raise FormatError(path, "the decoder of its pixels has ended.") from None
        while True:
            late = threading.Timer(limit, self.process.kill)
            late.daemon = True
            late.start()
            try:
                frame = self._answer(path, shape)
            finally:
                late.cancel()
            if frame is None:
                return
            yield frame

    def _answer(self, path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
        answer = self._line(path)
        if "error" in answer:
            raise _DecodingError(answer["error"])
        if "done" in answer:
            return None
        if tuple(answer["shape"]) != shape:
            raise FormatError(
                path, f"its pixel data are not the frames of {shape} that its header states, but of {answer['shape']}."
            )
        frame = np.empty(shape, answer["dtype"])
        buffer, done = memoryview(frame).cast("B"), 0
        while done < len(buffer):
            got = self.process.stdout.readinto(buffer[done:])
            if not got:
                raise self._death(path)
            done += got
        return frame

    def _line(self, path: Path) -> dict[str, Any]:
        line = self.process.stdout.readline(LARGEST_LINE)
        if not line.endswith(b"\n"):
            raise self._death(path)
        return json.loads(line)

    def _death(self, path: Path) -> FormatError:
        self.end()
        return FormatError(path, "its compressed pixels are damaged: they made the decoder crash or hang.")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # of bytes that nobody takes any more
                pipe.close()


def _send(file: BinaryIO, message: dict[str, Any]) -> None:
    file.write(json.dumps(message).encode() + b"\n")
    file.flush()


def _decode(path: Path, plugin: str) -> Iterator[np.ndarray]:
    from pydicom.pixels import get_decoder

    from .file import read_dataset

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = read_dataset(path)
        decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
        for frame, _ in decoder.iter_array(dataset, as_rgb=True, correct_unused_bits=True, decoding_plugin=plugin):
            yield frame


@atexit.register
def _end_all() -> None:
    with _lock:
        while _idle:
            _idle.pop().end()


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    _idle.clear()


if hasattr(os, "register_at_fork"):
    # The processes belong to the parent.
    os.register_at_fork(after_in_child=_forget)
