# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Inference."""

from __future__ import annotations

from typing import Any

from monai.deploy.core import Fragment, Operator, OperatorSpec

from ..denoising.jobs import denoise_source
from ..denoising.settings import DenoisingOptions
from .report import RunReport

__all__ = ["DenoisingOperator"]


class DenoisingOperator(Operator):
    """Denoises series after series with one :class:`~noisewise.pipelines.denoising.Denoiser`.

    Named input:
        loaded_series: list of :class:`~noisewise.pipelines.denoising.jobs.LoadedSource`.

    Named output:
        denoised_series: list of :class:`~noisewise.pipelines.denoising.jobs.DenoisedSource`.

    Args:
        fragment: the application.
        options: how to denoise.
        report: is told of failures.
    """

    def __init__(
        self, fragment: Fragment, *args: Any, options: DenoisingOptions, report: RunReport, **kwargs: Any
    ) -> None:
        self.options, self.report = options, report
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Name the ports."""
        spec.input("loaded_series")
        spec.output("denoised_series")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Denoise.

        Raises:
            EngineError: when no image can be denoised.
        """
        denoised = []
        for loaded in op_input.receive("loaded_series"):
            with self.report.collecting(loaded.source):
                denoised.append(denoise_source(loaded, self.options))
        op_output.emit(denoised, "denoised_series")
