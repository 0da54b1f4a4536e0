# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The application with the real App SDK: it writes the same files as the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
import yaml
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

import noisewise.pipelines.monai_deploy as package

pytest.importorskip("monai.deploy.core", reason="needs the MONAI Deploy App SDK: make test-deploy")

from noisewise.bundles import bundle_path
from noisewise.pipelines.cli.app import app as command_line
from noisewise.pipelines.denoising import DenoisingSettings, load_model
from noisewise.pipelines.denoising.denoiser import get_denoiser
from noisewise.pipelines.monai_deploy.application import main

FOLDER = Path(package.__file__).parent
SLICES = 3
SPACING = 2.5
SECRET = "DOE^JANE"


def write_ct(folder: Path, uid: str, slices: int = SLICES, **elements) -> list[Path]:
    """A series made of a real slice; its pixels are moved from slice to slice, and cut to keep the test fast."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(1, slices + 1):
        dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
        pixels = np.ascontiguousarray(np.roll(dataset.pixel_array, 3 * number, axis=0)[24:80, 24:88])
        dataset.PixelData, (dataset.Rows, dataset.Columns) = pixels.tobytes(), pixels.shape
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = uid, f"{uid}.{number}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.InstanceNumber, dataset.PatientName, dataset.SeriesDescription = number, SECRET, SECRET
        dataset.PixelSpacing, dataset.ImagePositionPatient = [0.5, 0.8], [-10, 20, 30 + SPACING * number]
        for name, value in elements.items():
            setattr(dataset, name, value)
        paths.append(folder / f"{uid}_{number}.dcm")
        dataset.save_as(paths[-1])
    return paths


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def without_times(dataset: pydicom.Dataset) -> dict:
    """All but the time of the file's creation."""
    del dataset.InstanceCreationDate, dataset.InstanceCreationTime
    del dataset.ContributingEquipmentSequence[-1].ContributionDateTime
    return dataset.to_json_dict()


