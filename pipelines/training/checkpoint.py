# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that survive a kill at any moment, and resuming from them."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch.nn import Module

from ...atomic import atomic_path
from .processes import is_main_process

__all__ = ["BestWeights", "TrainingCheckpoint", "save_atomically"]

logger = logging.getLogger(__name__)


def save_atomically(state: Any, path: str | os.PathLike) -> None:
    """``torch.save``, but a kill at any moment leaves the old file or the whole new one.

    Args:
        state: the object to save.
        path: the file to write; missing folders are made.
    """
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


class TrainingCheckpoint:
    """Saves all that is needed to resume training, at the end of epochs, and resumes from it.

    MONAI's ``CheckpointSaver`` writes in place, so a kill during a write leaves nothing to resume from, and its file
    lacks the best validation result so far. List this handler **last** among the trainer's, so that the checkpoint
    includes the validation of the epoch.

    Args:
        path: the checkpoint file. One file, replaced atomically.
        objects: the objects to save and restore, by name; each has ``state_dict`` and ``load_state_dict``.
        evaluator: the evaluator whose best metric is saved, or None.
        interval: number of epochs between two saves; the last epoch is always saved.
        resume: restore from ``path`` before the first iteration when it exists. False refuses to start over an
            existing checkpoint, so that no training is lost by accident.

    Raises:
        FileExistsError: when ``resume`` is False and there is a checkpoint.
        ValueError: on the start of a run, when the checkpoint is damaged or belongs to another configuration.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        objects: Mapping[str, Any],
        evaluator: Evaluator | None = None,
        interval: int = 1,
        resume: bool = False,
    ) -> None:
        self.path = Path(path)
        self.objects = dict(objects)
        self.evaluator = evaluator
        self.interval = int(interval)
        self.resume = resume
        if self.interval < 1:
            raise ValueError(f"interval must be at least 1, got {interval}.")
        if self.path.exists() and not resume:
            raise FileExistsError(
                f"{self.path}: holds the checkpoint of an earlier run. Continue it with 'resume' set to True, "
                "or choose another 'output_dir'."
            )

    def attach(self, engine: Engine) -> None:
        """Restore when ``engine`` starts, save as its epochs end."""
        engine.add_event_handler(Events.STARTED, self.restore)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def save(self, engine: Engine) -> None:
        """Write the checkpoint, if one is due at this epoch."""
        epoch, last = engine.state.epoch, engine.state.max_epochs
        if not is_main_process() or (epoch % self.interval and epoch != last and not engine.should_terminate):
            return
        state: dict[str, Any] = {name: item.state_dict() for name, item in self.objects.items()}
        state["progress"] = {
            "epoch": epoch,
            "iteration": engine.state.iteration,
            "epoch_length": engine.state.epoch_length,
            "stopped_early": bool(engine.should_terminate),
        }
        if self.evaluator is not None:
            best = self.evaluator.state
            state["best"] = {"metric": float(best.best_metric), "epoch": int(best.best_metric_epoch)}
        save_atomically(state, self.path)

    def restore(self, engine: Engine) -> None:
        """Read the checkpoint, if resuming and there is one, and set the engine to the epoch after it."""
        if not (self.resume and self.path.exists()):
            return
        try:
            state = torch.load(self.path, map_location=engine.state.device, weights_only=True)
            progress = state["progress"]
        except Exception as error:
            raise ValueError(f"{self.path}: cannot be read as a training checkpoint ({error}).") from error
        if progress["epoch_length"] != engine.state.epoch_length:
            raise ValueError(
                f"{self.path}: was made with {progress['epoch_length']} iterations per epoch, "
                f"this run has {engine.state.epoch_length}; resume with the same data and batch size."
            )
        missing = sorted(set(self.objects) - set(state))
        if missing:
            raise ValueError(f"{self.path}: lacks {missing}; it belongs to another configuration.")
        for name, item in self.objects.items():
            try:
                item.load_state_dict(state[name])
            except Exception as error:
                raise ValueError(f"{self.path}: '{name}' does not fit this configuration ({error}).") from error
        engine.state.epoch = progress["epoch"]
        engine.state.iteration = progress["iteration"]
        if self.evaluator is not None and "best" in state:
            self.evaluator.state.best_metric = state["best"]["metric"]
            self.evaluator.state.best_metric_epoch = state["best"]["epoch"]
        logger.info("resumed from %s after epoch %d", self.path.name, progress["epoch"])
        if progress["stopped_early"]:
            logger.info("the run had stopped early: nothing is left to do")
            engine.terminate()


class BestWeights:
    """Writes a network's weights whenever the evaluator has found its best metric so far.

    It has no state of its own: the evaluator holds the best metric, which :class:`TrainingCheckpoint` saves, so a
    resumed run never replaces the best weights with worse ones.

    Args:
        path: the weights file, a plain ``state_dict``. Replaced atomically.
        network: the network to save; usually the averaged one.
    """

    def __init__(self, path: str | os.PathLike, network: Module) -> None:
        self.path = Path(path)
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Follow ``engine``, an evaluator with a key metric."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save_if_best)

    def save_if_best(self, engine: Engine) -> None:
        """Save when the validation that just ended is the best one."""
        if is_main_process() and engine.state.best_metric_epoch == engine.state.epoch:
            save_atomically(self.network.state_dict(), self.path)
