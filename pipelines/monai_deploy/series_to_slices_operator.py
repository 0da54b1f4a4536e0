# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""From selected series to slices of stored values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai.deploy.core import Fragment, Operator, OperatorSpec

from ..denoising.jobs import read_source
from ..denoising.settings import DenoisingOptions
from .report import RunReport
from .selected_sources import selected_sources

__all__ = ["SeriesToSlicesOperator"]


class SeriesToSlicesOperator(Operator):
    """Reads the selected series as slices of stored values, with the intensity range of each.

    The SDK's ``DICOMSeriesToVolumeOperator`` gives one series a run and rescaled values, from which a file cannot be
    written back to the bit.

    Named input:
        study_selected_series_list: the SDK's ``StudySelectedSeries`` objects.

    Named output:
        loaded_series: list of :class:`~noisewise.pipelines.denoising.jobs.LoadedSource`.

    Args:
        fragment: the application.
        input_folder: of the DICOM files.
        output_folder: where results go.
        options: how to denoise.
        report: is told of failures.
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        input_folder: Path,
        output_folder: Path,
        options: DenoisingOptions,
        report: RunReport,
        **kwargs: Any,
    ) -> None:
        self.input_folder, self.output_folder = input_folder, output_folder
        self.options, self.report = options, report
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Name the ports."""
        spec.input("study_selected_series_list")
        spec.output("loaded_series")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Read; without a series, or where the output folder cannot be used, nothing goes on."""
        studies = op_input.receive("study_selected_series_list")
        uids = {str(each.series.SeriesInstanceUID) for study in studies for each in study.selected_series}
        sources, loaded = [], []
        try:
            sources = selected_sources(uids, self.input_folder, self.output_folder, self.report)
        except ValueError as error:
            # Not raised: Holoscan would print a page about its graph.
            self.report.fail(str(error))
        for source in sources:
            with self.report.collecting(source):
                loaded.append(read_source(source, self.options))
        op_output.emit(loaded, "loaded_series")
