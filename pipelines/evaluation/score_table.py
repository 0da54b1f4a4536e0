# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The scores of every image under every condition, in one CSV that survives interruptions and grows by method."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents

from ...atomic import write_text_atomically
from ..metrics import SCORES
from .summary import summarize, summary_markdown

__all__ = ["ScoreTable", "ScoreTableError", "read_scores", "wait_for"]

logger = logging.getLogger(__name__)

SETUP = ("split", "protocol", "seed", "crop", "clip", "quantize")
CONDITION = ("image_id", "pattern", "sigma")
COLUMNS = (
    "modality",
    "source",
    "pattern",
    "sigma",
    "method",
    "image_id",
    *SCORES,
    "seconds",
    "weights",
    "network",
    *SETUP,
)
TEXT = ("modality", "source", "pattern", "method", "image_id", "weights", "network", "split", "protocol", "crop")
NUMBERS = ("sigma", *SCORES, "seconds")


class ScoreTableError(ValueError):
    """A table that cannot be continued; the message names the file and the cause."""


def read_scores(path: str | os.PathLike) -> pd.DataFrame:
    """Read ``scores.csv``.

    Args:
        path: the file.

    Returns:
        One row per image and condition. The columns are ``modality``, ``source``, ``pattern``, ``sigma`` (0..255
        scale), ``method``, ``image_id``, the scores (NaN where the table is older than a score), ``seconds``,
        ``weights`` (SHA-256 or empty), ``network`` (:func:`~noisewise.pipelines.evaluation.network_digest`),
        ``split``, ``protocol``, ``seed``, ``crop`` (pixels or ``none``), ``clip`` and ``quantize``.

    Raises:
        ScoreTableError: when the file is not such a table.
    """
    try:
        rows = pd.read_csv(
            path,
            dtype={**dict.fromkeys(TEXT, str), **dict.fromkeys(NUMBERS, float), "clip": bool, "quantize": bool},
            keep_default_na=False,
            na_values={name: ["", "nan"] for name in NUMBERS},
        )
    except (ValueError, OSError) as error:
        raise ScoreTableError(f"{path}: is not a table of scores: {error}") from error
    missing = [name for name in SCORES if name not in rows]
    if tuple(rows.columns) != tuple(name for name in COLUMNS if name not in missing) or "psnr" in missing:
        raise ScoreTableError(f"{path}: is not a table of scores: its columns are {list(rows.columns)}.")
    return rows.reindex(columns=list(COLUMNS))


