# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A patient's name in DICOM tags, file and folder names or a config does not get into the store."""

import dataclasses
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import yaml
from mlflow import MlflowClient
from monai.bundle import run
from PIL import Image
from pydicom.data import get_testdata_file

from noisewise.bundles import bundle_path
from noisewise.data_manifest import Manifest, build_manifest

PATIENT = "DOE-JANE-1960"
TAGS = ("PatientName", "PatientID", "AccessionNumber", "StudyDescription", "SeriesDescription", "ProtocolName")
SMALL = {"network_def#features": 4, "network_def#growth": 2, "network_def#num_blocks": 1}
CONFIGS = bundle_path("multimodal_denoising") / "configs"


@pytest.fixture
def manifest(tmp_path):
    """Three patients, one per split, in folders and files that are named after them."""
    folder = tmp_path / PATIENT
    folder.mkdir()
    for index, split in enumerate(("train", "val", "test")):
        image = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
        image.update(dict.fromkeys(TAGS, f"{PATIENT}-{index}"))
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{image.SOPInstanceUID}.{index}"
        image.SeriesInstanceUID += f".{index}"
        image.PixelData = np.roll(image.pixel_array, 9 * index, 0).tobytes()
        image.save_as(folder / f"{PATIENT}_{split}.dcm")
    records = build_manifest(folder, salt="secret")
    chosen = [dataclasses.replace(r, split=Path(r.path).stem.rpartition("_")[2]) for r in records]
    return Manifest(chosen).write(folder / f"{PATIENT}.csv", absolute=True)


@pytest.fixture
def bundle(monkeypatch):
    """Runs a config as its command line does, from which the stored config files are taken."""

    def start(run_id, files, overrides):
        line = ["monai.bundle", "run", run_id, "--config_file", str([str(file) for file in files])]
        monkeypatch.setattr(sys, "argv", [*line, *(f"--{key}={value}" for key, value in overrides.items())])
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)
        run(run_id=run_id, config_file=[str(file) for file in files], logging_file=False, **overrides)

    return start


def test_no_patient_identifier_gets_into_the_store(manifest, bundle, store, client, tmp_path):
    output = tmp_path / PATIENT / "training"
    # Paths may be in a user's config as well as on the command line.
    own = tmp_path / PATIENT / "own.yaml"
    own.write_text(yaml.safe_dump({"manifest": str(manifest), "dataset_dir": f"$'{PATIENT}/' + 'x'"}))
    common = {"tracking_uri": f"sqlite:///{store}", **SMALL}
    training = {"output_dir": str(output), "batch_size": 2, "patch_size": 32, "steps_per_epoch": 2, "max_epochs": 1}
    training |= {"val_size": 48, "val_stds": [50], "num_workers": 0, "panels": 2}
    bundle("training", [CONFIGS / "train.yaml", own], {**common, **training})
    evaluation = {"output_dir": str(output / "evaluation"), "weights": str(output / "model.pt"), "crop": 48}
    evaluation |= {"manifest": str(manifest), "stds": [50], "progress": False}
    bundle("evaluating", [CONFIGS / "evaluate.yaml"], {**common, **evaluation})

    # Both runs exist, with their numbers, pictures and configs.
    runs = client.search_runs([client.get_experiment_by_name("noisewise").experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"} and len(runs) == 2
    files = [path for path in Path(store).parent.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"model.pt", "train.yaml", "own.yaml", "evaluate.yaml", "scores.csv", "picture.png"} <= names
    assert any("panel_0" in name for name in names)

    texts = [PATIENT.encode(), PATIENT.encode("utf-16-le"), b"DOE", b"JANE", manifest.parent.name.lower().encode()]
    for path in files:
        relative = path.relative_to(Path(store).parent)
        assert PATIENT not in str(relative)
        content = path.read_bytes()
        for text in texts[:2] if path.suffix in (".pt", ".png", ".webp") else texts:
            assert text not in content, relative
        if path.suffix == ".png":
            assert set(Image.open(path).text) <= {"Software"}, relative
        if path.suffix == ".webp":
            assert not Image.open(path).getexif(), relative
    # A dump shows the same data as the pages.
    with sqlite3.connect(store) as database:
        assert PATIENT not in "\n".join(database.iterdump())


def test_the_search_finds_what_it_looks_for(store, client):
    """The check above would find a name in the store."""
    experiment = client.create_experiment("with a name", artifact_location=str(Path(store).parent / "mlruns"))
    run = client.create_run(experiment, run_name=PATIENT)
    MlflowClient(f"sqlite:///{store}").log_param(run.info.run_id, "who", PATIENT)
    assert PATIENT.encode() in b"".join(path.read_bytes() for path in Path(store).parent.glob("mlruns.db*"))
