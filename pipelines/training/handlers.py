# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A progress bar over a whole training run."""

from __future__ import annotations

import sys

from ignite.engine import Engine, Events
from monai.engines import Evaluator
from tqdm.auto import tqdm

__all__ = ["TrainingProgress"]


class TrainingProgress:
    """Shows iterations done, time left, the loss (of two stages both) and the last validation's PSNR.

    Args:
        evaluator: the evaluator whose key metric is shown, or None.
        refresh_seconds: least time between two updates of the bar; long where the output is a file.
        enabled: False shows nothing (other ranks).
    """

    def __init__(
        self, evaluator: Evaluator | None = None, refresh_seconds: float | None = None, enabled: bool = True
    ) -> None:
        self.evaluator = evaluator
        self.refresh_seconds = (0.5 if sys.stderr.isatty() else 30.0) if refresh_seconds is None else refresh_seconds
        self.enabled = enabled
        self.bar: tqdm | None = None

    def attach(self, engine: Engine) -> None:
        """Follow ``engine``, a trainer."""
        if self.enabled:
            engine.add_event_handler(Events.EPOCH_STARTED, self._open)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._advance)
            engine.add_event_handler(Events.COMPLETED, self._close)
            engine.add_event_handler(Events.TERMINATE, self._close)

    def _open(self, engine: Engine) -> None:
        if self.bar is None:
            self.bar = tqdm(
                total=engine.state.max_epochs * engine.state.epoch_length,
                initial=engine.state.iteration,
                desc="training",
                unit="step",
                mininterval=self.refresh_seconds,
                dynamic_ncols=True,
            )

    def _advance(self, engine: Engine) -> None:
        if self.bar is None:
            return
        # Reading a loss waits for the device: only when the bar is drawn.
        if engine.state.iteration % 20 == 0 or engine.state.iteration == 1:
            output = engine.state.output
            names = {"nen_loss": "L_E", "loss": "L_R"} if "nen_loss" in output else {"loss": "loss"}
            figures = {name: f"{float(output[key]):.5f}" for key, name in names.items()}
            if self.evaluator is not None and self.evaluator.state.best_metric_epoch > 0:
                name = self.evaluator.state.key_metric_name
                latest = self.evaluator.state.metrics.get(name, self.evaluator.state.best_metric)
                figures[name] = f"{float(latest):.2f}"
            self.bar.set_postfix(figures, refresh=False)
        self.bar.update(1)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
