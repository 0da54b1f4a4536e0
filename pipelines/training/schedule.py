# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Learning-rate schedules by name."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

__all__ = ["learning_rate_schedule"]


def learning_rate_schedule(
    optimizer: Optimizer, kind: str = "constant", total_steps: int = 1, warmup_steps: int = 0
) -> LRScheduler:
    """Build a schedule that is stepped after every iteration.

    Args:
        optimizer: the optimizer whose learning rate is scheduled.
        kind: ``"constant"`` (the paper's) or ``"cosine"``, down to 0 at the last iteration.
        total_steps: iterations of the whole run.
        warmup_steps: iterations over which the rate rises linearly to its full value.

    Returns:
        A PyTorch scheduler.

    Raises:
        ValueError: when ``kind`` is unknown or the warm-up is not shorter than the run.
    """
    if not 0 <= warmup_steps < max(total_steps, 1):
        raise ValueError(f"warmup_steps must lie between 0 and the run's {total_steps} steps, got {warmup_steps}.")
    if kind not in ("constant", "cosine"):
        raise ValueError(f"schedule must be 'constant' or 'cosine', got {kind!r}.")

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        if kind == "constant":
            return 1.0
        done = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))

    # A plain function: MONAI's WarmupCosineSchedule keeps its length in checkpoints, so that a run resumed with
    # another number of epochs would follow the old one, and rise again after its end.
    return LambdaLR(optimizer, factor)
