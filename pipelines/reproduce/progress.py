# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""How much of a long piece of work is done, and how much is left."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

__all__ = ["TrainingWatch", "duration", "numbered"]

Item = TypeVar("Item")
Report = Callable[[str], None]


def numbered(items: Sequence[Item], report: Report) -> Iterator[tuple[Item, Report]]:
    """Go through items, each with a report whose lines begin with the item's place.

    Args:
        items: all of them.
        report: receives each line of progress.

    Yields:
        The item, and a function that reports a line such as ``"[2/9] dncnn: scoring"``. A single item has no number.
    """
    for number, item in enumerate(items, 1):
        place = f"[{number}/{len(items)}] " if len(items) > 1 else ""
        yield item, lambda line, place=place: report(place + line)


def duration(seconds: float) -> str:
    """A length of time in words.

    Args:
        seconds: of any size.

    Returns:
        Such as ``"3 h 20 min"``, ``"12 min"`` or ``"40 s"``.
    """
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


class TrainingWatch:
    """Reports how far a training in another process is, by its record of validations.

    Args:
        history: its ``validation.jsonl``.
        begun: the epoch after which it starts; 0 for a new training.
        epochs: the epoch that it ends with.
        report: receives each line.
        interval: shortest time between two lines in seconds.
    """

    def __init__(self, history: Path, begun: int, epochs: int, report: Report, interval: float = 60.0) -> None:
        self.history, self.begun, self.epochs = history, begun, epochs
        self.report, self.interval = report, interval
        self.last_epoch, self.last_seconds = begun, 0.0

    def look(self, seconds: float) -> None:
        """Report the epoch and the time left, if there is a new epoch.

        Args:
            seconds: the time since the training started.
        """
        epoch = self._epoch()
        if not self.last_epoch < epoch < self.epochs or seconds < self.last_seconds + self.interval:
            return
        self.last_epoch, self.last_seconds = epoch, seconds
        left = seconds / (epoch - self.begun) * (self.epochs - epoch)
        self.report(f"epoch {epoch} of {self.epochs}, about {duration(left)} left")

    def _epoch(self) -> int:
        try:
            lines = self.history.read_text(encoding="utf-8").splitlines()
            return int(json.loads(lines[-1])["epoch"])
        except (OSError, ValueError, IndexError, KeyError):
            # Not there yet, or being written.
            return 0
