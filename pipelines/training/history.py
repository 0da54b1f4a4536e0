# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A plain record of every validation, one JSON object a line."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ignite.engine import Engine, Events

__all__ = ["ValidationHistory"]


class ValidationHistory:
    """Appends an engine's metrics to a JSON-lines file after each of its runs: learning curves without a server.

    Args:
        path: the file; a resumed run appends to it, so the last line of an epoch counts.
        trainer: the trainer whose iteration is noted as ``step``; set later by :meth:`set_trainer` in configs.
        enabled: False writes nothing (other ranks).
    """

    def __init__(self, path: str | os.PathLike, trainer: Engine | None = None, enabled: bool = True) -> None:
        self.path = Path(path)
        self.trainer = trainer
        self.enabled = enabled

    def set_trainer(self, trainer: Engine) -> None:
        """Say whose iterations are counted."""
        self.trainer = trainer

    def attach(self, engine: Engine) -> None:
        """Record the metrics of ``engine``, an evaluator."""
        if self.enabled:
            engine.add_event_handler(Events.COMPLETED, self._append)

    def _append(self, engine: Engine) -> None:
        line = {"epoch": engine.state.epoch}
        if self.trainer is not None:
            line["step"] = self.trainer.state.iteration
        line |= {name: round(float(value), 6) for name, value in engine.state.metrics.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
