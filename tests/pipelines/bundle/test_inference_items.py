# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The images that are found, the paths of their results, and the inputs that are refused."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from monai.transforms import Compose
from PIL import Image
from pydicom.data import get_testdata_file

from noisewise.pipelines.bundle.inference_items import check_inference_items, inference_items
from noisewise.transforms import LoadMedicalImaged, ScaleToUnitRanged

PREPROCESSING = Compose([LoadMedicalImaged("image"), ScaleToUnitRanged("image")])


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def dicom(path: Path, number: int = 1, series: str = "1.2.3", modality: str = "CT") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    header.InstanceNumber, header.SeriesInstanceUID, header.Modality = number, series, modality
    header.SOPInstanceUID = f"{series}.{number}"
    header.ImagePositionPatient = [0, 0, number]
    header.save_as(path)


def paths(items, key: str, root: Path) -> list[str]:
    return [Path(item[key]).relative_to(root).as_posix() for item in items]


def test_all_images_below_the_folder_are_found(tmp_path):
    touch(tmp_path, "a.png", "notes.txt", "p1/b.nii.gz", "p1/c.TIFF", ".hidden.png", "out/a.png")
    items = inference_items(tmp_path, tmp_path / "out")
    assert paths(items, "image", tmp_path) == ["a.png", "p1/b.nii.gz", "p1/c.TIFF"]
    assert paths(items, "output_path", tmp_path / "out") == [
        "a.png",
        "p1/b.nii.gz",
        "p1/c.TIFF",
    ]
    assert all("modality" not in item for item in items)
    assert {item["modality"] for item in inference_items(tmp_path, tmp_path / "out", modality="mri")} == {"mri"}


def test_listed_images_are_taken_as_they_are(tmp_path):
    touch(tmp_path, "in/a.png", "in/b.png", "else/a.png")
    items = inference_items(tmp_path / "in", tmp_path / "out", images=["b.png", tmp_path / "else" / "a.png"])
    assert paths(items, "image", tmp_path) == ["in/b.png", "else/a.png"]
    assert len(inference_items(tmp_path / "in", tmp_path / "out", images="a.png")) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": ["a.png"], "output": "."}, r"a\.png: the result would replace an input"),
        ({"images": ["b.gif"]}, r"b\.gif: GIF is not a supported format\."),
        ({"modality": "cta"}, r"unknown modality 'cta'; choose from mri, xray, ct, "),
    ],
)
def test_what_cannot_work_is_refused_at_once(tmp_path, arguments, message):
    touch(tmp_path, "a.png", "b.gif")
    with pytest.raises(ValueError, match=message):
        inference_items(tmp_path, tmp_path / arguments.pop("output", "out"), **arguments)


def test_a_dicom_file_without_suffix_does_not_take_the_name_of_a_volume(tmp_path):
    touch(tmp_path, "c.nii.gz")
    (tmp_path / "c").write_bytes(b" " * 128 + b"DICM")
    items = inference_items(tmp_path, tmp_path / "out")
    assert paths(items, "output_path", tmp_path / "out") == ["c_dicom.nii.gz", "c.nii.gz"]


def test_no_two_results_have_the_same_name(tmp_path):
    touch(tmp_path, "a.png", "a.jpg", "b.png", "c.nii", "c.nii.gz")
    items = inference_items(tmp_path, tmp_path / "out")
    assert paths(items, "output_path", tmp_path / "out") == [
        "a_jpg.png",
        "a.png",
        "b.png",
        "c.nii",
        "c.nii.gz",
    ]
    touch(tmp_path, "p1/d.png", "p2/d.png")
    (tmp_path / "root").mkdir()
    with pytest.raises(ValueError, match=r"p1/d\.png, .*p2/d\.png: would have the same result file"):
        inference_items(tmp_path / "root", tmp_path / "out", images=["../p1/d.png", "../p2/d.png"])


def test_the_slices_of_a_dicom_series_are_one_volume(tmp_path):
    for number in (1, 2, 3):
        dicom(tmp_path / "series" / f"{number}", number)
    dicom(tmp_path / "single.dcm", series="1.2.4", modality="MR")
    items = inference_items(tmp_path, tmp_path / "out")
    assert paths(items, "image", tmp_path) == ["series", "single.dcm"]
    assert [item["modality"] for item in items] == ["ct", "mri"]
    assert paths(inference_items(tmp_path / "series", tmp_path / "out"), "image", tmp_path) == ["series"]
    assert inference_items(tmp_path, tmp_path / "out", images="series")[0]["modality"] == "ct"
    assert PREPROCESSING(items[0])["image"].shape == (1, 128, 128, 3)


def test_a_series_beside_other_dicom_files_is_refused(tmp_path):
    for number, series in ((1, "1.2.3"), (2, "1.2.3"), (1, "1.2.4")):
        dicom(tmp_path / f"{series}-{number}.dcm", number, series)
    with pytest.raises(ValueError, match="holds a DICOM series and other DICOM files"):
        inference_items(tmp_path, tmp_path / "out")


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        inference_items(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(ValueError, match="holds no PNG"):
        inference_items(tmp_path, tmp_path / "out")
    touch(tmp_path, "a.png")
    with pytest.raises(ValueError, match="output_dir is dataset_dir"):
        inference_items(tmp_path, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"b\.png: no such image"):
        inference_items(tmp_path, tmp_path / "out", images=["b.png"])


def test_every_image_is_read_beforehand(tmp_path):
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save(tmp_path / "good.png")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "black.png")
    touch(tmp_path, "empty.png")
    (tmp_path / "torn.png").write_bytes((tmp_path / "good.png").read_bytes()[:50])
    items = inference_items(tmp_path, tmp_path / "out")
    with pytest.raises(ValueError) as caught:
        check_inference_items(items, PREPROCESSING)
    first, *lines = str(caught.value).splitlines()
    assert first == "the images cannot be denoised:" and len(lines) == 3
    for name, reason, line in zip(
        ("black.png", "empty.png", "torn.png"), ("99.9th percentile", "0 bytes", "cannot be read as an image"), lines
    ):
        assert line.startswith(f"{tmp_path / name}: ") and reason in line
    check_inference_items([item for item in items if item["image"].endswith("good.png")], PREPROCESSING)


def test_hounsfield_units_of_unstated_modality_are_refused(tmp_path):
    values = np.random.RandomState(0).uniform(-1000, 800, (12, 12, 3)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "ct.nii.gz")
    with pytest.raises(ValueError, match=r"ct\.nii\.gz: 5.% of its intensities are negative.* --modality ct"):
        check_inference_items(inference_items(tmp_path, tmp_path / "out"), PREPROCESSING)
    check_inference_items(inference_items(tmp_path, tmp_path / "out", modality="ct"), PREPROCESSING)


def test_many_problems_are_counted_and_results_are_looked_at_first(tmp_path):
    touch(tmp_path, *(f"{n:02d}.png" for n in range(12)))
    items = inference_items(tmp_path, tmp_path / "out")
    with pytest.raises(ValueError, match="and 2 more"):
        check_inference_items(items, PREPROCESSING)
    touch(tmp_path, "out/03.png")
    with pytest.raises(ValueError, match=r"^the images cannot be denoised:\n.*03\.png: exists already.*$"):
        check_inference_items(items, PREPROCESSING)
