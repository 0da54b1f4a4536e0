# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Manifests of folders."""

from __future__ import annotations

import csv
import hashlib
import logging
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from noisewise.data_manifest import BuildError, Manifest, ManifestError, build_manifest
from noisewise.data_manifest.subjects import hashed_patient_id
from noisewise.transforms import LoadMedicalImage


def one_range(records) -> float:
    """The upper intensity that all records share."""
    (high,) = {record.intensity_max for record in records}
    return high


def test_flat_images_of_every_format(tmp_path, write_png, write_nifti):
    root = tmp_path / "images"
    write_png(root / "p1" / "a.png")
    write_png(root / "p1" / "deep.png", shape=(30, 50), dtype="uint16")
    write_png(root / "p2" / "rgb.jpg", shape=(20, 60, 3))
    write_png(root / "p2" / "gray.jpeg", shape=(20, 60))
    tifffile.imwrite(root / "p2" / "float.tif", np.random.default_rng(1).random((64, 32), dtype="float32"))
    write_nifti(root / "p3" / "flat.nii", np.random.default_rng(2).random((24, 36)).astype("float32"))
    (root / "notes.txt").write_text("no image")
    (root / ".hidden.png").write_bytes(b"x")
    manifest = build_manifest(root, tmp_path / "m.csv", modality="MRI", license="CC0-1.0")
    found = {
        r.path.removeprefix(f"{root}/"): (r.stored_dtype, r.channels, r.height, r.width, r.subject) for r in manifest
    }
    assert found == {
        "p1/a.png": ("uint8", 1, 40, 48, "p1"),
        "p1/deep.png": ("uint16", 1, 30, 50, "p1"),
        "p2/float.tif": ("float32", 1, 64, 32, "p2"),
        "p2/gray.jpeg": ("uint8", 1, 20, 60, "p2"),
        "p2/rgb.jpg": ("uint8", 3, 20, 60, "p2"),
        "p3/flat.nii": ("float32", 1, 36, 24, "p3"),
    }
    assert Manifest.read(tmp_path / "m.csv").records == manifest.records
    for record in manifest:
        assert record.sha256 == hashlib.sha256(Path(record.path).read_bytes()).hexdigest()
        assert (record.modality, record.source, record.license, record.slice) == ("mri", "images", "CC0-1.0", None)
    deep = next(r for r in manifest if r.path.endswith("deep.png"))
    pixels = np.array(Image.open(deep.path))
    assert (deep.intensity_min, deep.intensity_max) == (0, pytest.approx(np.percentile(pixels, 99.9)))


def test_three_equal_channels_are_one(tmp_path):
    gray = np.random.default_rng(0).integers(0, 256, (32, 40), dtype="uint8")
    Image.fromarray(np.stack([gray] * 3, -1)).save(tmp_path / "equal.png")
    Image.fromarray(np.stack([gray, gray, gray ^ 1], -1)).save(tmp_path / "tinted.png")
    assert [r.channels for r in build_manifest(tmp_path, modality="xray")] == [1, 3]


def test_a_volume_is_one_line_a_slice_with_one_range(tmp_path, write_nifti):
    volume = np.random.default_rng(0).random((20, 24, 10)).astype("float32") * np.arange(1, 11)
    volume[..., :2] = 0
    path = write_nifti(tmp_path / "sub-1" / "t1.nii.gz", volume.astype("float32"))
    manifest = build_manifest(tmp_path, modality="mri")
    assert [r.slice for r in manifest] == list(range(2, 10))
    assert one_range(manifest) == pytest.approx(np.percentile(volume, 99.9), rel=1e-6)
    assert {(r.height, r.width) for r in manifest} == {(24, 20)}
    assert len({r.sha256 for r in manifest}) == 1
    assert [problem.kind for problem in manifest.skipped] == ["empty", "empty"]
    item = manifest.datalist()[0]
    np.testing.assert_allclose(LoadMedicalImage()(path, item["slice"])[0].numpy(), volume[..., 2], rtol=1e-6)
    assert [r.slice for r in build_manifest(tmp_path, modality="mri", every_nth=4)] == [2, 6]
    assert len(build_manifest(tmp_path, modality="mri", min_content=0)) == 10


