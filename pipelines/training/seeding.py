# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Random state of a training run, derived anew for every epoch."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd

from ...transforms.noise_models import derive_seed

__all__ = ["EpochSeeding"]


class EpochSeeding:
    """Seeds PyTorch, NumPy, Python and the dataset's transforms at the start of every epoch from (seed, epoch, rank).

    What is drawn in an epoch (order, crops, noise) then depends on nothing that went before it, neither on validation
    nor on a restart: a run resumed at an epoch's end repeats the unbroken one to the bit. DataLoader workers draw
    their seeds from PyTorch's, so they follow. List it before the other handlers of the trainer.

    Args:
        seed: base seed; None draws one, which a checkpoint then keeps.
        dataset: the training dataset; its random transforms are seeded when the loader has no worker processes.
    """

    def __init__(self, seed: int | None = 0, dataset: Any = None) -> None:
        self.seed = int(torch.seed() % 2**32) if seed is None else int(seed)
        self.dataset = dataset

    def attach(self, engine: Engine) -> None:
        """Seed as each epoch of ``engine`` starts."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.seed_epoch)

    def seed_epoch(self, engine: Engine) -> None:
        """Seed everything for the epoch that starts now."""
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        seed = derive_seed("epoch", self.seed, engine.state.epoch, rank)
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        if self.dataset is not None:
            set_rnd(self.dataset, seed=seed)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The base seed, as a tensor so that ``torch.load(weights_only=True)`` reads it."""
        return {"seed": torch.tensor(self.seed, dtype=torch.int64)}

    def load_state_dict(self, state_dict: dict[str, torch.Tensor]) -> None:
        """Go on with the base seed of :meth:`state_dict`."""
        self.seed = int(state_dict["seed"])
