# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Verification names what is wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tifffile
from PIL import Image

from noisewise.data_manifest import Manifest, ManifestError, build_manifest, verify_manifest


@pytest.fixture
def folder(tmp_path, write_png):
    """Six subjects of one image, split into train, val and test."""
    for i in range(6):
        write_png(tmp_path / "images" / f"s{i}" / f"{i}.png", seed=i)
    return tmp_path


@pytest.fixture
def manifest(folder):
    built = build_manifest(folder / "images", modality="mri")
    splits = ("train", "train", "train", "val", "test", "test")
    return Manifest([dataclasses.replace(r, split=s) for r, s in zip(built, splits)])


def change(manifest: Manifest, index: int, **values) -> Manifest:
    records = list(manifest)
    records[index] = dataclasses.replace(records[index], **values)
    return Manifest(records)


def found(manifest, **options) -> list[tuple[str, str]]:
    return [(p.kind, p.path.rsplit("/", 1)[-1]) for p in verify_manifest(manifest, **options)]


def test_a_sound_manifest_has_no_problem(manifest):
    calls = []
    assert verify_manifest(manifest, min_size=40, progress=lambda *numbers: calls.append(numbers)) == []
    assert verify_manifest(manifest, decode=False) == []
    assert calls[-1] == (6, 6)


def test_it_reads_a_path_too(folder, manifest):
    assert verify_manifest(manifest.write(folder / "m.csv")) == []
    with pytest.raises(ManifestError, match="cannot read"):
        verify_manifest(folder / "other.csv")


@pytest.mark.parametrize("decode", [True, False])
def test_missing_and_empty_files(folder, manifest, decode):
    (folder / "images/s1/1.png").unlink()
    (folder / "images/s2/2.png").write_bytes(b"")
    assert found(manifest, decode=decode) == [("missing", "1.png"), ("corrupt", "2.png")]


def test_a_truncated_file_is_corrupt(folder, manifest):
    path = folder / "images/s2/2.png"
    path.write_bytes(path.read_bytes()[:300])
    problems = verify_manifest(manifest)
    assert {p.kind for p in problems} == {"corrupt"} and {p.path for p in problems} == {str(path)}
    assert any("checksum" in p.cause for p in problems) and any("cannot be read" in p.cause for p in problems)
    assert found(manifest, decode=False) == []


def test_a_changed_file_is_corrupt(folder, manifest, write_png):
    write_png(folder / "images/s2/2.png", seed=99)
    assert found(manifest) == [("corrupt", "2.png")]


def test_nan(tmp_path, make_record):
    tifffile.imwrite(tmp_path / "n.tif", np.full((40, 48), np.nan, "float32"))
    record = make_record(str(tmp_path / "n.tif"), stored_dtype="float32")
    assert found(Manifest([record])) == [("nan", "n.tif")]


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"height": 41}, "rows"),
        ({"width": 47}, "rows"),
        ({"channels": 3}, "channels"),
        ({"stored_dtype": "uint16"}, "uint16"),
    ],
)
def test_what_differs_from_the_manifest(manifest, values, word):
    (problem,) = verify_manifest(change(manifest, 3, **values))
    assert problem.kind == "mismatch" and problem.path.endswith("3.png") and word in problem.cause


@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.parametrize("values", [{"intensity_max": 0.0}, {"intensity_min": float("nan")}])
def test_an_empty_range(manifest, decode, values):
    assert found(change(manifest, 0, **values), decode=decode) == [("range", "0.png")]


def test_smaller_than_the_patch(manifest):
    assert found(change(manifest, 0, height=30), decode=False, min_size=40) == [("small", "0.png")]
    assert len(verify_manifest(manifest, decode=False, min_size=41)) == 6


@pytest.mark.parametrize("decode", [True, False])
def test_a_subject_in_two_splits_leaks(manifest, decode):
    (problem,) = verify_manifest(change(manifest, 4, subject="s0"), decode=decode)
    assert (problem.kind, problem.path) == ("leak", manifest.records[4].path)
    assert "subject 's0' is in test" in problem.cause and "0.png, in train" in problem.cause


def test_images_without_split_leak_nowhere(manifest):
    assert found(change(manifest, 4, subject="s0", split="")) == []


@pytest.mark.parametrize("decode", [True, False])
def test_a_copied_file_is_a_duplicate_in_its_split_and_a_leak_in_another(folder, manifest, decode):
    copy = folder / "images/s9/copy.png"
    copy.parent.mkdir()
    copy.write_bytes((folder / "images/s0/0.png").read_bytes())
    for split, kind in (("train", "duplicate"), ("test", "leak")):
        record = dataclasses.replace(manifest.records[0], path=str(copy), subject="s9", split=split)
        problems = verify_manifest(Manifest([*manifest, record]), decode=decode)
        assert [(p.kind, p.path) for p in problems] == [(kind, str(copy))]
        assert "0.png" in problems[0].cause


def test_equal_pixels_in_another_format_leak(folder, manifest):
    Image.open(folder / "images/s0/0.png").save(folder / "other.tif")
    (extra,) = build_manifest(folder / "other.tif", modality="mri", split="test").records
    assert found(Manifest([*manifest, extra])) == [("leak", "other.tif")]


def test_a_line_twice_is_a_duplicate(manifest):
    assert found(Manifest([*manifest, manifest.records[0]]), decode=False) == [("duplicate", "0.png")]


def test_slices_of_a_volume(tmp_path, write_nifti):
    volume = np.random.default_rng(0).random((20, 24, 6)).astype("float32")
    volume[..., 4] = volume[..., 3]
    path = write_nifti(tmp_path / "v.nii", volume)
    manifest = build_manifest(tmp_path, modality="mri")
    assert found(manifest) == [("duplicate", "v.nii [slice 4]")]
    assert found(change(manifest, 5, slice=6)) == [("duplicate", "v.nii [slice 4]"), ("corrupt", "v.nii [slice 6]")]
    assert found(Manifest([dataclasses.replace(manifest.records[0], slice=None)])) == [("corrupt", path.name)]


def test_targets(folder, manifest, write_png):
    clean = write_png(folder / "clean.png", seed=50)
    other = write_png(folder / "other.png", seed=51, shape=(40, 40))
    assert found(change(manifest, 0, target=str(clean))) == []
    assert found(change(manifest, 0, target=str(other))) == [("mismatch", "other.png")]
    assert found(change(manifest, 0, target=str(folder / "no.png")), decode=False) == [("missing", "no.png")]


def test_a_dicom_folder_is_verified_by_its_digest(tmp_path, write_dicom, make_record):
    from noisewise.data_manifest import file_digest

    rng = np.random.default_rng(0)
    for z in range(3):
        pixels = rng.integers(0, 2000, (40, 48)).astype("int16")
        write_dicom(tmp_path / "s" / f"{z}.dcm", pixels, position=z, intercept=None)
    digest = file_digest(tmp_path / "s")
    records = [
        make_record(str(tmp_path / "s"), slice=z, modality="ct", stored_dtype="int16", sha256=digest) for z in range(3)
    ]
    assert found(Manifest(records)) == []
    (tmp_path / "s" / "0.dcm").rename(tmp_path / "s" / "renamed.dcm")
    assert file_digest(tmp_path / "s") == digest
    write_dicom(tmp_path / "s" / "2.dcm", pixels + 1, position=2, intercept=None)
    assert ("corrupt", "s") in found(Manifest(records))


def test_a_url_is_missing(manifest):
    (problem,) = verify_manifest(change(manifest, 0, path="https://example.org/a.png"), decode=False)
    assert problem.kind == "missing" and "URL" in problem.cause
