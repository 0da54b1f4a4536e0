# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Training as a MONAI engine: of the two stages with separate objectives, or of one network with one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from monai.engines import SupervisedTrainer, Trainer
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer, SimpleInferer
from monai.utils import CommonKeys as Keys
from torch.nn import Module
from torch.optim import Optimizer

from .optimization import autocast, check_options, optimise

__all__ = ["SingleStageTrainer", "TwoStageTrainer", "prepare_denoising_batch"]

NOISE_ESTIMATE, RESIDUAL, NEN_LOSS = "noise_estimate", "residual", "nen_loss"


def prepare_denoising_batch(
    batch: dict[str, Any], device: torch.device | None = None, non_blocking: bool = False, **kwargs: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Take noisy image, clean image and residual from a batch.

    A batch without ``"residual"`` (noisy / clean pairs of the user's own) gets it as the difference.

    Args:
        batch: a dictionary with ``"image"`` and ``"label"``, each ``(B, C, H, W)``, and perhaps ``"residual"``.
        device: where they go.
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


def _begin_iteration(
    engine: Engine, batchdata: dict[str, Any] | None, channels_last: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Bring a batch to the engine's device and put it into ``engine.state.output``.

    Args:
        engine: the trainer.
        batchdata: the batch.
        channels_last: whether the noisy image is stored in ``torch.channels_last``.

    Returns:
        Noisy image, clean image, residual.

    Raises:
        ValueError: when there is no batch.
    """
    if batchdata is None:
        raise ValueError("the data loader gave no batch.")
    image, label, residual = engine.prepare_batch(
        batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs
    )
    if channels_last:
        image = image.contiguous(memory_format=torch.channels_last)
    engine.state.output = {Keys.IMAGE: image, Keys.LABEL: label, RESIDUAL: residual}
    return image, label, residual


class TwoStageTrainer(Trainer):
    """Trains a noise estimation network and a reconstruction network side by side, each on its own objective.

    For each batch:
        1. the NEN estimates the noise and takes a step on ``nen_loss_function(N_E, I_N - I_C)`` (eq. 10 and 11);
        2. the RN reconstructs from the noisy image and the *detached* estimate and takes a step on
           ``rn_loss_function(RN(I_N, N_E), I_C)`` (eq. 12 and 13).

    No gradient flows from the second stage to the first one. Made in the image of ``monai.engines.GanTrainer``, and
    takes the same handlers. ``engine.state.output`` holds ``image``, ``label``, ``residual``, ``pred`` (denoised),
    ``noise_estimate``, ``loss`` (of the RN) and ``nen_loss``.

    Args:
        device: where to train.
        max_epochs: how many epochs in all.
        train_data_loader: gives dictionaries with ``image`` (noisy), ``label`` (clean) and ``residual``.
        nen: the noise estimation network.
        nen_optimizer: its optimiser.
        rn: the reconstruction network, called with the noisy image and the noise estimate.
        rn_optimizer: its optimiser.
        nen_loss_function: the paper's L_E; mean squared error when None.
        rn_loss_function: the paper's L_R; mean absolute error when None.
        epoch_length: iterations in an epoch; the loader's length when None.
        inferer: calls the networks; ``monai.inferers.SimpleInferer`` when None.
        gradient_clip: clip each network's gradient norm to this; None does not clip, as in the paper.
        channels_last: train in ``torch.channels_last``: the same result, several times faster on CPUs.
        amp_dtype: ``"bfloat16"`` autocasts both networks on ``device``, CPU included (MONAI's own ``amp`` switch
            works on CUDA alone); None trains in float32.
        non_blocking: copy batches without blocking the host.
        prepare_batch: takes ``(image, label, residual)`` from a batch.
        key_train_metric: as in ``monai.engines.Trainer``.
        additional_metrics: as in ``monai.engines.Trainer``.
        train_handlers: as in ``monai.engines.Trainer``.

    Raises:
        ValueError: when ``amp_dtype`` is unknown or ``gradient_clip`` is not positive.
        RuntimeError: in a run, when a loss is not finite; the message says at which iteration (on GPUs every
            50th iteration is looked at).
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
        check_options(amp_dtype, gradient_clip)
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
        self.gradient_clip = gradient_clip
        self.channels_last = channels_last
        self.amp_dtype = amp_dtype

    def _iteration(self, engine: Engine, batchdata: dict[str, Any]) -> dict[str, torch.Tensor]:
        image, label, residual = _begin_iteration(engine, batchdata, self.channels_last)
        output = engine.state.output
        self.nen.train()
        self.rn.train()

        with autocast(image, self.amp_dtype):
            noise = self.inferer(image, self.nen)
        output[NOISE_ESTIMATE] = noise.detach().float()
        nen_loss = self.nen_loss_function(noise.float(), residual)
        output[NEN_LOSS] = optimise(engine, self.nen, self.nen_optimizer, nen_loss, "nen", self.gradient_clip)

        with autocast(image, self.amp_dtype):
            pred = self.inferer(image, self.rn, output[NOISE_ESTIMATE])
        output[Keys.PRED] = pred.detach().float()
        engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        rn_loss = self.rn_loss_function(pred.float(), label)
        output[Keys.LOSS] = optimise(engine, self.rn, self.rn_optimizer, rn_loss, "rn", self.gradient_clip)
        engine.fire_event(IterationEvents.LOSS_COMPLETED)
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return output


class SingleStageTrainer(SupervisedTrainer):
    """``monai.engines.SupervisedTrainer`` for denoisers: what
    :class:`~noisewise.pipelines.training.TwoStageTrainer` does for two stages, for one network.

    The network maps noisy images to denoised ones, and the loss compares these with the clean images; of a network
    that subtracts the noise it predicts, a mean absolute or squared error of the image *is* that of the noise. The
    loss is computed in float32, also under autocast. ``engine.state.output`` holds ``image``, ``label``, ``residual``,
    ``pred`` and ``loss``.

    Args:
        device: where to train.
        max_epochs: how many epochs in all.
        train_data_loader: gives dictionaries with ``image`` (noisy) and ``label`` (clean).
        network: the denoiser.
        optimizer: its optimiser.
        loss_function: of denoised and clean images.
        epoch_length: iterations in an epoch; the loader's length when None.
        inferer: calls the network; ``monai.inferers.SimpleInferer`` when None.
        gradient_clip: clip the gradient norm to this; None does not clip.
        channels_last: train in ``torch.channels_last``: the same result, several times faster on CPUs.
        amp_dtype: ``"bfloat16"`` autocasts the network on ``device``, CPU included; None trains in float32.
        non_blocking: copy batches without blocking the host.
        prepare_batch: takes ``(image, label, residual)`` from a batch.
        key_train_metric: as in ``monai.engines.Trainer``.
        additional_metrics: as in ``monai.engines.Trainer``.
        train_handlers: as in ``monai.engines.Trainer``.

    Raises:
        ValueError: when ``amp_dtype`` is unknown or ``gradient_clip`` is not positive.
        RuntimeError: in a run, when the loss is not finite; the message says at which iteration (on GPUs every
            50th iteration is looked at).
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
        check_options(amp_dtype, gradient_clip)
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
        self.gradient_clip = gradient_clip
        self.channels_last = channels_last
        self.amp_dtype = amp_dtype

    def _iteration(self, engine: Engine, batchdata: dict[str, Any]) -> dict[str, torch.Tensor]:
        image, label, _ = _begin_iteration(engine, batchdata, self.channels_last)
        output = engine.state.output
        self.network.train()

        with autocast(image, self.amp_dtype):
            pred = self.inferer(image, self.network)
        output[Keys.PRED] = pred.detach().float()
        engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        loss = self.loss_function(pred.float(), label)
        output[Keys.LOSS] = optimise(engine, self.network, self.optimizer, loss, gradient_clip=self.gradient_clip)
        engine.fire_event(IterationEvents.LOSS_COMPLETED)
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return output
