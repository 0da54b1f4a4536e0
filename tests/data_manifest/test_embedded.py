# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The embedded set."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from noisewise.data_manifest import Manifest, ManifestError, build_embedded, list_embedded, verify_manifest
from noisewise.transforms import LoadMedicalImaged, ScaleToUnitRanged

PACKAGES = {image.package for image in list_embedded()}
needs_packages = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in PACKAGES),
    reason='the embedded images are not installed: pip install "noisewise[embedded]"',
)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    return build_embedded(tmp_path_factory.mktemp("embedded"))


@needs_packages
def test_what_it_holds(embedded):
    manifest = Manifest.read(embedded)
    assert manifest.counts() == {
        ("ct", "test"): 1,
        ("ct", "train"): 2,
        ("ct", "val"): 1,
        ("fundus", "train"): 4,
        ("microscopy", "test"): 1,
        ("microscopy", "train"): 4,
        ("microscopy", "val"): 1,
        ("mri", "test"): 1,
        ("mri", "train"): 36,
        ("mri", "val"): 1,
        ("xray", "test"): 3,
        ("xray", "train"): 9,
    }
    assert {record.channels for record in manifest} == {1, 3}
    assert all(record.license and record.sha256 for record in manifest)


@needs_packages
def test_it_is_sound(embedded):
    assert verify_manifest(embedded, min_size=128) == []


@needs_packages
def test_every_image_scales_to_a_picture(embedded):
    for item in Manifest.read(embedded).datalist():
        image = ScaleToUnitRanged("image")(LoadMedicalImaged("image")(item))["image"].numpy()
        inside = ((image >= 0) & (image <= 1)).mean()
        assert inside > 0.5 and image.std() > 0.01, item["image"]
        # Air outside of the scanner's field may be below -1000 HU; all other images start at 0.
        assert item["modality"] == "ct" or image.min() >= 0


@needs_packages
def test_it_is_the_same_each_time_and_moves_with_its_folder(embedded, tmp_path):
    again = build_embedded(tmp_path / "a")
    assert Manifest.read(again).digest() == Manifest.read(embedded).digest()
    (tmp_path / "a").rename(tmp_path / "b")
    assert verify_manifest(tmp_path / "b" / "manifest.csv", decode=False) == []


@needs_packages
def test_exported_tiles_hold_the_stored_values(embedded):
    import pydicom

    record = next(r for r in Manifest.read(embedded) if r.path.endswith("wg04_rg1_r1c1.png"))
    source = next(image for image in list_embedded() if image.subject == "wg04_rg1")
    folder = Path(importlib.util.find_spec(source.package).origin).parent
    dataset = pydicom.dcmread(folder / source.path)
    assert dataset.PhotometricInterpretation == "MONOCHROME1"
    stored = dataset.pixel_array
    top, left = (stored.shape[0] - 1536) // 2 + 512, (stored.shape[1] - 1536) // 2 + 512
    expected = stored.max() - stored[top : top + 512, left : left + 512]
    tile = LoadMedicalImaged("image")(record.datum())["image"][0].numpy().T
    np.testing.assert_array_equal(tile, expected)


@needs_packages
def test_exported_slices_hold_the_stored_values(embedded):
    import nibabel as nib

    source = next(image for image in list_embedded() if image.export == "slices")
    folder = Path(importlib.util.find_spec(source.package).origin).parent
    volume = np.asarray(nib.load(folder / source.path).dataobj)
    for record in Manifest.read(embedded):
        if "axial" in record.path:
            index = int(record.path[-7:-4])
            picture = LoadMedicalImaged("image")(record.datum())["image"][0].numpy().T
            np.testing.assert_array_equal(picture, np.rot90(volume[:, :, index]))


def test_missing_packages_are_named_with_the_command(tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in ("data_store", "mahotas") else find_spec(name)
    )
    with pytest.raises(ManifestError, match=r'mahotas, pydicom-data.*pip install "noisewise\[embedded\]"'):
        build_embedded(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_subject_is_in_two_splits_and_no_photograph_is_there():
    homes: dict[str, set[str]] = {}
    for image in list_embedded():
        homes.setdefault(image.subject, set()).add(image.split)
    assert all(len(splits) == 1 for splits in homes.values())
    assert not any(word in image.path for image in list_embedded() for word in ("camera", "astronaut", "coins"))