def run_process(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, FOLDER / "app.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture
def rules(tmp_path, monkeypatch):
    """Runs use these conditions of the selector in place of the default ones."""

    def use(**conditions):
        config = yaml.safe_load((FOLDER / "app.yaml").read_text())
        config["series_selector"]["rules"] = json.dumps({"selections": [{"name": "a", "conditions": conditions}]})
        path = tmp_path / "rules.yaml"
        path.write_text(yaml.safe_dump(config))
        monkeypatch.setenv("HOLOSCAN_CONFIG_PATH", str(path))

    return use


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two CT series of a study, an MR image and a text; denoised by the application and by the command."""
    root = tmp_path_factory.mktemp("run")
    write_ct(root / "in" / "patient" / "ct", "1.2.3.4")
    write_ct(root / "in" / "patient", "1.2.3.40", slices=1)
    pydicom.dcmread(get_testdata_file("MR_small.dcm")).save_as(root / "in" / "mr.dcm")
    (root / "in" / "notes.txt").write_text("no image")
    before = content(root / "in")
    process = run_process("-i", root / "in", "-o", root / "app")
    # The same engine and precision: two engines may round a few pixels differently.
    engine = get_denoiser(DenoisingSettings()).engine().name
    arguments = ["denoise", str(root / "in"), str(root / "command"), "--engine", engine]
    command = CliRunner().invoke(command_line, arguments)
    assert command.exit_code == 0, command.output
    return root, process, before


def test_results_are_those_of_the_command_line(finished):
    root, process, _ = finished
    assert process.returncode == 0, process.stderr
    assert f"3 series of {SLICES + 2} slices denoised, 0 failures" in process.stdout
    assert process.stdout.rstrip().splitlines()[-1] == f"results: {root / 'app'}"
    names = {str(path.relative_to(root / "in")) for path in (root / "in").rglob("*.dcm")}
    assert set(content(root / "app")) == names
    for name in names:
        app, command, noisy = (pydicom.dcmread(root / each / name) for each in ("app", "command", "in"))
        np.testing.assert_array_equal(app.pixel_array, command.pixel_array)
        assert not np.array_equal(app.pixel_array, noisy.pixel_array)
        assert without_times(app) == without_times(command)


def test_simpleitk_reads_a_new_series_of_the_same_geometry(finished):
    root, _, _ = finished
    volumes = []
    for folder in (root / "in", root / "app"):
        reader = sitk.ImageSeriesReader()
        directory = str(folder / "patient" / "ct")
        (uid,) = reader.GetGDCMSeriesIDs(directory)
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(directory, uid))
        volumes.append((uid, reader.Execute()))
    (uid, noisy), (new_uid, denoised) = volumes
    assert new_uid != uid and denoised.GetSize() == noisy.GetSize() == (64, 56, SLICES)
    np.testing.assert_allclose(denoised.GetSpacing(), (0.8, 0.5, SPACING))
    for name in ("GetSpacing", "GetOrigin", "GetDirection", "GetPixelIDTypeAsString"):
        assert getattr(denoised, name)() == getattr(noisy, name)()
    # A denoiser of Hounsfield units: the image hardly changes.
    values, clean = (sitk.GetArrayFromImage(each).astype(float) for each in (noisy, denoised))
    assert 0 < np.abs(values - clean).mean() < 0.1 * values.std()


def test_inputs_are_untouched_and_logs_name_no_patient(finished):
    root, process, before = finished
    assert content(root / "in") == before
    assert SECRET not in process.stdout + process.stderr and "1.2.3.4" not in process.stdout + process.stderr


def test_without_a_matching_series_the_process_fails_with_one_line(tmp_path):
    write_ct(tmp_path / "in", "1.2.3.5", slices=1, Modality="US")
    process = run_process("-i", tmp_path / "in", "-o", tmp_path / "out")
    assert process.returncode == 1
    line = f"error: {tmp_path / 'in'}: holds no DICOM image series that the rules of the selector match."
    assert line in process.stderr.splitlines() and "Traceback" not in process.stderr
    assert not content(tmp_path / "out") and SECRET not in process.stderr


@pytest.mark.parametrize(
    ("elements", "conditions"),
    [
        ({"ConvolutionKernel": "B70f"}, {"Modality": "^CT$", "ConvolutionKernel": "^B[67]"}),
        ({"BodyPartExamined": "CHEST"}, {"BodyPartExamined": "^(CHEST|THORAX)$"}),
    ],
)
def test_the_rule_selects_one_of_two_series(tmp_path, rules, elements, conditions):
    write_ct(tmp_path / "in", "1.2.3.6", slices=1, ConvolutionKernel="B30f", BodyPartExamined="ABDOMEN")
    (taken,) = write_ct(tmp_path / "in", "1.2.3.7", slices=1, **elements)
    rules(**conditions)
    assert main(["-i", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    assert set(content(tmp_path / "out")) == {taken.name}


def test_no_volume_of_a_series_is_lost(tmp_path):
    """The SDK's loader drops instances that share a place."""
    for number, echo in enumerate((10, 80)):
        for path in write_ct(tmp_path / "in", "1.2.3.8", slices=2, EchoTime=echo):
            path.rename(path.with_name(f"{number}_{path.name}"))
    assert main(["-i", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    assert set(content(tmp_path / "out")) == set(content(tmp_path / "in"))


def test_damaged_files_are_named_and_the_others_denoised(tmp_path, capfd):
    good, cut, nameless = write_ct(tmp_path / "in", "1.2.3.9", slices=3)
    cut.write_bytes(cut.read_bytes()[:-2000])
    dataset = pydicom.dcmread(nameless)
    del dataset.SeriesInstanceUID
    dataset.save_as(nameless)
    assert main(["-i", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 1
    lines = capfd.readouterr().err.splitlines()
    for path in (cut, nameless):
        assert any(line.startswith(f"error: {path}: ") for line in lines)
    assert set(content(tmp_path / "out")) == {good.name}


def test_results_are_never_replaced(tmp_path, capfd):
    (path,) = write_ct(tmp_path / "in", "1.2.3.10", slices=1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / path.name).write_bytes(b"mine")
    assert main(["-i", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 1
    assert f"{path.name}: exists already; choose an empty output folder." in capfd.readouterr().err
    assert content(tmp_path / "out") == {path.name: b"mine"}


def test_models_may_be_a_bundle_or_its_torchscript_export(finished, tmp_path, monkeypatch):
    root, _, _ = finished
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("in", "mr.dcm").write_bytes((root / "in" / "mr.dcm").read_bytes())
    Path("packaged", "model").mkdir(parents=True)
    torch.jit.script(load_model().network).save("packaged/model/model.ts")
    # Another model, to see that models are used at all.
    state = {name: value * 1.02 for name, value in load_model().network.state_dict().items()}
    torch.save(state, "other.pt")
    results = {}
    for model in (str(bundle_path("multimodal_denoising")), "packaged/model/model.ts", "other.pt"):
        output = f"out{len(results)}"
        assert main(["-i", "in", "-o", output, "-m", model]) == 0
        results[model] = pydicom.dcmread(Path(output, "mr.dcm")).pixel_array
    # In the packager's layout.
    monkeypatch.setenv("HOLOSCAN_MODEL_PATH", "packaged")
    assert main(["-i", "in", "-o", "packaged_out"]) == 0
    bundle, script, other = results.values()
    expected = pydicom.dcmread(root / "app" / "mr.dcm").pixel_array
    np.testing.assert_array_equal(bundle, expected)
    np.testing.assert_array_equal(script, expected)
    np.testing.assert_array_equal(pydicom.dcmread("packaged_out/mr.dcm").pixel_array, expected)
    assert not np.array_equal(other, expected)


def test_a_model_that_does_not_fit_is_named(tmp_path, capfd):
    write_ct(tmp_path / "in", "1.2.3.11", slices=1)
    torch.save({"a": torch.zeros(1)}, tmp_path / "wrong.pt")
    arguments = ["-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", str(tmp_path / "wrong.pt")]
    assert main(arguments) == 2
    assert f"{tmp_path / 'wrong.pt'}: the weights do not fit the network" in capfd.readouterr().err
    assert not content(tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"series_selector": {}}, "has no 'rules' of the series_selector"),
        ({"series_selector": {"rules": "{"}}, "Expecting property name"),
        ({"denoising": {"strenght": 1.0}}, "strenght"),
        ({"denoising": {"strength": 2.0}}, "strength must lie in [0, 1], got 2.0"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path, monkeypatch, capfd, change, cause):
    config = yaml.safe_load((FOLDER / "app.yaml").read_text())
    (tmp_path / "my.yaml").write_text(yaml.safe_dump({**config, **change}))
    monkeypatch.setenv("HOLOSCAN_CONFIG_PATH", str(tmp_path / "my.yaml"))
    write_ct(tmp_path / "in", "1.2.3.12", slices=1)
    assert main(["-i", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 2
    assert cause in capfd.readouterr().err and not content(tmp_path / "out")


def test_the_cuda_runtime_is_the_one_of_the_environment():
    assert package.preload_cuda_runtime()
    assert "nvidia/cu13/lib/libcudart.so.13" in Path("/proc/self/maps").read_text()


def test_the_packager_accepts_the_configuration():
    reader = pytest.importorskip("holoscan_cli.packager.config_reader", reason="needs holoscan-cli older than 4.3")
    configuration = reader.ApplicationConfiguration()
    configuration.read(FOLDER / "app.yaml")
    assert configuration.title() == "noisewise DICOM denoising" and configuration.pip_packages() is None
