# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The CSV, and the lists that MONAI reads from it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from monai.data import DataLoader, Dataset
from monai.transforms import Compose, SelectItemsd

from noisewise.data_manifest import Manifest, ManifestError, ManifestRecord, build_manifest
from noisewise.data_manifest.manifest import COLUMNS, spread
from noisewise.transforms import LoadMedicalImaged, ScaleToUnitRanged

LINE = {
    "path": "a.png",
    "slice": "",
    "modality": "mri",
    "source": "here",
    "license": "CC0-1.0",
    "subject": "s1",
    "split": "train",
    "sha256": "ab" * 32,
    "stored_dtype": "uint8",
    "intensity_min": "0.0",
    "intensity_max": "255.0",
    "channels": "1",
    "height": "40",
    "width": "48",
    "target": "",
    "kernel": "",
}


def write_csv(path: Path, *lines: dict[str, str], header: tuple[str, ...] = COLUMNS) -> Path:
    rows = [",".join(header)] + [",".join(line.get(name, "") for name in header) for line in lines]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_written_and_read_again_is_equal(tmp_path, make_record):
    records = [
        make_record(str(tmp_path / "in" / "a, b.png"), license='say "hi", ü', intensity_max=0.1 + 0.2),
        make_record("/elsewhere/v.nii.gz", slice=0, split="", sha256="0f" * 32, target="/elsewhere/t.nii.gz"),
        make_record("https://example.org/c.png", channels=3),
    ]
    path = Manifest(records).write(tmp_path / "in" / "manifest.csv")
    assert Manifest.read(path).records == records


def test_paths_below_the_manifest_are_relative_so_that_both_move_together(tmp_path, make_record):
    folder = tmp_path / "old"
    Manifest([make_record(str(folder / "x" / "a.png")), make_record("/else/b.png")]).write(folder / "m.csv")
    os.rename(folder, tmp_path / "new")
    assert [r.path for r in Manifest.read(tmp_path / "new" / "m.csv")] == [
        str(tmp_path / "new" / "x" / "a.png"),
        "/else/b.png",
    ]


def test_absolute_paths_when_asked_for(tmp_path, make_record):
    path = Manifest([make_record(str(tmp_path / "a.png"))]).write(tmp_path / "m.csv", absolute=True)
    assert str(tmp_path / "a.png") in path.read_text()


def test_a_failed_write_leaves_the_old_manifest(tmp_path, make_record, monkeypatch):
    path = Manifest([make_record()]).write(tmp_path / "m.csv")
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        Manifest([make_record(), make_record()]).write(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.csv"]


def test_byte_order_mark_and_missing_target_column_are_read(tmp_path):
    path = write_csv(tmp_path / "m.csv", LINE, header=tuple(name for name in COLUMNS if name != "target"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert Manifest.read(path).records[0].target == ""


# what is wrong, the change of a line, what the message must hold
BAD_VALUES = [
    ("not a whole number", {"height": "tall"}, "column 'height': 'tall'"),
    ("a height of 0", {"height": "0"}, "column 'height': '0'"),
    ("a negative slice", {"slice": "-1"}, "column 'slice': '-1'"),
    ("not a number", {"intensity_max": "high"}, "column 'intensity_max': 'high'"),
    ("infinite", {"intensity_max": "inf"}, "column 'intensity_max': 'inf'"),
    ("unknown split", {"split": "training"}, "column 'split': 'training'"),
    ("no checksum", {"sha256": "abc"}, "column 'sha256': 'abc'"),
    ("4 channels", {"channels": "4"}, "column 'channels': '4'"),
    ("empty path", {"path": ""}, "column 'path'"),
    ("empty modality", {"modality": ""}, "column 'modality'"),
    ("one value too many", {"target": "t.png,extra"}, "17 values for 16 columns"),
]


@pytest.mark.parametrize(("change", "message"), [case[1:] for case in BAD_VALUES], ids=[case[0] for case in BAD_VALUES])
def test_a_bad_value_names_file_line_and_column(tmp_path, change, message):
    path = write_csv(tmp_path / "m.csv", LINE, {**LINE, **change})
    with pytest.raises(ManifestError) as caught:
        Manifest.read(path)
    assert message in str(caught.value)
    assert f"{path}, line 3" in str(caught.value)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (tuple(c for c in COLUMNS if c != "sha256"), "missing column 'sha256'"),
        ((*COLUMNS, "color"), "unknown column 'color'"),
        ((*COLUMNS, "path"), "repeated column 'path'"),
    ],
)
def test_bad_columns_are_named(tmp_path, header, message):
    with pytest.raises(ManifestError, match=message):
        Manifest.read(write_csv(tmp_path / "m.csv", LINE, header=header))


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b"path\xff\xfe", "not a UTF-8 CSV"), (None, "cannot read")]
)
def test_no_csv_is_one_clear_error(tmp_path, content, message):
    path = tmp_path / "m.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ManifestError, match=message) as caught:
        Manifest.read(path)
    assert str(path) in str(caught.value)


