# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Which files below a folder are denoised, and where results go. Contents matter for DICOM only."""

from __future__ import annotations

import io
import os
import shutil

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.data import get_testdata_file

from noisewise.pipelines.denoising.sources import SourceError, find_sources
from noisewise.transforms.file_types import has_dicom_content

CT = get_testdata_file("CT_small.dcm")


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def series(folder, uid, count):
    folder.mkdir(parents=True, exist_ok=True)
    dataset = pydicom.dcmread(CT)
    for number in range(count):
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = uid, f"{uid}.{number}"
        dataset.InstanceNumber = number
        dataset.ImagePositionPatient = [0, 0, float(number)]
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(folder / f"{uid}.{number}.dcm")


def below(paths, root):
    return [path.relative_to(root).as_posix() for path in paths]


def test_a_tree_keeps_its_names(tmp_path):
    root = tmp_path / "in"
    touch(root, "a.PNG", "p1/b.nii.gz", "p1/deep/c.mha", "notes.txt", "p1/list.csv", ".hidden.png", ".git/d.png")
    shutil.copy(CT, root / "p1" / "1.2.840.7")  # no suffix
    touch(root, "DICOMDIR", "p1/volume.raw")
    os.mkfifo(root / "pipe")
    found = find_sources(root, tmp_path / "out")
    assert [below(source.paths, root) for source in found.sources] == [
        ["a.PNG"],
        ["p1/1.2.840.7"],
        ["p1/b.nii.gz"],
        ["p1/deep/c.mha"],
    ]
    for source in found.sources:
        assert below(source.outputs, tmp_path / "out") == below(source.paths, root)
    assert [source.kind for source in found.sources] == [".png", "dicom", ".nii.gz", ".mha"]
    assert sorted(below(found.no_images, root)) == ["DICOMDIR", "notes.txt", "p1/list.csv", "p1/volume.raw", "pipe"]
    assert found.is_tree and found.excluded == []


def test_a_series_is_one_source_of_many_files(tmp_path):
    root = tmp_path / "in"
    series(root, "1.2.3", 3)
    series(root, "1.2.4", 2)
    touch(root, "a.png")
    found = find_sources(root, tmp_path / "out", noise_map=True)
    counts = {source.paths[0].name: len(source.paths) for source in found.sources}
    assert sorted(counts.values()) == [1, 2, 3]
    for source in found.sources:
        assert below(source.outputs, tmp_path / "out") == below(source.paths, root)
    maps = {source.noise_map.name for source in found.sources}
    assert maps == {"a_removed.tif", "1.2.3.0_removed.nii.gz", "1.2.4.0_removed.nii.gz"}
    part = next(source for source in found.sources if len(source.paths) == 3)
    part = part.only(reversed(part.paths[1:]))
    assert below(part.outputs, tmp_path / "out") == below(part.paths, root) and len(part.paths) == 2


def test_results_below_the_input_are_not_inputs(tmp_path):
    root = tmp_path / "in"
    touch(root, "a.png", "out/a.png", "other/.noisewise/ledger.jsonl", "other/a.png", "outer/a.png")
    found = find_sources(root, root / "out")
    assert [below(source.paths, root) for source in found.sources] == [["a.png"], ["outer/a.png"]]
    assert sorted(below(found.excluded, root)) == ["other", "out"]


def test_inputs_and_outputs_that_overlap_are_refused(tmp_path):
    root = tmp_path / "data" / "in"
    touch(root, "a.png")
    (tmp_path / "link").symlink_to(root)
    touch(tmp_path, "file.png")
    for output, cause in (
        (root, "is the input"),
        (tmp_path / "link", "is the input"),
        (tmp_path / "data", "holds the input"),
        (tmp_path / "file.png", "is a file"),
    ):
        with pytest.raises(SourceError, match=cause) as caught:
            find_sources(root, output)
        assert str(caught.value).startswith(f"{output}: ")


def test_links_are_followed_but_not_in_circles(tmp_path):
    root = tmp_path / "in"
    touch(tmp_path, "elsewhere/b.png")
    touch(root, "a.png")
    (root / "more").symlink_to(tmp_path / "elsewhere")
    (root / "again").symlink_to(root)
    found = find_sources(root, tmp_path / "out")
    assert [below(source.paths, root) for source in found.sources] == [["a.png"], ["more/b.png"]]


def test_a_link_cannot_make_a_result_replace_an_input(tmp_path):
    touch(tmp_path, "out/x/a.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x").symlink_to(tmp_path / "out" / "x")
    with pytest.raises(SourceError, match=r"a\.png: the result would replace an input"):
        find_sources(tmp_path / "in", tmp_path / "out")


def test_one_file(tmp_path):
    touch(tmp_path, "in/a.png", "out/x")
    source = tmp_path / "in" / "a.png"

    def output(path):
        found = find_sources(source, path)
        assert not found.is_tree and found.sources[0].paths == (source,)
        return found.sources[0].outputs

    assert output(tmp_path / "b.PNG") == (tmp_path / "b.PNG",)
    assert output(tmp_path / "out") == (tmp_path / "out" / "a.png",)
    assert output(f"{tmp_path}/new/") == (tmp_path / "new" / "a.png",)
    with pytest.raises(SourceError, match=r"b\.tif: a \.png file is written as \.png"):
        output(tmp_path / "b.tif")
    for itself in (source, tmp_path / "in"):
        with pytest.raises(SourceError, match=r"a\.png: the result would replace an input"):
            output(itself)


