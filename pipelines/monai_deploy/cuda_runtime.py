# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The CUDA runtime library that Holoscan is linked against, for machines without CUDA."""

from __future__ import annotations

import ctypes
from importlib.util import find_spec
from pathlib import Path

__all__ = ["preload_cuda_runtime"]

LIBRARY = Path("cu13", "lib", "libcudart.so.13")


def preload_cuda_runtime() -> bool:
    """Load the library from the package ``nvidia-cuda-runtime``, which is on no linker path.

    It needs neither a GPU nor a driver.

    Returns:
        Whether the package is installed. If not, Holoscan finds the system's library or reports that it is missing.
    """
    namespace = find_spec("nvidia")
    for folder in () if namespace is None else namespace.submodule_search_locations:
        path = Path(folder, LIBRARY)
        if path.exists():
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
            return True
    return False
