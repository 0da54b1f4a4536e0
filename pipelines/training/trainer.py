# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Training as a MONAI engine: two stages with separate objectives, or one network with one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from monai.engines import SupervisedTrainer, Trainer
from monai.inferers import Inferer, SimpleInferer
from monai.utils import CommonKeys as Keys
from torch.nn import Module
from torch.optim import Optimizer

from .optimization import RESIDUAL, DenoisingOptimization

__all__ = ["SingleStageTrainer", "TwoStageTrainer", "prepare_denoising_batch"]

NOISE_ESTIMATE, NEN_LOSS = "noise_estimate", "nen_loss"


def prepare_denoising_batch(
    batch: dict[str, Any], device: torch.device | None = None, non_blocking: bool = False, **kwargs: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Take noisy image, clean image and residual from a batch.

    Where a batch has no ``"residual"`` (the user's own noisy / clean pairs), it is computed as the difference.

    Args:
        batch: a dictionary with ``"image"`` and ``"label"``, each ``(B, C, H, W)``, and optionally ``"residual"``.
        device: the device to move them to.
        non_blocking: copy without blocking the host.
        kwargs: passed to ``Tensor.to``.

    Returns:
        Noisy image, clean image, residual, as plain tensors.
    """
    image, label = (
        batch[key].to(device=device, non_blocking=non_blocking, **kwargs).as_subclass(torch.Tensor)
        for key in (Keys.IMAGE, Keys.LABEL)
    )
    residual = batch.get(RESIDUAL)
    if residual is None:
        return image, label, image - label
    return image, label, residual.to(device=device, non_blocking=non_blocking, **kwargs).as_subclass(torch.Tensor)


class TwoStageTrainer(DenoisingOptimization, Trainer):
    """Trains a noise estimation network and a reconstruction network side by side, each on its own objective.

    For each batch:
        1. the NEN estimates the noise and takes a step on ``nen_loss_function(N_E, I_N - I_C)`` (eq. 10 and 11);
        2. the RN reconstructs from the noisy image and the *detached* estimate and takes a step on
           ``rn_loss_function(RN(I_N, N_E), I_C)`` (eq. 12 and 13).

    No gradient flows from the second stage to the first. The class is modeled on ``monai.engines.GanTrainer`` and takes
    the same handlers. ``engine.state.output`` holds ``image``, ``label``, ``residual``, ``pred`` (denoised),
    ``noise_estimate``, ``loss`` (of the RN) and ``nen_loss``.

    Args:
        device: the device to train on.
        max_epochs: total number of epochs.
        train_data_loader: yields dictionaries with ``image`` (noisy), ``label`` (clean) and ``residual``.
        nen: the noise estimation network.
        nen_optimizer: its optimizer.
        rn: the reconstruction network, called with the noisy image and the noise estimate.
        rn_optimizer: its optimizer.
        nen_loss_function: the paper's L_E; mean squared error when None.
        rn_loss_function: the paper's L_R; mean absolute error when None.
        epoch_length: iterations in an epoch; the loader's length when None.
        inferer: calls the networks; ``monai.inferers.SimpleInferer`` when None.
        gradient_clip: clip each network's gradient norm to this; None does not clip, as in the paper.
        channels_last: train in ``torch.channels_last``: the same result, several times faster on CPUs.
        amp_dtype: ``"bfloat16"`` autocasts both networks on ``device``, CPUs included (MONAI's own ``amp`` option
            needs CUDA); None trains in float32.
        non_blocking: copy batches without blocking the host.
        prepare_batch: takes ``(image, label, residual)`` from a batch.
        key_train_metric: as in ``monai.engines.Trainer``.
        additional_metrics: as in ``monai.engines.Trainer``.
        train_handlers: as in ``monai.engines.Trainer``.

    Raises:
        ValueError: when ``amp_dtype`` is unknown or ``gradient_clip`` is not positive.
        RuntimeError: in a run, when a loss is not finite; the message names the iteration (on GPUs only every
            50th iteration is checked).
    """

    def __init__(
        self,
        device: str | torch.device,
        max_epochs: int,
        train_data_loader: Iterable,
        nen: Module,
        nen_optimizer: Optimizer,
        rn: Module,
        rn_optimizer: Optimizer,
        nen_loss_function: Callable | None = None,
        rn_loss_function: Callable | None = None,
        epoch_length: int | None = None,
        inferer: Inferer | None = None,
        gradient_clip: float | None = None,
        channels_last: bool = True,
        amp_dtype: str | None = None,
        non_blocking: bool = False,
        prepare_batch: Callable = prepare_denoising_batch,
        key_train_metric: dict[str, Metric] | None = None,
        additional_metrics: dict[str, Metric] | None = None,
        train_handlers: Sequence | None = None,
    ) -> None:
        self.set_optimization(gradient_clip, channels_last, amp_dtype)
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            data_loader=train_data_loader,
            epoch_length=epoch_length,
            non_blocking=non_blocking,
            prepare_batch=prepare_batch,
            key_metric=key_train_metric,
            additional_metrics=additional_metrics,
            handlers=train_handlers,
            decollate=False,
        )
        self.nen = nen
        self.rn = rn
        self.nen_optimizer = nen_optimizer
        self.rn_optimizer = rn_optimizer
        self.nen_loss_function = torch.nn.MSELoss() if nen_loss_function is None else nen_loss_function
        self.rn_loss_function = torch.nn.L1Loss() if rn_loss_function is None else rn_loss_function
        self.inferer = SimpleInferer() if inferer is None else inferer

    def _iteration(self, engine: Engine, batchdata: dict[str, Any]) -> dict[str, torch.Tensor]:
        image, _, residual = self.begin_iteration(batchdata)
        output = self.state.output
        self.nen.train()
        self.rn.train()
        noise = self.predict(self.nen, image)
        output[NOISE_ESTIMATE] = noise.detach()
        nen_loss = self.nen_loss_function(noise, residual)
        output[NEN_LOSS] = self.take_step(self.nen, self.nen_optimizer, nen_loss, "nen")
        pred = self.predict(self.rn, image, output[NOISE_ESTIMATE])
        return self.finish_iteration(self.rn, self.rn_optimizer, self.rn_loss_function, pred, "rn")


class SingleStageTrainer(DenoisingOptimization, SupervisedTrainer):
    """Trains one network; the counterpart of :class:`~noisewise.pipelines.training.TwoStageTrainer` for one stage.

    A ``monai.engines.SupervisedTrainer``. The network maps noisy images to denoised ones, and the loss compares these
    with the clean images. For a network that subtracts the noise it predicts, the mean absolute or squared error of the
    image *is* that of the noise. The loss is computed in float32, also under autocast. ``engine.state.output`` holds
    ``image``, ``label``, ``residual``, ``pred`` and ``loss``.

    Args:
        device: the device to train on.
        max_epochs: total number of epochs.
        train_data_loader: yields dictionaries with ``image`` (noisy) and ``label`` (clean).
        network: the denoiser.
        optimizer: its optimizer.
        loss_function: compares denoised and clean images.
        epoch_length: this argument and those after it are as in :class:`TwoStageTrainer`.

    Raises:
        ValueError: when ``amp_dtype`` is unknown or ``gradient_clip`` is not positive.
        RuntimeError: in a run, when the loss is not finite; the message names the iteration (on GPUs only every
            50th iteration is checked).
    """

    def __init__(
        self,
        device: str | torch.device,
        max_epochs: int,
        train_data_loader: Iterable,
        network: Module,
        optimizer: Optimizer,
        loss_function: Callable,
        epoch_length: int | None = None,
        inferer: Inferer | None = None,
        gradient_clip: float | None = None,
        channels_last: bool = True,
        amp_dtype: str | None = None,
        non_blocking: bool = False,
        prepare_batch: Callable = prepare_denoising_batch,
        key_train_metric: dict[str, Metric] | None = None,
        additional_metrics: dict[str, Metric] | None = None,
        train_handlers: Sequence | None = None,
    ) -> None:
        self.set_optimization(gradient_clip, channels_last, amp_dtype)
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            train_data_loader=train_data_loader,
            network=network,
            optimizer=optimizer,
            loss_function=loss_function,
            epoch_length=epoch_length,
            non_blocking=non_blocking,
            prepare_batch=prepare_batch,
            inferer=inferer,
            key_train_metric=key_train_metric,
            additional_metrics=additional_metrics,
            train_handlers=train_handlers,
            decollate=False,
        )

    def _iteration(self, engine: Engine, batchdata: dict[str, Any]) -> dict[str, torch.Tensor]:
        image, _, _ = self.begin_iteration(batchdata)
        self.network.train()
        pred = self.predict(self.network, image)
        return self.finish_iteration(self.network, self.optimizer, self.loss_function, pred)