def test_one_dicom_file_may_get_any_name(tmp_path):
    shutil.copy(CT, tmp_path / "1.2.840")
    found = find_sources(tmp_path / "1.2.840", tmp_path / "new" / "name", noise_map=True, audit=True)
    (source,) = found.sources
    assert (source.kind, source.outputs) == ("dicom", (tmp_path / "new" / "name",))
    assert source.noise_map == tmp_path / "new" / "name_removed.nii.gz"
    assert source.picture == tmp_path / "new" / "name_audit" / "pictures" / "1.2.840.png"


@pytest.mark.parametrize("name", ["a.txt", "DICOMDIR", "noise"])
def test_a_file_that_is_not_an_image_is_refused(tmp_path, name):
    touch(tmp_path, name)
    with pytest.raises(SourceError, match=f"{name}: is not an image"):
        find_sources(tmp_path / name, tmp_path / "out")


def test_a_folder_without_images_is_refused(tmp_path):
    touch(tmp_path, "in/notes.txt")
    with pytest.raises(SourceError, match=r"in: holds no image that can be denoised; \.bmp, .* and DICOM files are"):
        find_sources(tmp_path / "in", tmp_path / "out")


def test_dicom_files_that_are_not_images_are_named(tmp_path):
    touch(tmp_path, "in/a.png")
    shutil.copy(get_testdata_file("reportsi.dcm"), tmp_path / "in" / "report.dcm")
    found = find_sources(tmp_path / "in", tmp_path / "out")
    assert [source.paths[0].name for source in found.sources] == ["a.png"]
    assert below(found.no_images, tmp_path / "in") == ["report.dcm"]


def test_a_missing_input(tmp_path):
    with pytest.raises(SourceError, match="nowhere: no such file or folder"):
        find_sources(tmp_path / "nowhere", tmp_path / "out")


def test_noise_maps_never_share_a_name(tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    touch(root, "a.png", "a.tif", "b.png", "b_removed.tif", "v.nii", "sub/a.png")
    found = find_sources(root, out, noise_map=True, audit=True)
    maps = dict(zip((path.paths[0].relative_to(root).as_posix() for path in found.sources), found.sources))
    assert {name: source.noise_map.relative_to(out).as_posix() for name, source in maps.items()} == {
        "a.png": "a_png_removed.tif",
        "a.tif": "a_tif_removed.tif",
        "b.png": "b_png_removed.tif",
        "b_removed.tif": "b_removed_removed.tif",
        "v.nii": "v_removed.nii.gz",
        "sub/a.png": "sub/a_removed.tif",
    }
    pictures = [source.picture for source in found.sources]
    assert found.audit_folder == out / "noisewise_audit" and len(set(pictures)) == 6
    assert out / "noisewise_audit" / "pictures" / "sub" / "a.png.png" in pictures
    assert maps["a.png"].all_outputs == [out / "a.png", out / "a_png_removed.tif", maps["a.png"].picture]


def test_data_files_belong_to_their_headers(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("v.mhd", "w.nhdr"):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.ones((3, 4, 5), np.uint8)), str(folder / name))
    nibabel.save(nibabel.Nifti1Pair(np.ones((3, 4, 5), np.uint8), np.eye(4)), folder / "x.hdr")
    (folder / "y.hdr").write_text("ENVI\nsamples = 3\n")
    (folder / "z.mhd").write_bytes((folder / "v.mhd").read_bytes())
    found = find_sources(folder, tmp_path / "out")
    files = [[path.name for path in source.files] for source in found.sources]
    assert files == [["v.mhd", "v.raw"], ["w.nhdr", "w.raw"], ["x.hdr", "x.img"]]
    outputs = [[path.name for path in source.all_outputs] for source in found.sources]
    assert outputs == files
    assert [path.name for path in found.no_images] == ["y.hdr"]
    assert [path.name for path in found.copies] == ["z.mhd"]
    with pytest.raises(SourceError, match=r"second of a pair .* give the \.hdr file"):
        find_sources(folder / "x.img", tmp_path / "out")
    with pytest.raises(SourceError, match="would replace an input"):
        find_sources(folder / "v.mhd", tmp_path / "in")


@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
def test_dicom_without_preamble_and_suffix(tmp_path, implicit, little):
    dataset = pydicom.dcmread(CT)
    content = io.BytesIO()
    plain = pydicom.Dataset()
    plain.update({tag: dataset[tag] for tag in list(dataset.keys()) if dataset[tag].keyword != "PixelData"})
    pydicom.dcmwrite(content, plain, implicit_vr=implicit, little_endian=little)
    (tmp_path / "IM0001").write_bytes(content.getvalue())
    (tmp_path / "letter").write_text("\x08 Dear colleague, " * 50)
    (tmp_path / "numbers").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "zeros").write_bytes(bytes(5000))
    assert [name for name in ("IM0001", "letter", "numbers", "zeros") if has_dicom_content(tmp_path / name)] == [
        "IM0001"
    ]
    found = find_sources(tmp_path, tmp_path.parent / "out")
    assert [source.paths[0].name for source in found.sources] == ["IM0001"]
