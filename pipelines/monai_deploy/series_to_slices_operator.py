# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The operator that reads the selected series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai.deploy.core import Fragment, Operator, OperatorSpec

from ..denoising.jobs import read_source
from ..denoising.settings import DenoisingSettings
from .report import RunReport
from .selected_sources import selected_sources

__all__ = ["SeriesToSlicesOperator"]


class SeriesToSlicesOperator(Operator):
    """Reads the selected series as slices of stored values, with the intensity range of each.

    The SDK's ``DICOMSeriesToVolumeOperator`` returns one series per run and rescaled values, from which a file cannot
    be restored bit by bit.

    Named input:
        study_selected_series_list: the SDK's ``StudySelectedSeries`` objects.

    Named output:
        loaded_series: list of :class:`~noisewise.pipelines.denoising.jobs.LoadedSource`.

    Args:
        fragment: the application.
        input_folder: folder of the DICOM files.
        output_folder: folder of the results.
        settings: how to denoise.
        report: collects failures.
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        input_folder: Path,
        output_folder: Path,
        settings: DenoisingSettings,
        report: RunReport,
        **kwargs: Any,
    ) -> None:
        self.input_folder, self.output_folder = input_folder, output_folder
        self.settings, self.report = settings, report
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        spec.input("study_selected_series_list")
        spec.output("loaded_series")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Read the series. Emits an empty list if there is none, or the output folder cannot be used."""
        studies = op_input.receive("study_selected_series_list")
        uids = {str(each.series.SeriesInstanceUID) for study in studies for each in study.selected_series}
        sources, loaded = [], []
        try:
            sources = selected_sources(uids, self.input_folder, self.output_folder, self.report)
        except ValueError as error:
            # Not raised, since Holoscan would print a page about its graph.
            self.report.fail(str(error))
        for source in sources:
            with self.report.collecting(source):
                loaded.append(read_source(source, self.settings))
        op_output.emit(loaded, "loaded_series")
