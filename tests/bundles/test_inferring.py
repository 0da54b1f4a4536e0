# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The run ``inferring`` end to end, on images made here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import traceback
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from PIL import Image
from pydicom.data import get_testdata_file

from noisewise.transforms import limit_outside

AFFINE = np.array([[-0.7, 0.1, 0, 11], [0.1, 0.8, 0.2, -7], [0, -0.2, 2.5, 3.5], [0, 0, 0, 1]])


@pytest.fixture
def unchanging(tiny, save_weights) -> str:
    """Weights with which the network returns its input, so that any difference comes from the pipeline."""
    torch.nn.init.zeros_(tiny.rn.tail.weight)
    return save_weights(tiny, "unchanging.pt")


@pytest.fixture
def images(tmp_path) -> Path:
    """One image of each kind, none of them square."""
    root, random = tmp_path / "in", np.random.RandomState(0)
    (root / "volumes").mkdir(parents=True)
    Image.fromarray(random.randint(0, 256, (20, 13), np.uint8)).save(root / "gray.png")
    Image.fromarray(random.randint(0, 65536, (20, 13)).astype(np.uint16)).save(root / "deep.png")
    Image.fromarray(random.randint(0, 256, (20, 13, 3), np.uint8)).save(root / "color.png")
    nib.save(nib.Nifti1Image(random.gamma(2, 300, (13, 20)).astype(np.float32), AFFINE), root / "flat.nii.gz")
    volume = random.gamma(2, 300, (13, 20, 6)).astype(np.int16)
    nib.save(nib.Nifti1Image(volume, AFFINE), root / "volumes" / "brain.nii")
    return root


def test_results_have_size_orientation_and_affine_of_the_input(images, infer, unchanging):
    output = infer(unchanging)
    written = sorted(path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file())
    pictures = ["color.png", "deep.png", "gray.png"]
    assert written == sorted([*pictures, "flat.nii.gz", "volumes/brain.nii"])
    for name in pictures:
        with Image.open(images / name) as before, Image.open(output / name) as after:
            assert after.mode == before.mode
            np.testing.assert_array_equal(np.asarray(after), np.asarray(before))
    for name in ("flat.nii.gz", "volumes/brain.nii"):
        before, after = nib.load(images / name), nib.load(output / name)
        np.testing.assert_array_equal(after.affine, before.affine)
        assert after.shape == before.shape
        np.testing.assert_allclose(after.get_fdata(), before.get_fdata(), rtol=1e-6, atol=1e-3)


def test_results_are_the_network_s(images, infer, tiny, save_weights):
    output = infer(save_weights(tiny), slices_per_batch=2)

    def denoise(x: np.ndarray) -> np.ndarray:
        """(X, Y) or (X, Y, 3) in about [0, 1], computed independently, with rows along y."""
        tensor = torch.from_numpy(np.ascontiguousarray(x.swapaxes(0, 1))).float()
        tensor = tensor.expand(3, -1, -1) if x.ndim == 2 else tensor.permute(2, 0, 1)
        with torch.no_grad():
            result = tiny(tensor[None])[0].permute(2, 1, 0).numpy()
        return result.mean(-1) if x.ndim == 2 else result

    for name in ("gray", "color"):
        before = np.asarray(Image.open(images / f"{name}.png")).swapaxes(0, 1)
        after = np.asarray(Image.open(output / f"{name}.png")).swapaxes(0, 1)
        assert np.abs(after - (denoise(before / 255) * 255).round().clip(0, 255)).max() <= 1
        assert np.abs(after.astype(int) - before).max() > 1
    before = nib.load(images / "volumes" / "brain.nii").get_fdata()
    after = nib.load(output / "volumes" / "brain.nii").get_fdata()
    high = np.percentile(before, 99.9)
    for z in range(before.shape[-1]):
        x = before[..., z] / high
        seen = limit_outside(torch.from_numpy(x)[None, None].float())[0, 0].numpy()
        expected = (x + denoise(seen) - seen) * high
        np.testing.assert_allclose(after[..., z], expected, atol=1e-4 * high)


