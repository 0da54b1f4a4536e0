# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Training of one denoiser on one objective, as a MONAI engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer
from monai.utils import CommonKeys as Keys
from torch.nn import Module
from torch.optim import Optimizer

from .optimization import autocast, check_options, optimise
from .trainer import begin_iteration, prepare_denoising_batch

__all__ = ["SingleStageTrainer"]


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
        image, label, _ = begin_iteration(engine, batchdata, self.channels_last)
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
