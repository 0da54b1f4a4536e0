# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Three small real images, a manifest of them, and evaluators over it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from PIL import Image
from torch import nn

from noisewise.data_manifest import Manifest, ManifestRecord, file_digest
from noisewise.pipelines.evaluation import ComparisonEvaluator, ScoreTable, evaluation_items, evaluation_preprocessing
from noisewise.pipelines.evaluation.conditions import expand_conditions

skimage_data = pytest.importorskip("skimage.data")

SIDE = 48


@pytest.fixture(autouse=True)
def one_thread():
    """On shared cores, waiting for a second thread costs more than it gives."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pictures() -> dict[str, np.ndarray]:
    """Rows first, uint8: two grey pieces of a cell, one colour piece of histology."""
    cell, ihc = skimage_data.cell(), skimage_data.immunohistochemistry()
    return {
        "patient_smith_1.png": cell[250 : 250 + SIDE, 340 : 340 + SIDE + 8],
        "patient_smith_2.png": cell[300 : 300 + SIDE, 380 : 380 + SIDE],
        "patient_jones.png": ihc[100 : 100 + SIDE, 100 : 100 + SIDE],
    }


def make_record(path: Path, picture: np.ndarray, modality: str, split: str = "test") -> ManifestRecord:
    Image.fromarray(picture).save(path)
    return ManifestRecord(
        path=str(path),
        slice=None,
        modality=modality,
        source="skimage",
        licence="CC0",
        subject=path.stem,
        split=split,
        sha256=file_digest(path),
        stored_dtype="uint8",
        intensity_min=0.0,
        intensity_max=255.0,
        channels=1 if picture.ndim == 2 else 3,
        height=picture.shape[0],
        width=picture.shape[1],
    )


@pytest.fixture(scope="session")
def manifest(tmp_path_factory, pictures) -> Path:
    """A manifest of the three pictures, all of the test split."""
    folder = tmp_path_factory.mktemp("images")
    modality = {"patient_jones.png": "histology"}
    records = [
        make_record(folder / name, picture, modality.get(name, "microscopy")) for name, picture in pictures.items()
    ]
    return Manifest(records).write(folder / "manifest.csv")


class Blur(nn.Module):
    """A denoiser without weights that counts its calls, and fails or is killed at one of them if told to."""

    def __init__(self, fail_at: int | None = None, kill_at: int | None = None, gain: float = 1.0) -> None:
        super().__init__()
        self._calls, self._fail_at, self._kill_at = 0, fail_at, kill_at
        self.gain = gain

    @property
    def calls(self) -> int:
        return self._calls

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self._calls += 1
        if self._calls == self._fail_at:
            raise RuntimeError("out of luck")
        if self._calls == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.gain * nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


@pytest.fixture
def make_evaluator(manifest):
    """A function that builds an evaluator over the manifest."""

    def build(
        output_dir,
        methods,
        weights=None,
        patterns=("gaussian", "speckle"),
        stds=(25, 50),
        limit=None,
        crop=None,
        batch_size=1,
        **setup,
    ):
        items = evaluation_items(manifest, "test", None, limit, crop)
        noise = {key: setup[key] for key in ("protocol", "seed", "clip", "quantize") if key in setup}
        dataset = Dataset(expand_conditions(items, patterns, stds, **noise), evaluation_preprocessing(crop))
        table = ScoreTable(output_dir, crop=crop, **setup)
        return ComparisonEvaluator("cpu", DataLoader(dataset, batch_size=batch_size), methods, table, weights)

    return build


@pytest.fixture
def blur():
    """The class :class:`Blur`; tests cannot import it, having no package."""
    return Blur


@pytest.fixture
def record_of():
    """The function :func:`make_record`."""
    return make_record