def test_ct_range_is_in_hu_and_moves_with_the_offset(tmp_path, write_png):
    write_png(tmp_path / "a.png", dtype="uint16")
    record = build_manifest(tmp_path, modality="ct", offset=1024).records[0]
    assert (record.intensity_min, record.intensity_max) == (24, 2024)
    assert build_manifest(tmp_path, modality="ct", offset=0).records[0].intensity_max == 1000
    with pytest.raises(BuildError, match="--offset 1024"):
        build_manifest(tmp_path, modality="ct")


def test_offset_touches_neither_other_modalities_nor_8_bit_nor_dicom(tmp_path, write_png, write_dicom):
    write_png(tmp_path / "eight" / "a.png")
    write_png(tmp_path / "mri" / "a.png", dtype="uint16")
    write_dicom(tmp_path / "dicom" / "a.dcm", np.arange(64 * 64, dtype="uint16").reshape(64, 64) % 3000)
    ranges = {
        name: build_manifest(tmp_path / name, modality=modality, offset=1024).records[0]
        for name, modality in (("eight", "ct"), ("mri", "mri"), ("dicom", "ct"))
    }
    assert (ranges["eight"].intensity_min, ranges["eight"].intensity_max) == (0, 255)
    assert ranges["mri"].intensity_min == 0
    assert (ranges["dicom"].intensity_min, ranges["dicom"].intensity_max) == (-1000, 1000)


def test_a_stated_range_replaces_the_rule(tmp_path, write_png):
    write_png(tmp_path / "a.png")
    record = build_manifest(tmp_path, modality="mri", intensity=(10, 20)).records[0]
    assert (record.intensity_min, record.intensity_max) == (10, 20)


def test_dicom_series_has_one_range_and_one_line_a_file_in_order(tmp_path, write_dicom):
    rng = np.random.default_rng(0)
    slices = [(rng.random((32, 40)) * 100 * (z + 1)).astype("uint16") for z in range(6)]
    for z in (3, 0, 5, 1, 4, 2):
        write_dicom(tmp_path / "s" / f"{(z * 5 + 2) % 7}.dcm", slices[z], "MR", position=z, intercept=None)
    manifest = build_manifest(tmp_path, min_content=0)
    assert {r.modality for r in manifest} == {"mri"}
    assert one_range(manifest) == pytest.approx(np.percentile(np.stack(slices), 99.9), rel=1e-6)
    assert len(manifest) == 6
    assert all(r.slice is None for r in manifest)
    # Every third slice of the series as it lies in the body, not as the files are named.
    third = {r.path for r in build_manifest(tmp_path, min_content=0, every_nth=3)}
    assert third == {str(tmp_path / "s" / f"{(z * 5 + 2) % 7}.dcm") for z in (1, 4)}


def test_several_series_in_one_folder_keep_their_own_ranges(tmp_path, write_dicom):
    rng = np.random.default_rng(0)
    for name, series, scale in (("a1", "1.1", 100), ("a2", "1.1", 100), ("b1", "1.2", 1000), ("b2", "1.2", 1000)):
        pixels = (rng.random((32, 32)) * scale).astype("uint16")
        write_dicom(tmp_path / f"{name}.dcm", pixels, "MR", series=series, intercept=None)
    ranges = {r.path[-6:-4]: r.intensity_max for r in build_manifest(tmp_path)}
    assert ranges["a1"] == ranges["a2"] < ranges["b1"] == ranges["b2"]


def test_dicom_without_suffix_is_found(tmp_path, write_dicom):
    write_dicom(tmp_path / "IM00001", np.full((32, 32), 1000, "uint16"), "CT")
    assert len(build_manifest(tmp_path)) == 1


@pytest.mark.parametrize(
    ("tag", "modality"),
    [("CT", "ct"), ("MR", "mri"), ("DX", "xray"), ("CR", "xray"), ("XA", "xray"), ("SM", "microscopy")],
)
def test_modality_is_read_from_dicom(tmp_path, write_dicom, tag, modality):
    write_dicom(tmp_path / "a.dcm", np.random.default_rng(0).integers(0, 2000, (32, 32)).astype("uint16"), tag)
    assert build_manifest(tmp_path).records[0].modality == modality


