# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What a bundle's command line tells its user: what it does, how much is left, and where the results are."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from ignite.engine import Engine, Events
from tqdm import tqdm

from .preflight import config_files

__all__ = ["InferenceProgress", "print_results"]


class InferenceProgress:
    """Handler that prints what an inference does, its progress, and where its results are.

    File names may contain a patient's name, so images are counted, not named.

    Args:
        items: the data list.
        output_dir: the folder of the results.
    """

    def __init__(self, items: Sequence[Any], output_dir: str | os.PathLike) -> None:
        self.items, self.output_dir = items, output_dir
        self.bar: tqdm | None = None

    def attach(self, engine: Engine) -> None:
        """Follow ``engine``, an evaluator with one item per iteration."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._advance)
        engine.add_event_handler(Events.COMPLETED, self._complete)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _start(self) -> None:
        count = len(self.items)
        print(f"denoising {'1 image or volume' if count == 1 else f'{count} images and volumes'}", flush=True)
        interval = 0.5 if sys.stderr.isatty() else 30.0
        self.bar = tqdm(total=count, desc="denoising", unit="image", mininterval=interval, dynamic_ncols=True)

    def _advance(self) -> None:
        self.bar.update(1)

    def _complete(self) -> None:
        self.bar.close()
        print(f"results: {os.path.abspath(self.output_dir)}", flush=True)

    def _fail(self, engine: Engine, error: Exception) -> None:
        self.bar.close()
        raise error


def print_results(output_dir: str | os.PathLike, enabled: bool = True) -> None:
    """Print where the results of a ``python -m monai.bundle run`` command line are.

    Args:
        output_dir: their folder.
        enabled: False prints nothing (other ranks). Nor does a process whose command line does not run a bundle.
    """
    if enabled and config_files():
        print(f"results: {os.path.abspath(output_dir)}", flush=True)
