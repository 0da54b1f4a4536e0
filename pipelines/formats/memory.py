# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether an image fits the memory, asked before its pixels are read: a small file may state or hold a huge image."""

from __future__ import annotations

import os
from pathlib import Path

from .stack import FormatError

__all__ = ["MemoryLimitError", "check_compressed", "check_memory", "free_memory"]

# Deflate, the strongest of the common methods, packs at most 258 bytes into two bits.
DEFLATE_RATIO = 1032
# The image as it was read, and the denoised one.
WORKING_COPIES = 2
# Asking the system takes longer than reading an image that fits any computer.
SMALL = 2**26
GIBIBYTE = 2**30
CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "inactive_file "),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "total_inactive_file ",
    ),
)


class MemoryLimitError(FormatError):
    """An image that does not fit the memory."""


def check_memory(path: Path, size: int, copies: int = WORKING_COPIES) -> None:
    """Refuse an image whose working set would not fit the free memory.

    Args:
        path: the file, for the message.
        size: bytes of its pixels, uncompressed, as the header states them.
        copies: how many times the pixels are in memory at once while they are read, denoised and written.

    Raises:
        MemoryLimitError: names the memory that is needed and that is free.
    """
    needed = size * copies
    if needed < SMALL:
        return
    free = free_memory()
    if free is not None and needed > free:
        raise MemoryLimitError(
            path,
            f"needs {needed / GIBIBYTE:.1f} GiB of memory by the size that its header states, and "
            f"{free / GIBIBYTE:.1f} GiB are free; split the image, or denoise it on a computer with more memory.",
        )


def check_compressed(path: Path, size: int, packed: int) -> None:
    """Refuse a deflated image that states more pixels than its bytes can hold.

    Args:
        path: the file, for the message.
        size: bytes of its pixels, uncompressed, as the header states them.
        packed: bytes of the file that holds them.

    Raises:
        FormatError: names both sizes.
    """
    if size > DEFLATE_RATIO * packed:
        raise FormatError(path, f"is truncated or damaged: {packed} bytes cannot hold the {size} that it states.")


def free_memory() -> int | None:
    """The memory that this process may still take: what the computer, the container and the process's limit leave.

    Returns:
        Bytes; None where the system does not say.
    """
    left = [value for value in (_of_computer(), _of_container(), _of_process()) if value is not None]
    return max(0, min(left)) if left else None


def _of_computer() -> int | None:
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:
        # Other systems say how much there is, and not how much is free.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _of_container() -> int | None:
    for limit, used, cache in CGROUPS:
        most, now = _text(limit).strip(), _text(used).strip()
        if most.isdigit() and now.isdigit():
            lines = _text(os.path.join(os.path.dirname(used), "memory.stat")).splitlines()
            # Cached files count as used, and are dropped when memory is needed.
            cached = sum(int(line.split()[1]) for line in lines if line.startswith(cache))
            return int(most) - int(now) + cached
    return None


def _of_process() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _text("/proc/self/statm").split()
    if most == resource.RLIM_INFINITY or not pages:
        return None
    return most - int(pages[0]) * resource.getpagesize()


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
