# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The application: its operators, and its command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from monai.deploy.conditions import CountCondition
from monai.deploy.core import AppContext, Application
from monai.deploy.operators.dicom_data_loader_operator import DICOMDataLoaderOperator
from monai.deploy.operators.dicom_series_selector_operator import DICOMSeriesSelectorOperator

from ..denoising.denoiser import get_denoiser
from ..denoising.settings import DenoisingSettings
from .denoising_operator import DenoisingOperator
from .model_path import find_model
from .report import RunReport
from .series_to_slices_operator import SeriesToSlicesOperator
from .series_writer_operator import SeriesWriterOperator

__all__ = ["DenoisingApplication", "main"]

CONFIG = Path(__file__).with_name("app.yaml")
FAILED = 1
USAGE = 2


class DenoisingApplication(Application):
    """Loads the DICOM files of a folder, selects series, denoises them and writes them as new series.

    Args:
        input_folder: folder of the DICOM files, in any arrangement.
        output_folder: folder of the results.
        model: see :func:`~noisewise.pipelines.monai_deploy.model_path.find_model`.
        config: a file like ``app.yaml``.

    Attributes:
        report: results and failures of the series.

    Raises:
        ValueError: if the config is wrong, a setting is out of range, or the model does not exist or does not fit.
    """

    def __init__(
        self,
        input_folder: Path,
        output_folder: Path,
        model: str | Path | None = None,
        config: str | Path = CONFIG,
    ) -> None:
        super().__init__()
        self.name = "noisewise"
        self.input_folder, self.output_folder = Path(input_folder), Path(output_folder)
        self.report = RunReport()
        self.config(str(config))
        try:
            self.rules = self.kwargs("series_selector")["rules"]
            json.loads(self.rules)
            self.denoising_settings = DenoisingSettings(**self.kwargs("denoising"), model=find_model(model))
        except KeyError as error:
            raise ValueError(f"{config}: has no {error} of the series_selector.") from error
        except (TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{config}: {error}") from error
        # A wrong model is reported before any file is read; the operators use the same cached model.
        get_denoiser(self.denoising_settings)

    def compose(self) -> None:
        """Connect the operators."""
        once = CountCondition(self, 1)
        loader = DICOMDataLoaderOperator(self, once, input_folder=self.input_folder, must_load=False, name="loader")
        selector = DICOMSeriesSelectorOperator(self, rules=self.rules, all_matched=True, name="selector")
        shared = {"settings": self.denoising_settings, "report": self.report}
        folders = {"input_folder": self.input_folder, "output_folder": self.output_folder}
        reader = SeriesToSlicesOperator(self, **folders, **shared, name="series_to_slices")
        denoiser = DenoisingOperator(self, **shared, name="denoising")
        writer = SeriesWriterOperator(self, **shared, name="series_writer")
        self.add_flow(loader, selector, {("dicom_study_list", "dicom_study_list")})
        self.add_flow(selector, reader, {("study_selected_series_list", "study_selected_series_list")})
        self.add_flow(reader, denoiser, {("loaded_series", "loaded_series")})
        self.add_flow(denoiser, writer, {("denoised_series", "denoised_series")})


def main(arguments: list[str] | None = None) -> int:
    """Run the application.

    Args:
        arguments: the command line; None takes that of this process.

    Returns:
        The exit status: 0 for success, 1 if there is no series or a file could not be denoised, 2 if the application
        could not start.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    # Holoscan's own messages concern its scheduler.
    os.environ.setdefault("HOLOSCAN_LOG_LEVEL", "ERROR")
    # At level INFO, the SDK logs descriptions and identifiers of series, which may identify a patient.
    context = Application.init_app_context([sys.argv[0], "--log-level", "WARN", *arguments])
    try:
        config = os.environ.get("HOLOSCAN_CONFIG_PATH") or CONFIG
        application = DenoisingApplication(context.input_path, context.output_path, _stated_model(context), config)
        application.run()
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        if os.environ.get("NOISEWISE_TRACEBACK"):
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return USAGE
    report = application.report
    slices = sum(record.slices for record in report.records)
    print(f"{len(report.records)} series of {slices} slices denoised, {len(report.failures)} failures")
    print(f"results: {context.output_path}")
    return FAILED if report.failures else 0


def _stated_model(context: AppContext) -> str | None:
    """The model of ``-m`` or of the application package; not just any folder named ``models``."""
    packaged = os.environ.get("HOLOSCAN_MODEL_PATH")
    return context.args.get("model") or (packaged if packaged and Path(packaged).exists() else None)
