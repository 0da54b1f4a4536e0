# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Handlers of a training run: seeds, averaged weights, early stopping, progress and the history of validations."""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd
from monai.engines import Evaluator
from monai.handlers import EarlyStopHandler
from torch.nn import Module
from torch.optim.swa_utils import AveragedModel
from tqdm.auto import tqdm

from ...transforms.noise_models import derive_seed
from .processes import process_rank

__all__ = ["EpochSeeding", "ResumableEarlyStop", "TrainingProgress", "ValidationHistory", "WeightAverage"]

NEVER = sys.maxsize  # a patience that no run exhausts


class EpochSeeding:
    """Seeds PyTorch, NumPy, Python and the dataset's transforms at the start of every epoch from (seed, epoch, rank).

    The draws of an epoch (order, crops, noise) then depend on nothing before it, neither on validation nor on a
    restart: a run that resumes at the end of an epoch equals an uninterrupted one to the bit. DataLoader workers draw
    their seeds from PyTorch's, so they follow. List it before the trainer's other handlers.

    Args:
        seed: base seed; None draws one, which checkpoints keep.
        dataset: the training dataset; its random transforms are seeded when the loader has no worker processes.
    """

    def __init__(self, seed: int | None = 0, dataset: Any = None) -> None:
        self.seed = int(torch.seed() % 2**32) if seed is None else int(seed)
        self.dataset = dataset

    def attach(self, engine: Engine) -> None:
        """Seed as each epoch of ``engine`` starts."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.seed_epoch)

    def seed_epoch(self, engine: Engine) -> None:
        """Seed everything for the epoch that is starting."""
        seed = derive_seed("epoch", self.seed, engine.state.epoch, process_rank())
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        if self.dataset is not None:
            set_rnd(self.dataset, seed=seed)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The base seed, as a tensor so that ``torch.load(weights_only=True)`` reads it."""
        return {"seed": torch.tensor(self.seed, dtype=torch.int64)}

    def load_state_dict(self, state_dict: dict[str, torch.Tensor]) -> None:
        """Continue with the base seed of :meth:`state_dict`."""
        self.seed = int(state_dict["seed"])


class WeightAverage:
    """Keeps an exponential moving average of a network's weights, updated after every iteration.

    The decay warms up as ``min(decay, (1 + n) / (10 + n))`` after n updates, so that the random initial weights are
    soon forgotten. Built on ``torch.optim.swa_utils.AveragedModel``, whose count of updates is part of its state:
    unlike Ignite's ``EMAHandler`` with a warm-up, it resumes exactly where a checkpoint left off.

    Buffers are copied, not averaged: the running statistics of batch normalization are averages over about ten
    iterations themselves.

    Args:
        network: the network being trained.
        decay: the average's decay for each iteration, in [0, 1); 0 follows the network.

    Raises:
        ValueError: when ``decay`` is out of range.
    """

    def __init__(self, network: Module, decay: float = 0.999) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay must lie in [0, 1), got {decay!r}.")
        self.source = network
        self.decay = float(decay)
        self.averaged = AveragedModel(network, multi_avg_fn=self._update, use_buffers=False)

    @property
    def network(self) -> Module:
        """The network with averaged weights, which is validated and shipped."""
        return self.averaged.module

    def attach(self, engine: Engine) -> None:
        """Update after every iteration of ``engine``."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: self.averaged.update_parameters(self.source))

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights and the number of updates."""
        return self.averaged.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self.averaged.load_state_dict(state_dict)

    @torch.no_grad()
    def _update(self, averages: Sequence[torch.Tensor], currents: Sequence[torch.Tensor], count: torch.Tensor) -> None:
        updates = int(count)
        decay = min(self.decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(list(averages), list(currents), 1.0 - decay)


class ResumableEarlyStop(EarlyStopHandler):
    """``monai.handlers.EarlyStopHandler`` whose best score and count are part of a training checkpoint.

    MONAI's own handler counts from zero again when a run is resumed.

    Args:
        patience: validations without a better score before training ends; None or 0 never ends it early.
        score_function: takes the evaluator and returns the score; higher is better.
        trainer: as in the parent class.
        min_delta: as in the parent class.
        cumulative_delta: as in the parent class.
        epoch_level: as in the parent class.
    """

    def __init__(
        self,
        patience: int | None,
        score_function: Callable[[Engine], float],
        trainer: Engine | None = None,
        min_delta: float = 0.0,
        cumulative_delta: bool = False,
        epoch_level: bool = True,
    ) -> None:
        super().__init__(patience or NEVER, score_function, trainer, min_delta, cumulative_delta, epoch_level)

    def state_dict(self) -> dict[str, Any]:
        """The count of validations without a better score, and the best score (None before the first)."""
        return {} if self._handler is None else dict(self._handler.state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`; the trainer must have been set."""
        if state_dict and self._handler is not None:
            self._handler.load_state_dict(state_dict)


class TrainingProgress:
    """Shows the iterations done, the time left, the loss (both losses of two stages) and the last validation's PSNR.

    Args:
        evaluator: the evaluator whose key metric is shown, or None.
        refresh_seconds: shortest time between two updates of the bar; by default 0.5 in a terminal and 30 elsewhere.
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
        # Reading a loss makes the host wait for the device, so it is read only now and then.
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


class ValidationHistory:
    """Appends an engine's metrics to a JSON Lines file after each of its runs: learning curves without a server.

    Args:
        path: the file. A resumed run appends to it, so the last line of each epoch is the valid one.
        trainer: the trainer whose iteration is written as ``step``; configs set it later by :meth:`set_trainer`.
        enabled: False writes nothing (other ranks).
    """

    def __init__(self, path: str | os.PathLike, trainer: Engine | None = None, enabled: bool = True) -> None:
        self.path = Path(path)
        self.trainer = trainer
        self.enabled = enabled

    def set_trainer(self, trainer: Engine) -> None:
        """Set the trainer whose iterations are counted."""
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
