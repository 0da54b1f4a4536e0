# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The parts of an iteration that both trainers share: the batch, mixed precision and a checked optimizer step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys as Keys
from torch.nn import Module
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

__all__ = ["DenoisingOptimization"]

RESIDUAL = "residual"
FINITE_CHECK_INTERVAL = 50


class DenoisingOptimization:
    """Mixin of the trainers, which are MONAI engines with an ``inferer`` and a ``prepare_batch``."""

    def set_optimization(self, gradient_clip: float | None, channels_last: bool, amp_dtype: str | None) -> None:
        """Keep the options of the optimization.

        Args:
            gradient_clip: None or a positive number; see :class:`~noisewise.pipelines.training.TwoStageTrainer`.
            channels_last: whether the noisy images are stored in ``torch.channels_last``.
            amp_dtype: None or ``"bfloat16"``.

        Raises:
            ValueError: when an option has another value.
        """
        if amp_dtype not in (None, "bfloat16"):
            raise ValueError(f"amp_dtype must be None or 'bfloat16', got {amp_dtype!r}.")
        if gradient_clip is not None and gradient_clip <= 0:
            raise ValueError(f"gradient_clip must be positive or None, got {gradient_clip!r}.")
        self.gradient_clip = gradient_clip
        self.channels_last = channels_last
        self.amp_dtype = amp_dtype

    def begin_iteration(self, batchdata: dict[str, Any] | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Move a batch to the trainer's device and put it into ``state.output``.

        Args:
            batchdata: the batch.

        Returns:
            Noisy image, clean image, residual.

        Raises:
            ValueError: when there is no batch.
        """
        if batchdata is None:
            raise ValueError("the data loader gave no batch.")
        image, label, residual = self.prepare_batch(batchdata, self.state.device, self.non_blocking, **self.to_kwargs)
        if self.channels_last:
            image = image.contiguous(memory_format=torch.channels_last)
        self.state.output = {Keys.IMAGE: image, Keys.LABEL: label, RESIDUAL: residual}
        return image, label, residual

    def predict(self, network: Module, image: torch.Tensor, *conditions: torch.Tensor) -> torch.Tensor:
        """Apply a network, in mixed precision on any device, CPUs included (MONAI's own ``amp`` needs CUDA).

        Args:
            network: the network.
            image: noisy images ``(B, C, H, W)``.
            conditions: further inputs of the network.

        Returns:
            The network's output, float32.
        """
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.amp_dtype is not None):
            return self.inferer(image, network, *conditions).float()

    def take_step(self, network: Module, optimizer: Optimizer, loss: torch.Tensor, name: str = "") -> torch.Tensor:
        """Take one step on a loss, or none when the network is frozen.

        Args:
            network: its gradients are clipped.
            optimizer: its optimizer.
            loss: one number.
            name: the loss's name in the error, if the trainer has several.

        Returns:
            The loss, detached.

        Raises:
            RuntimeError: when the loss is not finite (on GPUs only every 50th iteration is checked).
        """
        # Reading a loss makes the host wait for a GPU, so it is not read at every iteration there.
        read = loss.device.type == "cpu" or self.state.iteration % FINITE_CHECK_INTERVAL == 0
        if read and not bool(torch.isfinite(loss)):
            raise RuntimeError(
                f"the {f'{name} loss'.strip()} is {loss.item()} at iteration {self.state.iteration}: "
                "lower the learning rate, or clip gradients (gradient_clip)."
            )
        if not loss.requires_grad:  # the network is frozen
            return loss.detach()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.gradient_clip is not None:
            clip_grad_norm_(network.parameters(), self.gradient_clip)
        optimizer.step()
        return loss.detach()

    def finish_iteration(
        self, network: Module, optimizer: Optimizer, loss_function: Callable, pred: torch.Tensor, name: str = ""
    ) -> dict[str, torch.Tensor]:
        """Take the step of the network that gives the denoised image, and fire MONAI's events.

        Args:
            network: the network.
            optimizer: its optimizer.
            loss_function: compares denoised and clean images.
            pred: the denoised images.
            name: the loss's name in an error.

        Returns:
            ``state.output``, with ``pred`` and ``loss`` added.

        Raises:
            RuntimeError: as :meth:`take_step`.
        """
        output = self.state.output
        output[Keys.PRED] = pred.detach()
        self.fire_event(IterationEvents.FORWARD_COMPLETED)
        output[Keys.LOSS] = self.take_step(network, optimizer, loss_function(pred, output[Keys.LABEL]), name)
        self.fire_event(IterationEvents.LOSS_COMPLETED)
        self.fire_event(IterationEvents.BACKWARD_COMPLETED)
        self.fire_event(IterationEvents.MODEL_COMPLETED)
        return output