def test_no_patient_identifier_reaches_the_manifest(tmp_path, write_dicom):
    for number in ("4711", "0815"):
        for z in range(2):
            pixels = np.random.default_rng(z).integers(0, 2000, (32, 32)).astype("uint16")
            write_dicom(
                tmp_path / "x" / f"{number[0]}{z}.dcm", pixels, patient=f"DOE-{number}", series=f"1.{int(number)}"
            )
    build_manifest(tmp_path, tmp_path / "m.csv")
    text = (tmp_path / "m.csv").read_text()
    assert "DOE" not in text and "4711" not in text
    subjects = [r.subject for r in Manifest.read(tmp_path / "m.csv")]
    assert len(set(subjects)) == 2
    assert set(subjects) == {hashed_patient_id("DOE-4711"), hashed_patient_id("DOE-0815")}
    salted = {r.subject for r in build_manifest(tmp_path, salt="secret")}
    assert len(salted) == 2 and not salted & set(subjects)


def test_subject_from_pattern_folder_or_file(tmp_path, write_png):
    write_png(tmp_path / "p7" / "scan" / "p7_a.png")
    write_png(tmp_path / "loose_1.png", seed=1)
    assert [r.subject for r in build_manifest(tmp_path, modality="mri")] == ["loose_1", "p7/scan"]
    assert [r.subject for r in build_manifest(tmp_path, modality="mri", subject_pattern=r"(p\d+|\d)")] == ["1", "p7"]
    with pytest.raises(BuildError, match=r"does not match the path 'loose_1\.png'"):
        build_manifest(tmp_path, modality="mri", subject_pattern=r"(p\d+)/")
    with pytest.raises(ManifestError, match="not a regular expression"):
        build_manifest(tmp_path, modality="mri", subject_pattern="(")


def test_the_table_overrides_and_chooses(tmp_path, write_png):
    for i, name in enumerate(("a", "b", "c")):
        write_png(tmp_path / "d" / f"{name}.png", seed=i, dtype="uint16")
    with (tmp_path / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["file", "modality", "source", "subject", "split", "license", "target", "comment"],
                ["d/b.png", "ct", "there", "s2", "test", "CC0-1.0", "", "x"],
                ["d/a.png", "", "", "s1", "", "", "d/c.png", "y"],
            ]
        )
    manifest = build_manifest(tmp_path, modality="mri", split="train", table=tmp_path / "table.csv", offset=1024)
    b, a = manifest.records
    assert (b.modality, b.source, b.subject, b.split, b.license) == ("ct", "there", "s2", "test", "CC0-1.0")
    assert (b.intensity_min, b.intensity_max) == (24, 2024)
    assert (a.modality, a.source, a.subject, a.split) == ("mri", tmp_path.name, "s1", "train")
    assert a.target == str(tmp_path / "d" / "c.png")
    assert a.intensity_min == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\na.png\n", "needs a column 'file'"),
        ("file,split\na.png,training\n", "line 2, column 'split'"),
        ("file\na.png\na.png\n", "named twice"),
        ("file\n", "names no file"),
    ],
)
def test_a_bad_table_is_named(tmp_path, write_png, text, message):
    write_png(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ManifestError, match=message) as caught:
        build_manifest(tmp_path, modality="mri", table=tmp_path / "t.csv")
    assert "t.csv" in str(caught.value)


