# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Scores of CT slices as an Ignite handler of MONAI's evaluator."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.utils import CommonKeys as Keys

from .rows import write_rows
from .scores import score_slice
from .tables import write_score_tables

__all__ = ["CTScores"]


class CTScores:
    """Scores every slice that an evaluator denoises, and writes the tables at the end.

    Attach it to an evaluator whose postprocessed output holds ``image`` (low dose), ``label`` (normal dose) and
    ``pred`` (denoised), each ``(1, W, H)`` in HU with the axes of files, and whose batches have ``image_id`` and
    optionally ``kernel`` and ``subject``.

    Args:
        output_dir: the folder of ``scores.csv`` (one line per slice), ``summary.csv`` and ``summary.md``.
        method: the denoiser's name in the tables, which also include the low dose itself.
        window: center and width of the clinical window in HU.
        spacing_mm: side of a pixel.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        method: str = "denoised",
        window: tuple[float, float] = (40.0, 400.0),
        spacing_mm: float = 0.7,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.method, self.window, self.spacing_mm = method, tuple(window), spacing_mm
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Score each batch of ``engine``, and write the tables at its end."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.score)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def start(self, engine: Engine) -> None:
        """Discard the rows of an earlier run."""
        self.rows = []

    def score(self, engine: Engine) -> None:
        """Score the slices of the last batch."""
        batch = engine.state.batch
        for index, output in enumerate(engine.state.output):
            low, full, denoised = (_slice(output[key]) for key in (Keys.IMAGE, Keys.LABEL, Keys.PRED))
            words = {name: _word(batch, name, index) for name in ("subject", "kernel", "image_id")}
            for method, image in (("low dose", low), (self.method, denoised)):
                scores = score_slice(image, low, full, self.window, self.spacing_mm)
                self.rows.append({"method": method, **words, "weights": "", **scores})

    def write(self, engine: Engine) -> None:
        """Write the tables."""
        write_rows(self.output_dir / "scores.csv", self.rows)
        write_score_tables(self.rows, self.output_dir)


def _slice(image: Any) -> np.ndarray:
    return np.asarray(image[0], np.float64).T  # files come with axes x, y


def _word(batch: Any, name: str, index: int) -> str:
    values: Callable | Any = batch[index].get(name, "") if isinstance(batch, list) else batch.get(name, "")
    return str(values[index] if isinstance(values, (list, tuple)) else values)
