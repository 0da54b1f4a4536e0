# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Validation of a denoiser, with the results of both stages if the network has two."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine
from monai.engines import SupervisedEvaluator
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys as Keys

__all__ = ["DenoisingEvaluator"]


class DenoisingEvaluator(SupervisedEvaluator):
    """``monai.engines.SupervisedEvaluator`` that also keeps the noise estimate.

    When the network has a method ``stages`` (as :class:`~noisewise.networks.TwoStageDenoiser` has), the output holds
    ``pred`` (denoised), ``noise_estimate`` (signed) and ``nen_pred``: the result of the first stage alone, noisy minus
    estimate. For any other network it holds ``pred`` only. Arguments as in the parent class; the inferer must pass
    tuples through, as :class:`~noisewise.pipelines.bundle.inferer.DenoisingInferer` does.
    """

    def _iteration(self, engine: Engine, batchdata: dict[str, Any]) -> dict[str, Any]:
        image, label = engine.prepare_batch(batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs)[:2]
        output: dict[str, Any] = {Keys.IMAGE: image, Keys.LABEL: label}
        engine.state.output = output
        with engine.mode(engine.network), torch.no_grad():
            if hasattr(engine.network, "stages"):
                output[Keys.PRED], output["noise_estimate"] = engine.inferer(image, engine.network.stages)
                output["nen_pred"] = image - output["noise_estimate"]
            else:
                output[Keys.PRED] = engine.inferer(image, engine.network)
        engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return engine.state.output