def test_datalist_holds_what_training_reads(make_record):
    record = make_record("/images/v.nii", slice=7, sha256="0123456789ab" + "0" * 52, stored_dtype="int16", channels=3)
    assert Manifest([record]).datalist("train") == [
        {
            "image": "/images/v.nii",
            "slice": 7,
            "modality": "mri",
            "source": "here",
            "subject": "s1",
            "intensity_min": 0.0,
            "intensity_max": 255.0,
            "channels": 3,
            "eight_bit": False,
            "sha256": record.sha256,
            "image_id": "0123456789ab_0007",
        }
    ]


def test_datalist_names_the_target_of_a_pair(make_record):
    item = Manifest([make_record(target="/images/clean.png")]).datalist()[0]
    assert item["target"] == "/images/clean.png"
    assert item["eight_bit"] is True


def test_image_id_without_checksum_holds_no_path(make_record):
    assert "doe" not in make_record("/patients/doe.png").image_id


def test_select_by_split_modality_and_source(make_record):
    records = [
        make_record(f"/{m}{s}{c}.png", modality=m, split=s, source=c)
        for m in ("mri", "ct")
        for s in ("train", "test")
        for c in ("one", "two")
    ]
    manifest = Manifest(records)
    assert [d["image"] for d in manifest.datalist("test", ["ct"], ["two"])] == ["/cttesttwo.png"]
    assert len(manifest.datalist(modalities="ct")) == 4
    assert len(manifest.datalist()) == 8


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"split": "val"}, ["m.csv", "split 'val'", "mri train: 1"]),
        ({"split": "train", "modalities": ["ct"]}, ["m.csv", "split 'train'", "modality 'ct'"]),
        ({"modalities": ["mri", "ct"]}, ["m.csv", "modality ct"]),
        ({"sources": ["nowhere"]}, ["m.csv", "source 'nowhere'"]),
        ({"split": "training"}, ["split is 'training'"]),
        ({"limit_per_modality": 0}, ["limit_per_modality is 0"]),
    ],
)
def test_an_empty_choice_says_what_was_asked_for(make_record, query, words):
    with pytest.raises(ManifestError) as caught:
        Manifest([make_record()], "m.csv").datalist(**query)
    for word in words:
        assert word in str(caught.value)


def test_commercial_use_leaves_out_what_its_license_forbids(make_record):
    licenses = ["CC0-1.0", "CC-BY-4.0", "CC-BY-NC-SA-4.0", "cc by nc 4.0", "Non-commercial use only", "NCI, public"]
    manifest = Manifest([make_record(f"/{i}.png", license=license) for i, license in enumerate(licenses)])
    assert [d["image"] for d in manifest.datalist(commercial_use=True)] == ["/0.png", "/1.png", "/5.png"]
    assert len(manifest.datalist()) == 6


def test_commercial_use_guesses_no_license(make_record):
    with pytest.raises(ManifestError, match=r"/doe\.png states no license \(1 in all\)"):
        Manifest([make_record("/doe.png", license="")]).datalist(commercial_use=True)
    with pytest.raises(ManifestError, match="non-commercial use only"):
        Manifest([make_record("/doe.png", license="CC-BY-NC-4.0")]).datalist(commercial_use=True)


def test_limit_per_modality_spreads_evenly_and_is_the_same_each_time(make_record):
    records = [make_record(f"/{m}{i:02d}.png", modality=m) for i in range(50) for m in ("mri", "ct")]
    chosen = [d["image"] for d in Manifest(records).datalist(limit_per_modality=5)]
    assert chosen == [d["image"] for d in Manifest(records).datalist(limit_per_modality=5)]
    for modality in ("mri", "ct"):
        numbers = [int(name[-6:-4]) for name in chosen if name.startswith(f"/{modality}")]
        assert numbers == [5, 15, 25, 35, 45]
    assert spread([1, 2], 5) == [1, 2]


