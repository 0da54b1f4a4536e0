# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI's evaluator over several denoisers in turn."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.data import DataLoader, decollate_batch, list_data_collate
from monai.engines import SupervisedEvaluator
from monai.engines.utils import PrepareBatchExtraInput, engine_apply_transform
from monai.handlers.ignite_metric import IgniteMetricHandler
from monai.inferers import Inferer
from monai.networks import eval_mode
from torch import nn
from torch.utils.data import Subset

from ..bundle.inferer import DenoisingInferer
from .network_digest import network_digest
from .score_table import ScoreTable
from .scores import SCORES, evaluation_metrics
from .transforms import evaluation_postprocessing

__all__ = ["ComparisonEvaluator"]

logger = logging.getLogger(__name__)


class ComparisonEvaluator(SupervisedEvaluator):
    """``monai.engines.SupervisedEvaluator`` that scores several denoisers on the same images and the same noise.

    :meth:`run` takes the methods one by one, leaves out the conditions that its score table holds already, and writes
    the summary at the end. A method may name further inputs from the batch in an attribute ``extra_inputs``, as
    :class:`~noisewise.pipelines.evaluation.ReferenceDenoiser` does.

    Args:
        device: where the networks are.
        val_data_loader: loader of a ``monai.data.Dataset`` whose data are
            :func:`~noisewise.pipelines.evaluation.conditions.expand_conditions`'s, through
            :func:`~noisewise.pipelines.evaluation.evaluation_preprocessing`. Batches of one, unless all images have
            one size.
        methods: the denoisers by their name in the tables; each maps ``(B, 3, X, Y)`` to the same shape.
        table: where the scores go; attached to the engine by this class.
        weights: digest of each method's weights, for those that have any.
        inferer: applies a method to a batch; ``DenoisingInferer()`` when None, which passes nothing through: simulated
            noise is unclipped.
        postprocessing: :func:`~noisewise.pipelines.evaluation.evaluation_postprocessing` when None.
        metrics: the five metrics by name, :func:`~noisewise.pipelines.evaluation.evaluation_metrics` when None; the
            first is what MONAI calls the key metric. Further ones are computed but stand in no table.
        val_handlers: further handlers.

    Raises:
        ValueError: when there is no method, no condition, or one of the five metrics is missing.
    """

    def __init__(
        self,
        device: str | torch.device,
        val_data_loader: DataLoader,
        methods: Mapping[str, nn.Module],
        table: ScoreTable,
        weights: Mapping[str, str] | None = None,
        inferer: Inferer | None = None,
        postprocessing: Any = None,
        metrics: Mapping[str, IgniteMetricHandler] | None = None,
        val_handlers: Sequence[Any] | None = None,
    ) -> None:
        if not methods:
            raise ValueError("no method to evaluate.")
        if not len(val_data_loader.dataset):
            raise ValueError("no image and condition to evaluate.")
        self.score_metrics = dict(evaluation_metrics() if metrics is None else metrics)
        missing = [name for name in SCORES if name not in self.score_metrics]
        if missing:
            raise ValueError(f"the tables need all five metrics, these are missing: {', '.join(missing)}.")
        self.methods = dict(methods)
        self.method = next(iter(self.methods))
        self.weights = dict(weights or {})
        self.table = table
        self.postprocessing = evaluation_postprocessing() if postprocessing is None else postprocessing
        key_metric, *further = self.score_metrics.items()
        super().__init__(
            device=device,
            val_data_loader=val_data_loader,
            network=self.methods[self.method],
            inferer=DenoisingInferer() if inferer is None else inferer,
            postprocessing=self.postprocessing,
            key_val_metric=dict([key_metric]),
            additional_metrics=dict(further),
            val_handlers=[table, *(val_handlers or ())],
        )
        self.conditions = val_data_loader

    def select(self, method: str) -> None:
        """Make ``method`` the one that is run.

        Args:
            method: a name in :attr:`methods`.
        """
        self.method, self.network = method, self.methods[method]
        self.prepare_batch = PrepareBatchExtraInput(getattr(self.network, "extra_inputs", {}))

    def denoise(self, index: int, method: str) -> dict[str, torch.Tensor]:
        """Denoise one condition, without scoring it: what pictures show.

        Args:
            index: index into the loader's dataset.
            method: a name in :attr:`methods`.

        Returns:
            ``image`` (noisy), ``pred`` and ``label``, each ``(3, X, Y)`` on the CPU, 0..255.
        """
        self.select(method)
        batch = list_data_collate([self.conditions.dataset[index]])
        image, label, args, kwargs = self.prepare_batch(batch, self.state.device)
        with eval_mode(self.network):
            output = {"image": image, "label": label, "pred": self.inferer(image, self.network, *args, **kwargs)}
        batch, output = decollate_batch(batch)[0], decollate_batch(output)[0]
        _, output = engine_apply_transform(batch, output, self.postprocessing)
        return {key: value.cpu() for key, value in output.items()}

    def run(self, global_epoch: int = 1) -> None:
        """Score every method on the conditions that are pending, then write the summary.

        Args:
            global_epoch: as in ``monai.engines.Evaluator``.
        """
        for method in self.methods:
            self.select(method)
            self.table.begin(method, self.weights.get(method, ""), network_digest(self.network))
            dataset = self.conditions.dataset
            pending = self.table.pending(dataset.data)
            if len(pending) < len(dataset):
                logger.info("%s: only %d of %d conditions are not in the table", method, len(pending), len(dataset))
            if not pending:
                continue
            self.data_loader = DataLoader(
                Subset(dataset, pending),
                batch_size=self.conditions.batch_size,
                num_workers=self.conditions.num_workers,
            )
            self.state.epoch_length = len(self.data_loader)
            try:
                super().run(global_epoch)
            finally:
                self.table.flush(self)
        self.table.write_summary()
