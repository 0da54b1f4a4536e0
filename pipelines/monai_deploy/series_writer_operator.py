# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""From denoised slices to a DICOM series; the SDK has no writer of image series."""

from __future__ import annotations

from typing import Any

from monai.deploy.core import Fragment, Operator, OperatorSpec

from ..denoising.jobs import write_source
from ..denoising.settings import DenoisingOptions
from .report import RunReport

__all__ = ["SeriesWriterOperator"]


class SeriesWriterOperator(Operator):
    """Writes each series as a new one of its study, see :func:`~noisewise.pipelines.formats.dicom.writer.write_dicom`.

    Named input:
        denoised_series: list of :class:`~noisewise.pipelines.denoising.jobs.DenoisedSource`.

    Args:
        fragment: the application.
        options: how it was denoised.
        report: is told of results and failures.
    """

    def __init__(
        self, fragment: Fragment, *args: Any, options: DenoisingOptions, report: RunReport, **kwargs: Any
    ) -> None:
        self.options, self.report = options, report
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Name the port."""
        spec.input("denoised_series")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Write; each series appears as a whole."""
        for denoised in op_input.receive("denoised_series"):
            with self.report.collecting(denoised.loaded.source):
                self.report.finish(write_source(denoised, self.options))