def test_what_lies_above_the_range_passes_through_unshifted(tmp_path, infer, tiny, save_weights):
    weights, results = save_weights(tiny), []
    hounsfield = np.random.RandomState(0).uniform(-900, 900, (16, 18)).astype(np.float32)
    for name, metal in (("a", 1500.0), ("b", 2800.0)):
        hounsfield[5:10, 6:12] = metal
        (tmp_path / "in" / name).mkdir(parents=True)
        nib.save(nib.Nifti1Image(hounsfield, np.eye(4)), tmp_path / "in" / name / "ct.nii.gz")
    output = infer(weights, modality="ct")
    results = [nib.load(output / name / "ct.nii.gz").get_fdata() for name in ("a", "b")]
    expected = np.zeros_like(hounsfield)
    expected[5:10, 6:12] = 1300
    np.testing.assert_allclose(results[1] - results[0], expected, atol=1e-3)


def test_a_dicom_header_says_that_it_is_ct(tmp_path, infer, tiny, save_weights):
    (tmp_path / "in").mkdir()
    shutil.copy(get_testdata_file("CT_small.dcm"), tmp_path / "in" / "slice.dcm")
    output = infer(save_weights(tiny))
    header = pydicom.dcmread(tmp_path / "in" / "slice.dcm")
    x = (header.pixel_array.T * float(header.RescaleSlope) + float(header.RescaleIntercept) + 1000) / 2000
    seen = limit_outside(torch.from_numpy(x).float()[None, None]).mT.expand(1, 3, -1, -1)
    with torch.no_grad():
        expected = (x + (tiny(seen) - seen)[0].mean(0).numpy().T) * 2000 - 1000
    after = nib.load(output / "slice.nii.gz")
    np.testing.assert_allclose(after.get_fdata()[..., 0], expected, atol=0.01)


def error_of(run, *arguments, **options) -> str:
    with pytest.raises(Exception) as caught:
        run(*arguments, **options)
    return "".join(traceback.format_exception(caught.value))


def test_errors_name_the_file_or_key(images, tmp_path, infer, unchanging, overrides):
    assert "nothing: no such folder" in error_of(infer, unchanging, dataset_dir=str(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    assert "empty: holds no PNG" in error_of(infer, unchanging, dataset_dir=str(tmp_path / "empty"))
    assert "absent.png: no such image" in error_of(infer, unchanging, images=["absent.png"])
    assert "missing.pt: cannot read the weights" in error_of(infer, str(tmp_path / "missing.pt"))
    overrides["network_def#features"] = 8
    assert "the weights do not fit the network" in error_of(infer, unchanging)
    assert not (tmp_path / "out").exists()


def test_results_are_not_overwritten_unless_told(images, infer, unchanging):
    output = infer(unchanging, images=["gray.png"])
    (output / "gray.png").write_bytes(b"mine")
    assert "gray.png: exists already" in error_of(infer, unchanging)
    assert (output / "gray.png").read_bytes() == b"mine" and len(list(output.iterdir())) == 1
    infer(unchanging, images="gray.png", overwrite=True)
    assert Image.open(output / "gray.png").size == (13, 20)


def command(*line: object, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", "inferring", *map(str, line)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_command_works_from_the_repository_root(bundle, images, tmp_path, unchanging, overrides):
    line = ["--config_file", "bundles/multimodal_denoising/configs/inference.yaml"]
    line += ["--dataset_dir", images, "--output_dir", tmp_path / "out", "--weights", unchanging]
    line += [part for key, value in overrides.items() for part in (f"--{key}", value)]
    done = command(*line, cwd=bundle.parents[1])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "gray.png").exists()
    assert "denoising 5 images and volumes" in done.stdout
    assert done.stdout.rstrip().splitlines()[-1] == f"results: {tmp_path / 'out'}"
    assert "gray" not in done.stdout  # file names may contain patients' names, so they stay out of the log


def test_from_elsewhere_an_unreadable_image_stops_with_one_line(bundle, images, tmp_path, unchanging, overrides):
    """The weights come from the copy of the bundle that --bundle_root names, the folders are relative."""
    root = tmp_path / "elsewhere"
    shutil.copytree(bundle / "configs", root / "configs")
    (root / "models").mkdir()
    shutil.copy(unchanging, root / "models" / "model.pt")
    (images / "broken.png").write_bytes((images / "gray.png").read_bytes()[:60])
    line = ["--config_file", root / "configs" / "inference.yaml", "--bundle_root", root, "--dataset_dir", "in"]
    line += [part for key, value in overrides.items() for part in (f"--{key}", value)]
    done = command(*line, cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"{images / 'broken.png'}: cannot be read as an image" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "runs").exists()