def test_unusable_files_are_reported_together_and_may_be_skipped(tmp_path, write_png, write_nifti, caplog):
    write_png(tmp_path / "good.png")
    write_png(tmp_path / "rgba.png", shape=(20, 20, 4))
    (tmp_path / "zero.png").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:200])
    write_nifti(tmp_path / "nan.nii", np.full((20, 20), np.nan, "float32"))
    with pytest.raises(BuildError) as caught:
        build_manifest(tmp_path, tmp_path / "m.csv", modality="mri")
    message = str(caught.value)
    causes = {"rgba.png": "4 channels", "zero.png": "0 bytes", "cut.png": "cannot be read", "nan.nii": "NaN"}
    for name, cause in causes.items():
        assert any(name in line and cause in line for line in message.splitlines()), name
    assert "good.png" not in message
    assert not (tmp_path / "m.csv").exists()
    with caplog.at_level(logging.WARNING):
        manifest = build_manifest(tmp_path, tmp_path / "m.csv", modality="mri", skip_unusable=True)
    assert [r.path for r in manifest] == [str(tmp_path / "good.png")]
    assert len(manifest.skipped) == 4 and "zero.png" in caplog.text


def test_modality_must_be_known(tmp_path, write_png):
    write_png(tmp_path / "a.png")
    with pytest.raises(BuildError, match=r"a.png: its modality is not known.*--modality"):
        build_manifest(tmp_path)


def test_include_exclude_and_min_size(tmp_path, write_png):
    write_png(tmp_path / "a.png", shape=(100, 100))
    write_png(tmp_path / "a_mask.png", shape=(100, 100))
    write_png(tmp_path / "small.png", shape=(100, 99))
    names = [r.path[len(str(tmp_path)) + 1 :] for r in build_manifest(tmp_path, modality="mri", exclude="*_mask.png")]
    assert names == ["a.png", "small.png"]
    assert len(build_manifest(tmp_path, modality="mri", include="a*")) == 2
    assert len(build_manifest(tmp_path, modality="mri", min_size=100)) == 2
    with pytest.raises(ManifestError, match="matches 'b\\*'"):
        build_manifest(tmp_path, modality="mri", include="b*")


def test_slices_cut_into_files_may_share_one_range(tmp_path, write_png):
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 100 * 10**i, (32, 32)).astype("uint16")
        (tmp_path / "s1").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "s1" / f"{i}.png")
    write_png(tmp_path / "s2" / "0.png", dtype="uint16")
    assert len({r.intensity_max for r in build_manifest(tmp_path, modality="mri")}) == 4
    shared = build_manifest(tmp_path, modality="mri", range_per="subject")
    pooled = np.concatenate([np.array(Image.open(tmp_path / "s1" / f"{i}.png")).ravel() for i in range(3)])
    assert one_range(r for r in shared if r.subject == "s1") == pytest.approx(np.percentile(pooled, 99.9))
    assert [r.path for r in shared] == sorted(r.path for r in shared)


def test_the_same_folder_gives_the_same_manifest_whatever_the_threads(tmp_path, write_png):
    for i in range(8):
        write_png(tmp_path / f"{i}.png", seed=i, dtype="uint16")
    calls = []
    one = build_manifest(tmp_path, modality="mri", workers=1, progress=lambda done, total: calls.append((done, total)))
    assert one.records == build_manifest(tmp_path, modality="mri", workers=4).records
    assert calls[-1] == (8, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "training"}, "split is 'training'"),
        ({"range_per": "slice"}, "range_per is 'slice'"),
        ({"every_nth": 0}, "every_nth is 0"),
        ({"intensity": (1, 1)}, "is empty"),
    ],
)
def test_wrong_options_are_refused(tmp_path, write_png, options, message):
    write_png(tmp_path / "a.png")
    with pytest.raises(ManifestError, match=message):
        build_manifest(tmp_path, modality="mri", **options)


def test_missing_folder(tmp_path):
    with pytest.raises(ManifestError, match="no such folder"):
        build_manifest(tmp_path / "nowhere", modality="mri")


def test_the_earlier_spelling_of_license_still_works(tmp_path, write_png):
    write_png(tmp_path / "a.png")
    with pytest.warns(DeprecationWarning, match="'licence' is now 'license'"):
        assert build_manifest(tmp_path, modality="mri", licence="CC0").records[0].license == "CC0"
    (tmp_path / "t.csv").write_text("file,licence\na.png,CC-BY-4.0\n")
    (record,) = build_manifest(tmp_path, modality="mri", table=tmp_path / "t.csv").records
    assert record.license == "CC-BY-4.0"
