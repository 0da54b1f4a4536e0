# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A tiny two-stage training on a real image, and MLflow stores for it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from monai.data import DataLoader, Dataset, MetaTensor
from monai.handlers import MeanSquaredError, PeakSignalToNoiseRatio, ValidationHandler, from_engine

from noisewise.networks import TwoStageDenoiser
from noisewise.pipelines.bundle.inferer import DenoisingInferer
from noisewise.pipelines.tracking import ExperimentTracker, TrackedRun
from noisewise.pipelines.training import DenoisingEvaluator, TwoStageTrainer
from noisewise.transforms import ToGrayLevelsd

PATIENT = "DOE-JANE-19600101"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """One thread, and only the test's own store."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """One database for all tests, which is copied: MLflow needs seconds to make one."""
    path = tmp_path_factory.mktemp("empty") / "mlruns.db"
    run = TrackedRun(path, experiment_name="unused")
    run.finish()
    return path


@pytest.fixture
def store(empty_database, tmp_path):
    """The path of an SQLite store, in a folder with a space in its name."""
    folder = tmp_path / "a store"
    folder.mkdir()
    return shutil.copy(empty_database, folder / "mlruns.db")


@pytest.fixture
def client(store):
    """A client of the store."""
    return MlflowClient(f"sqlite:///{store}")


@pytest.fixture(scope="session")
def items():
    """Noisy and clean tiles of a histology image, with a patient's name in their headers."""
    image = np.asarray(pytest.importorskip("skimage.data").immunohistochemistry())
    image = torch.as_tensor(image).permute(2, 1, 0).float() / 255
    random = torch.Generator().manual_seed(0)
    made = []
    for index in range(4):
        clean = image[:, 40 * index : 40 * index + 24, 100:124]
        residual = torch.randn(clean.shape, generator=random) * 25 / 255
        meta = {"filename_or_obj": f"/hospital/{PATIENT}/{index}.dcm", "PatientName": PATIENT}
        noisy, clean = (MetaTensor(x.clone(), meta=dict(meta)) for x in (clean + residual, clean))
        made.append({"image": noisy, "label": clean, "residual": residual, "eight_bit": True, "path": f"/{PATIENT}"})
    return made


@pytest.fixture
def training(items, tmp_path):
    """Makes a trainer with two iterations per epoch and a tracker; ``training(store, **tracker_arguments)``."""

    def make(store, epochs=2, handlers=(), after=(), **arguments):
        torch.manual_seed(0)
        network = TwoStageDenoiser(features=4, growth=2, num_blocks=1)
        pick = from_engine(["pred", "label"])
        evaluator = DenoisingEvaluator(
            device="cpu",
            val_data_loader=DataLoader(Dataset(items), batch_size=2),
            network=network,
            inferer=DenoisingInferer(),
            postprocessing=ToGrayLevelsd(["image", "label", "pred"]),
            key_val_metric={"psnr": PeakSignalToNoiseRatio(255, output_transform=pick)},
            additional_metrics={"val_mse": MeanSquaredError(output_transform=pick)},
        )
        defaults = {"output_dir": tmp_path / "output", "evaluator": evaluator, "loss_interval": 1, "panels": 2}
        tracker = ExperimentTracker(**{**defaults, "tracking_uri": store, **arguments})
        optimizers = [torch.optim.Adam(stage.parameters(), 1e-3) for stage in (network.nen, network.rn)]
        trainer = TwoStageTrainer(
            device="cpu",
            max_epochs=epochs,
            train_data_loader=DataLoader(Dataset(items), batch_size=2),
            nen=network.nen,
            nen_optimizer=optimizers[0],
            rn=network.rn,
            rn_optimizer=optimizers[1],
            train_handlers=[*handlers, ValidationHandler(1, evaluator), tracker, *after],
        )
        return trainer, tracker

    return make
