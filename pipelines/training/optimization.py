# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What the trainers' iterations have in common: mixed precision and a checked optimiser step."""

from __future__ import annotations

import torch
from ignite.engine import Engine
from torch.nn import Module
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

__all__ = ["autocast", "check_options", "optimise"]

FINITE_CHECK_INTERVAL = 50


def check_options(amp_dtype: str | None, gradient_clip: float | None) -> None:
    """Refuse what :func:`autocast` and :func:`optimise` cannot do.

    Args:
        amp_dtype: None or ``"bfloat16"``.
        gradient_clip: None or a positive number.

    Raises:
        ValueError: when one of them is anything else.
    """
    if amp_dtype not in (None, "bfloat16"):
        raise ValueError(f"amp_dtype must be None or 'bfloat16', got {amp_dtype!r}.")
    if gradient_clip is not None and gradient_clip <= 0:
        raise ValueError(f"gradient_clip must be positive or None, got {gradient_clip!r}.")


def autocast(image: torch.Tensor, amp_dtype: str | None) -> torch.autocast:
    """Mixed precision on the device of ``image``, CPUs included (MONAI's own ``amp`` switch works on CUDA alone).

    Args:
        image: what the network will be applied to.
        amp_dtype: ``"bfloat16"``; None leaves everything in the network's precision.

    Returns:
        A context manager.
    """
    return torch.autocast(image.device.type, torch.bfloat16, enabled=amp_dtype is not None)


def optimise(
    engine: Engine,
    network: Module,
    optimizer: Optimizer,
    loss: torch.Tensor,
    name: str = "",
    gradient_clip: float | None = None,
) -> torch.Tensor:
    """Take one step on a loss, or none when the network is frozen.

    Args:
        engine: the trainer; its iteration is named in the error.
        network: whose gradients are clipped.
        optimizer: its optimiser.
        loss: one number.
        name: what the error calls the loss, if the engine has several.
        gradient_clip: clip the gradient norm to this; None does not clip.

    Returns:
        The loss, detached.

    Raises:
        RuntimeError: when the loss is not finite (on GPUs every 50th iteration is looked at).
    """
    # Looking at a loss waits for a GPU: now and then is soon enough there.
    look = loss.device.type == "cpu" or engine.state.iteration % FINITE_CHECK_INTERVAL == 0
    if look and not bool(torch.isfinite(loss)):
        raise RuntimeError(
            f"the {f'{name} loss'.strip()} is {loss.item()} at iteration {engine.state.iteration}: "
            "lower the learning rate, or clip gradients (gradient_clip)."
        )
    if not loss.requires_grad:  # the network is frozen
        return loss.detach()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if gradient_clip is not None:
        clip_grad_norm_(network.parameters(), gradient_clip)
    optimizer.step()
    return loss.detach()