def test_url_must_be_fetched_first(make_record):
    with pytest.raises(ManifestError, match=r"https://example.org/a.png is a URL.*fetch"):
        Manifest([make_record("https://example.org/a.png")]).datalist()


def test_digest_depends_on_what_is_trained_on_only(make_record):
    a, b = make_record("/a.png", sha256="aa" * 32), make_record("/b.png", sha256="bb" * 32)
    moved = make_record("/moved/a.png", sha256="aa" * 32, license="other")
    digest = Manifest([a, b]).digest()
    assert digest == Manifest([b, moved]).digest()
    for change in ({"split": "val"}, {"intensity_max": 254.0}, {"sha256": "cc" * 32}, {"slice": 1}, {"subject": "s2"}):
        values = {"sha256": "aa" * 32, **change}
        assert Manifest([make_record("/a.png", **values), b]).digest() != digest


def test_monai_reads_the_datalist_across_workers(tmp_path, write_png):
    for i in range(4):
        write_png(tmp_path / "images" / f"s{i}" / "a.png", seed=i)
    manifest = build_manifest(tmp_path / "images", tmp_path / "m.csv", modality="mri", split="train")
    steps = Compose([LoadMedicalImaged("image"), ScaleToUnitRanged("image"), SelectItemsd(["image", "image_id"])])
    loader = DataLoader(
        Dataset(Manifest.read(tmp_path / "m.csv").datalist("train"), steps), num_workers=2, batch_size=2
    )
    batches = list(loader)
    assert [tuple(batch["image"].shape) for batch in batches] == [(2, 1, 48, 40)] * 2
    assert 0 <= min(float(b["image"].min()) for b in batches) < max(float(b["image"].max()) for b in batches) <= 1
    assert len({name for batch in batches for name in batch["image_id"]}) == len(manifest)
    expected = np.random.default_rng(0).integers(0, 256, (40, 48)).astype("uint8").T / 255
    np.testing.assert_allclose(batches[0]["image"][0, 0].numpy(), expected, atol=1e-6)


def test_kernels_are_selected_and_named(make_record):
    records = [
        make_record("/a.png", kernel="B30f"),
        make_record("/b.png", kernel="D45f"),
        make_record("/c.png"),
    ]
    manifest = Manifest(records)
    assert [item["image"] for item in manifest.datalist(kernels=["D45f"])] == ["/b.png"]
    assert [item.get("kernel") for item in manifest.datalist()] == ["B30f", "D45f", None]
    with pytest.raises(ManifestError, match="no image of kernel Qr40"):
        manifest.select(kernels=["B30f", "Qr40"])


def test_an_empty_kernel_leaves_the_digest_as_it_was(make_record):
    """Digests of manifests from before the column was there stay valid."""
    plain = Manifest([make_record()])
    assert plain.digest() == "666a44aa32f58149d13004562fe1e4ac254572137655d2b9089a69f656aeb85a"
    assert Manifest([make_record(kernel="B30f")]).digest() != plain.digest()


def test_the_earlier_spelling_of_license_is_read_and_accepted(tmp_path, make_record):
    old = tuple("licence" if name == "license" else name for name in COLUMNS)
    line = {**LINE, "licence": "CC-BY-4.0"}
    (record,) = Manifest.read(write_csv(tmp_path / "old.csv", line, header=old)).records
    assert record.license == "CC-BY-4.0"
    assert "license" in Manifest([record]).write(tmp_path / "new.csv").read_text().splitlines()[0].split(",")
    with pytest.warns(DeprecationWarning, match="'licence' is now 'license'"):
        assert record.licence == "CC-BY-4.0"
    values = {name: getattr(record, name) for name in COLUMNS if name != "license"}
    with pytest.warns(DeprecationWarning, match="'licence' is now 'license'"):
        assert ManifestRecord(**values, licence="CC-BY-4.0") == record
    with pytest.raises(ManifestError, match="repeated column 'license'"):
        Manifest.read(write_csv(tmp_path / "both.csv", line, header=(*COLUMNS, "licence")))