class ScoreTable:
    """Handler that collects the scores of an evaluation's images in a folder.

    The folder has ``scores.csv`` (one row per image and condition), ``summary.csv`` and ``summary.md`` (see
    :func:`~noisewise.pipelines.evaluation.summarize`). It belongs to one setup (split, protocol, seed, crop, clipping)
    and collects any number of methods, conditions and images. Existing rows are kept and not computed again; only rows
    of a method that were made with other weights or another network are replaced. Rows are written atomically every
    ``flush_seconds`` and at the end, so an interrupted run loses seconds. Images are identified by their ``image_id``
    alone, never by name or path.

    Args:
        output_dir: the folder; made when the first rows are written.
        split: the evaluated split; None for all images.
        protocol: noise protocol.
        seed: base seed of the noise.
        crop: side of the scored center crop in pixels, None for whole images.
        clip: whether noisy images were clipped.
        quantize: whether they were rounded to 256 levels.
        flush_seconds: the longest time that computed rows stay unwritten.

    Raises:
        ScoreTableError: when the folder has scores of another setup, or ``scores.csv`` is not a table of scores.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        split: str | None = "test",
        protocol: str = "physical",
        seed: int = 0,
        crop: int | None = None,
        clip: bool = False,
        quantize: bool = False,
        flush_seconds: float = 20.0,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.setup: dict[str, Any] = {
            "split": split or "all",
            "protocol": protocol,
            "seed": int(seed),
            "crop": "none" if crop is None else str(int(crop)),
            "clip": bool(clip),
            "quantize": bool(quantize),
        }
        self.flush_seconds = flush_seconds
        self.identity = {"method": "", "weights": "", "network": ""}
        self._items: list[dict[str, Any]] = []
        self._seconds: list[float] = []
        self._written, self._started, self._elapsed, self._flushed = 0, 0.0, 0.0, 0.0
        self._check_setup()

    @property
    def scores_path(self) -> Path:
        """``scores.csv``."""
        return self.output_dir / "scores.csv"

    def rows(self) -> pd.DataFrame:
        """All rows written so far; see :func:`read_scores`."""
        return read_scores(self.scores_path) if self.scores_path.exists() else pd.DataFrame(columns=list(COLUMNS))

    def begin(self, method: str, weights: str = "", network: str = "") -> None:
        """Set the method whose scores follow.

        Args:
            method: its name in the tables.
            weights: digest of its weights; empty for methods that have none.
            network: digest of its structure and settings, as the same weights give other images in another network.
        """
        self.identity = {"method": method, "weights": weights, "network": network}

    def pending(self, items: Sequence[Mapping[str, Any]]) -> list[int]:
        """Find the conditions that the current method has no row for.

        Args:
            items: conditions, as :func:`~noisewise.pipelines.evaluation.conditions.expand_conditions` gives them.

        Returns:
            Their indices, in order.
        """
        rows = self.rows()
        own = rows[self._is_current(rows)]
        done = set(own[list(CONDITION)].itertuples(index=False, name=None))
        keys = ((item["image_id"], item["noise"]["pattern"], float(item["noise"]["std"])) for item in items)
        return [index for index, key in enumerate(keys) if key not in done]

    def attach(self, engine: Engine) -> None:
        """Collect the scores of ``engine``, a :class:`~noisewise.pipelines.evaluation.ComparisonEvaluator`."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_STARTED, self._start_clock)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._stop_clock)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)

    def flush(self, engine: Engine) -> None:
        """Write the rows that were computed since the last call.

        Args:
            engine: the evaluator whose metrics hold them.
        """
        count, done = len(self._items), self._written
        self._flushed = time.monotonic()
        if count == done:
            return
        values = {name: engine.score_metrics[name].metric_fn.get_buffer()[done:count] for name in SCORES}
        fresh = pd.DataFrame(self._items[done:count])
        for name, column in values.items():
            # Six decimals are precise enough, and keep the file readable.
            fresh[name] = column.double().cpu().numpy().reshape(len(fresh), -1).mean(1).round(6)
        fresh["seconds"] = [round(value, 4) for value in self._seconds[done:count]]
        fresh = fresh.assign(**self.identity, **self.setup)[list(COLUMNS)]
        self._write(fresh)
        self._written = count

    def write_summary(self) -> None:
        """Write ``summary.csv`` and ``summary.md`` from all rows of the folder."""
        rows = self.rows()
        write_text_atomically(self.output_dir / "summary.csv", summarize(rows).to_csv(index=False))
        write_text_atomically(self.output_dir / "summary.md", summary_markdown(rows))

    def _check_setup(self) -> None:
        rows = self.rows()
        for key, value in self.setup.items():
            other = [found for found in rows[key].unique() if found != value]
            if other:
                raise ScoreTableError(
                    f"{self.scores_path}: has scores made with {key} {other[0]}, this evaluation uses {key} {value}; "
                    "choose another output folder."
                )

    def _is_current(self, rows: pd.DataFrame) -> pd.Series:
        return (rows[list(self.identity)] == list(self.identity.values())).all(axis=1)

    def _write(self, fresh: pd.DataFrame) -> None:
        # Read again, because another process may have added its method in the meantime.
        rows = self.rows()
        old = (rows["method"] == self.identity["method"]) & ~self._is_current(rows)
        if old.any():
            logger.warning(
                "replacing %d rows of %s, made with other weights or settings", old.sum(), self.identity["method"]
            )
        kept = [part for part in (rows[~old], fresh) if len(part)]
        merged = pd.concat(kept).drop_duplicates(["method", *CONDITION], keep="last")
        order = {name: index for index, name in enumerate(merged["method"].unique())}
        merged = merged.sort_values(
            ["method", "modality", "image_id", "pattern", "sigma"],
            key=lambda column: column.map(order) if column.name == "method" else column,
        )
        write_text_atomically(self.scores_path, merged.to_csv(index=False, na_rep="nan"))

    def _start(self, engine: Engine) -> None:
        self._items, self._seconds, self._written = [], [], 0
        self._flushed = time.monotonic()

    def _start_clock(self, engine: Engine) -> None:
        wait_for(engine.state.device)
        self._started = time.perf_counter()

    def _stop_clock(self, engine: Engine) -> None:
        wait_for(engine.state.device)
        self._elapsed = time.perf_counter() - self._started

    def _collect(self, engine: Engine) -> None:
        batch = engine.state.batch
        for item in batch:
            noise = item["noise"]
            self._items.append(
                {
                    "modality": item["modality"],
                    "source": item["source"],
                    "image_id": item["image_id"],
                    "pattern": noise["pattern"],
                    "sigma": float(noise["std"]),
                }
            )
            self._seconds.append(self._elapsed / len(batch))
        if time.monotonic() - self._flushed >= self.flush_seconds:
            self.flush(engine)


def wait_for(device: torch.device | None) -> None:
    """Wait until a GPU has finished its work, so that times include it; return at once on the CPU."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
