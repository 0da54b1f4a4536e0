# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What libraries say of odd files stays unsaid: it may quote a header's values, and with them a patient's data."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import SimpleITK

__all__ = ["quiet_libraries"]

LOGGERS = ("pydicom", "nibabel", "tifffile", "PIL")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Neither warnings nor log lines of the libraries that read files, in all threads of the process.

    Failures are not hidden: those are errors, which name the file and the cause.
    """
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [logger.level for logger in loggers]
    display = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(display)
        for logger, level in zip(loggers, before):
            logger.setLevel(level)
