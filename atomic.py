# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that are whole at any moment. The one module that every other may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_path", "write_text_atomically"]


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary name to write to; it takes the place of ``path`` when the block ends without an error.

    A kill, an error or a full disk leaves the old file, or none, never a part.

    Args:
        path: the file; missing folders are made.

    Yields:
        A path in the same folder that ends in the same name, so that writers which look at suffixes see the right one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.tmp.{path.name}")
    try:
        yield temporary
        # On disk before the name is: a power cut must not leave an empty file under a good name.
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text_atomically(path: str | os.PathLike, text: str) -> Path:
    """Write a text file through :func:`atomic_path`.

    Args:
        path: the file; missing folders are made.
        text: its content, written as UTF-8 with the line ends it has.

    Returns:
        ``path``.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
    return Path(path)
