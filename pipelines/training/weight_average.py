# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Exponential moving average of a network's weights during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch.nn import Module
from torch.optim.swa_utils import AveragedModel

__all__ = ["WeightAverage"]


class WeightAverage:
    """Keeps an exponential moving average of a network's weights, updated after every iteration.

    The decay warms up as ``min(decay, (1 + n) / (10 + n))`` after n updates, so that the random start is soon
    forgotten. Built on ``torch.optim.swa_utils.AveragedModel``, whose count of updates is part of its state: unlike
    Ignite's ``EMAHandler`` with a warm-up it goes on exactly where a checkpoint left it.

    Buffers are copied, not averaged: batch normalisation's running statistics, themselves averages over some ten
    iterations, are the network's latest ones.

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
        """The network with averaged weights: what is validated and shipped."""
        return self.averaged.module

    def attach(self, engine: Engine) -> None:
        """Update after every iteration of ``engine``."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: self.averaged.update_parameters(self.source))

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights and the number of updates."""
        return self.averaged.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.averaged.load_state_dict(state_dict)

    @torch.no_grad()
    def _update(self, averages: Sequence[torch.Tensor], currents: Sequence[torch.Tensor], count: torch.Tensor) -> None:
        updates = int(count)
        decay = min(self.decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(list(averages), list(currents), 1.0 - decay)
