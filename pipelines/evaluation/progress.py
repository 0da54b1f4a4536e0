# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The progress bar of an evaluation."""

from __future__ import annotations

import atexit

from ignite.engine import Engine, Events
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["EvaluationProgress"]


class EvaluationProgress:
    """Handler that shows a progress bar for each method: the finished conditions and the time left.

    Args:
        enabled: whether to show anything.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not enabled,
        )
        self.task: TaskID | None = None

    def attach(self, engine: Engine) -> None:
        """Follow ``engine``, a :class:`~noisewise.pipelines.evaluation.ComparisonEvaluator`."""
        if self.enabled:
            engine.add_event_handler(Events.STARTED, self._start)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._advance)
            engine.add_event_handler(Events.COMPLETED, self._stop)
            engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)
            # An interrupt fires no event and would leave the terminal without a cursor.
            atexit.register(self.progress.stop)

    def _start(self, engine: Engine) -> None:
        self.progress.start()
        self.task = self.progress.add_task(engine.method, total=engine.state.epoch_length)

    def _advance(self) -> None:
        self.progress.advance(self.task)

    def _stop(self) -> None:
        self.progress.stop()
        # The finished bar remains on the screen; as a task it would be drawn again above the next method's.
        self.progress.remove_task(self.task)

    def _fail(self, engine: Engine, error: Exception) -> None:
        self.progress.stop()
        raise error
