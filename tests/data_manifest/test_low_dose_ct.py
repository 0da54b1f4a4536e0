# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of low-dose and full-dose CT, from small synthetic DICOM trees of both public layouts."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from typer.testing import CliRunner

from noisewise.data_manifest import (
    ANATOMY_WINDOWS,
    Manifest,
    ManifestError,
    anatomy_of,
    build_low_dose_ct,
    kernel_class,
    verify_manifest,
)
from noisewise.data_manifest.subjects import hashed_patient_id
from noisewise.pipelines.cli.app import app

SIZE = 64
NOISE_HU = {"low": 40.0, "full": 20.0}
PLACES = (-3.0, 0.0, 3.0, 6.0)


def phantom(dose: str, seed: int, radius: float = 20) -> np.ndarray:
    """A disc of soft tissue in air, in HU, with the noise of its dose."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    body = np.where(x**2 + y**2 < radius**2, 40.0, -950.0)
    return body + np.random.default_rng(seed).normal(0, NOISE_HU[dose], body.shape)


@pytest.fixture
def write_slice(write_dicom):
    """A function that writes a slice as the Mayo Clinic's are; tags override the header, None takes them out."""

    def write(path: Path, dose: str, place: float, image: np.ndarray | None = None, **tags) -> Path:
        image = phantom(dose, seed=int(10 * place) + 1000) if image is None else image
        write_dicom(
            path, np.round(image + 1024).astype("int16"), series="1.2.3" if dose == "low" else "1.2.4", position=place
        )
        header = pydicom.dcmread(path)
        # Numbers in the wrong order: whoever pairs by them pairs wrongly.
        header.InstanceNumber = random.Random(str(path)).randrange(1, 1000)
        defaults = {"ConvolutionKernel": "B30f", "SliceThickness": 3, "PatientAge": "057Y", "PixelSpacing": [0.7, 0.7]}
        with pydicom.config.disable_value_validation():
            for name, value in {**defaults, **tags}.items():
                if value is not None:
                    setattr(header, name, value)
                elif name in header:
                    delattr(header, name)
                if name == "PixelPaddingValue":
                    header["PixelPaddingValue"].VR = "US"
            header.save_as(path)
        return path

    return write


@pytest.fixture
def challenge(tmp_path, write_slice):
    """The layout of the 2016 challenge: two patients, two kernels; names run against the places in one dose."""

    def write(root: Path = tmp_path / "mayo", patients=("L067", "L096"), places=PLACES) -> Path:
        for patient in patients:
            for kernel, suffix in (("B30f", ""), ("D45f", "_sharp")):
                for index, place in enumerate(places):
                    for dose, word, order in (("low", "quarter", index), ("full", "full", len(places) - index)):
                        name = f"{patient}_{word[0].upper()}D_3_1.CT.0001.{order:04d}.2015.12.22.IMA"
                        write_slice(
                            root / patient / f"{word}_3mm{suffix}" / name, dose, place, ConvolutionKernel=kernel
                        )
        return root

    return write


@pytest.fixture
def tcia(tmp_path, write_slice):
    """The layout of TCIA: one abdomen and one chest; names don't tell which slice is which."""
    root = tmp_path / "LDCT-and-Projection-data"
    for patient in ("L004", "C002"):
        for index, place in enumerate(PLACES):
            for dose, series in (
                ("low", "2.000000-Low Dose Images-00321"),
                ("full", "1.000000-Full dose images-12345"),
            ):
                number = index if dose == "low" else (index + 2) % len(PLACES)
                description = "Low Dose Images" if dose == "low" else "Full Dose Images"
                path = root / patient / "08-21-2018-NA-ABDOMEN-1" / series / f"1-{number + 1:03d}.dcm"
                write_slice(path, dose, place, PatientID=patient, SeriesDescription=description)
    return tmp_path


def place_of(path: str) -> float:
    """Where a slice lies, by SimpleITK."""
    return SimpleITK.ReadImage(path).GetOrigin()[2]


def kinds(manifest: Manifest) -> Counter:
    return Counter(problem.kind for problem in manifest.skipped)


def test_the_challenge_is_paired_by_place_and_kernel(tmp_path, challenge):
    root = challenge()
    manifest = build_low_dose_ct(root, tmp_path / "pairs.csv", licence="check the site")
    assert not manifest.skipped and len(manifest) == 16
    assert Counter((r.subject, r.kernel) for r in manifest) == dict.fromkeys(
        [(s, k) for s in ("L067", "L096") for k in ("B30f", "D45f")], 4
    )
    for record in manifest:
        assert "quarter" in record.path and "full" in record.target
        assert place_of(record.path) == place_of(record.target)
        assert f"/{record.subject}/" in record.path and f"/{record.subject}/" in record.target
        assert {pydicom.dcmread(p).ConvolutionKernel for p in (record.path, record.target)} == {record.kernel}
        assert record.sha256 == hashlib.sha256(Path(record.path).read_bytes()).hexdigest()
        assert (record.modality, record.source, record.licence) == ("ct", "mayo", "check the site")
        assert (record.intensity_min, record.intensity_max, record.channels) == (-1000, 1000, 1)
        assert (record.height, record.width, record.slice, record.split) == (SIZE, SIZE, None, "")
    assert Manifest.read(tmp_path / "pairs.csv").records == manifest.records
    # The phantom of a place is the same in each patient; all else must verify.
    assert {problem.kind for problem in verify_manifest(manifest)} <= {"duplicate"}


def test_tcia_is_paired_and_projections_are_named_once_a_folder(tcia, write_slice):
    study = tcia / "LDCT-and-Projection-data" / "L004" / "08-21-2018-NA-ABDOMEN-1"
    for view in range(3):
        write_slice(study / "3.000000-Low dose projections-1" / f"1-{view}.dcm", "low", view)
        write_slice(study / "4.000000-x" / f"1-{view}.dcm", "low", view, SeriesDescription="Full Dose Projections")
    manifest = build_low_dose_ct(tcia)
    assert [r.subject for r in manifest] == ["C002"] * 4 + ["L004"] * 4
    assert all(place_of(r.path) == place_of(r.target) and "Low" in r.path and "Full" in r.target for r in manifest)
    assert [(p.kind, Path(p.path).name) for p in manifest.skipped] == [
        ("projections", "3.000000-Low dose projections-1"),
        ("projections", "4.000000-x"),
    ]


def test_own_folders_of_any_name_hold_no_patient_number(tmp_path, write_slice):
    for index, place in enumerate(PLACES):
        write_slice(tmp_path / "a" / "p1" / f"{index}.dcm", "low", place, SeriesDescription="Thorax 1")
        write_slice(tmp_path / "b" / "p1" / f"{9 - index}.dcm", "full", place, SeriesDescription="Thorax 2")
    out = tmp_path / "pairs.csv"
    manifest = build_low_dose_ct(out=out, low=tmp_path / "a", full=tmp_path / "b", salt="s")
    assert len(manifest) == 4 and all(place_of(r.path) == place_of(r.target) for r in manifest)
    assert {r.subject for r in manifest} == {hashed_patient_id("DOE^JOHN-4711", "s")}
    assert "JOHN" not in out.read_text()
    by_path = build_low_dose_ct(low=tmp_path / "a", full=tmp_path / "b", subject_pattern=r"(p\d)/")
    assert {r.subject for r in by_path} == {"p1"}


def test_own_folders_whose_names_tell_the_dose_have_hashed_subjects(tmp_path, write_slice):
    for dose in ("low", "full"):
        write_slice(tmp_path / "cases" / "one" / f"{dose}_dose" / "x.dcm", dose, 0)
    (record,) = build_low_dose_ct(tmp_path / "cases")
    assert record.subject == hashed_patient_id("DOE^JOHN-4711")


@pytest.fixture
def build_one(tmp_path, write_slice):
    """A function that writes two pairs, the second one odd, and returns the manifest: tags of its two images."""

    def build(low: dict | None = None, full: dict | None = None, **options) -> Manifest:
        for dose, word, odd in (("low", "quarter", low), ("full", "full", full)):
            folder = tmp_path / "mayo" / "L067" / f"{word}_3mm"
            write_slice(folder / "good.IMA", dose, 0)
            if odd is not None:
                write_slice(folder / "odd.IMA", dose, **{"place": 30, **odd})
        return build_low_dose_ct(tmp_path / "mayo", **options)

    return build


ROTATED = {"ImageOrientationPatient": [0.96, 0.28, 0, -0.28, 0.96, 0]}
METAL = phantom("full", 3)
METAL[30:34, 30:34] = 3050.0
# tags of the odd low-dose and full-dose image, the kind of the problem, the file that it names, words of its cause
CASES = {
    "no partner": ({}, None, "missing", "quarter_3mm", "no full-dose slice .* the nearest is 30.00 mm away"),
    "no low dose": (None, {}, "missing", "full_3mm", "no low-dose slice"),
    "next slice": ({}, {"place": 30.3}, "missing", "quarter_3mm", "the nearest is 0.30 mm away"),
    "kernel": ({}, {"ConvolutionKernel": "D45f"}, "wrong kernel", "quarter_3mm", "kernel B30f, .* has D45f"),
    "unknown kernel": (*[{"ConvolutionKernel": None}] * 2, "wrong kernel", "quarter_3mm", "no ConvolutionKernel"),
    "thickness": ({}, {"SliceThickness": 1}, "wrong thickness", "quarter_3mm", "SliceThickness 3 mm, .* has 1 mm"),
    "spacing": ({}, {"PixelSpacing": [0.8, 0.8]}, "geometry", "quarter_3mm", "0.7 x 0.7 mm, not the 0.8 x 0.8 mm"),
    "origin": ({}, {"ImagePositionPatient": [5, 0, 30]}, "geometry", "quarter_3mm", "not at the 5 x 0 x 30 mm"),
    "orientation": ({}, ROTATED, "geometry", "quarter_3mm", "another orientation"),
    "rows": ({}, {"image": phantom("full", 3)[:60]}, "geometry", "quarter_3mm", "64 rows .* not the 60 and 64"),
    "no place": ({"ImagePositionPatient": None}, None, "geometry", "quarter_3mm", "no ImagePositionPatient"),
    "no rescale": ({}, {"RescaleIntercept": None}, "not Hounsfield units", "full_3mm", "no Rescale Slope and Interc"),
    "unit": ({"RescaleType": "US"}, {}, "not Hounsfield units", "quarter_3mm", "a unit but HU"),
    "no air": ({}, {"RescaleIntercept": 500}, "not Hounsfield units", "full_3mm", "no value is below 0 HU"),
    "scaled": ({"RescaleSlope": 9}, {}, "not Hounsfield units", "quarter_3mm", "% of the values lie beyond -1100"),
    "too thick": (*[{"SliceThickness": 8}] * 2, "thickness", "quarter_3mm", "8 mm, not 0.5 to 5 mm"),
    "too thin": (*[{"SliceThickness": 0.4}] * 2, "thickness", "quarter_3mm", "0.4 mm, not 0.5 to 5 mm"),
    "child": ({}, {"PatientAge": "017Y"}, "paediatric", "full_3mm", "under 18 years"),
    "infant": ({"PatientAge": "200W"}, {}, "paediatric", "quarter_3mm", "under 18 years"),
    "age": ({"PatientAge": "old"}, None, "unusable", "quarter_3mm", "header is damaged"),
    "agent": ({"ContrastBolusAgent": "Iohexol"}, {}, "contrast", "quarter_3mm", "the low-dose image has a contrast"),
    "agent 2": ({}, {"ContrastBolusAgent": "Iohexol"}, "contrast", "quarter_3mm", "the full-dose image has a contra"),
    "metal": ({}, {"image": METAL}, "metal", "full_3mm", "16 pixels of 3000 HU"),
    "cut": ({}, {"image": phantom("full", 3, radius=42)}, "truncated", "full_3mm", "% of the field of view's edge"),
    "air only": ({}, {"image": phantom("full", 3, radius=0)}, "empty", "quarter_3mm", "too little soft tissue"),
    "swapped": (
        {"image": phantom("full", 3)},
        {"image": phantom("low", 4)},
        "swapped doses",
        "quarter_3mm",
        "noise of .* is not above",
    ),
    "equal": ({"image": phantom("full", 3)}, {"image": phantom("full", 3)}, "swapped doses", "quarter_3mm", "swapped"),
    "other": ({"Modality": "MR"}, None, "not CT", "quarter_3mm", "its Modality is 'MR'"),
    "scout": ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, None, "not CT", "quarter_3mm", "a localizer"),
    "both doses": ({"SeriesDescription": "Full Dose Images"}, None, "dose", "quarter_3mm", "path says low dose"),
}


@pytest.mark.parametrize("name", CASES)
def test_each_odd_pair_is_named_and_left_out(build_one, name):
    low, full, kind, folder, cause = CASES[name]
    manifest = build_one(low, full)
    assert [Path(r.path).name for r in manifest] == ["good.IMA"]
    (problem,) = [p for p in manifest.skipped if p.kind == kind and p.path.endswith(f"{folder}/odd.IMA")][:1]
    assert re.search(cause, problem.cause), problem.cause
    # Where the low-dose image finds no partner, the full-dose one has none either; nothing else is said.
    assert len(manifest.skipped) == 1 + (name in ("next slice", "kernel", "thickness"))


@pytest.mark.parametrize(
    ("case", "option"), [("child", "paediatric"), ("infant", "paediatric"), ("metal", "metal"), ("cut", "truncated")]
)
def test_some_of_them_are_taken_when_asked_for(build_one, case, option):
    manifest = build_one(*CASES[case][:2], **{option: True})
    assert len(manifest) == 2 and not manifest.skipped


@pytest.mark.parametrize("tags", [{"PatientAge": None}, {"PatientAge": "018Y"}, {"SliceThickness": 5}])
def test_what_is_just_allowed_is_taken(build_one, tags):
    assert len(build_one(tags, tags)) == 2


def test_a_tenth_of_a_millimetre_is_the_same_place_and_padding_is_no_value(build_one):
    image = phantom("full", 3)
    image[:12] = -2000
    padding = {"PixelPaddingValue": 2**16 - 976}
    manifest = build_one({"place": 30.05}, {"image": image, **padding})
    assert len(manifest) == 2 and not manifest.skipped
    assert kinds(build_one({"place": 30.05}, {"image": image})) == {"not Hounsfield units": 1}


def test_padding_is_the_edge_of_the_field(build_one):
    # A round field whose rim lies in the body: nothing of the body touches the image's own border.
    image = phantom("full", 3, radius=50)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    image[x**2 + y**2 > 25**2] = -2000
    assert kinds(build_one({}, {"image": image, "PixelPaddingValue": 2**16 - 976})) == {"truncated": 1}


def test_two_partners_are_no_choice_but_a_reformat_is_no_partner(tmp_path, build_one, write_slice):
    full = tmp_path / "mayo" / "L067" / "full_3mm"
    sagittal = write_slice(full / "sagittal.IMA", "full", 0, ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    manifest = build_one()
    assert len(manifest) == 1 and [p.path for p in manifest.skipped] == [str(sagittal)]
    write_slice(full / "copy.IMA", "full", 0)
    with pytest.raises(ManifestError, match=r"no pair of low-dose and full-dose CT; .* ambiguous: 2 full-dose slices"):
        build_one()


def test_no_patient_is_given_another_ones_partner(tmp_path, write_slice):
    write_slice(tmp_path / "L001" / "quarter_1mm" / "a.IMA", "low", 0)
    write_slice(tmp_path / "L002" / "full_1mm" / "a.IMA", "full", 0)
    with pytest.raises(ManifestError, match=r"L001/quarter_1mm/a.IMA: missing: no full-dose slice of this patient"):
        build_low_dose_ct(tmp_path)


def test_files_of_no_dose_or_no_patient_are_named(tmp_path, build_one, write_slice):
    write_slice(tmp_path / "mayo" / "L067" / "other" / "a.IMA", "low", 0)
    write_slice(tmp_path / "mayo" / "case" / "low" / "b.IMA", "low", 0, PatientID=None)
    (tmp_path / "mayo" / "L067" / "low" / "c.dcm").parent.mkdir()
    (tmp_path / "mayo" / "L067" / "low" / "c.dcm").write_bytes(b"no DICOM")
    manifest = build_one()
    assert len(manifest) == 1
    assert {Path(p.path).name: p.kind for p in manifest.skipped} == {
        "a.IMA": "dose",
        "b.IMA": "subject",
        "c.dcm": "unusable",
    }


def test_a_truncated_file_is_unusable(tmp_path, build_one):
    build_one({}, {})
    path = tmp_path / "mayo" / "L067" / "full_3mm" / "odd.IMA"
    path.write_bytes(path.read_bytes()[:-4000])
    manifest = build_low_dose_ct(tmp_path / "mayo")
    assert [(p.kind, p.path) for p in manifest.skipped] == [("unusable", str(path))]


@pytest.mark.parametrize("wish", ["soft", "b30f"])
def test_choice_of_kernel_thickness_and_every_nth(challenge, write_slice, wish):
    root = challenge(patients=("L067",))
    for dose, word in (("low", "quarter"), ("full", "full")):
        write_slice(root / "L067" / f"{word}_1mm" / "a.IMA", dose, 0, SliceThickness=1)
    assert {r.kernel for r in build_low_dose_ct(root, kernel=wish)} == {"B30f"}
    assert {r.kernel for r in build_low_dose_ct(root, kernel="sharp")} == {"D45f"}
    (thin,) = build_low_dose_ct(root, thickness=1)
    assert "1mm" in thin.path
    chosen = build_low_dose_ct(root, thickness=3, every_nth=2)
    assert not chosen.skipped
    assert [(r.kernel, place_of(r.path)) for r in chosen] == [(k, p) for k in ("B30f", "D45f") for p in (0, 6)]
    with pytest.raises(ManifestError, match="no image with kernel 'Br40' of 2 mm; there are kernels B30f, D45f"):
        build_low_dose_ct(root, kernel="Br40", thickness=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give either one folder"),
        ({"root": "x", "low": "y", "full": "z"}, "give either one folder"),
        ({"low": "y"}, "both low"),
        ({"root": "nowhere"}, "nowhere: no such folder"),
        ({"root": ".", "every_nth": 0}, "every_nth is 0"),
        ({"root": "."}, "no DICOM file"),
        ({"root": ".", "subject_pattern": "("}, "no regular expression"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ManifestError, match=message):
        build_low_dose_ct(out="pairs.csv", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ("B30f", "soft"),
        ("D45f", "sharp"),
        ("Br40d 3", "soft"),
        ("H70s", "sharp"),
        ("STANDARD", "soft"),
        ("LUNG", "sharp"),
        ("FC13", ""),
        ("", ""),
    ],
)
def test_classes_of_kernels(kernel, expected):
    assert kernel_class(kernel) == expected


def test_anatomy_and_its_windows():
    assert [anatomy_of(name) for name in ("L067", "N012", "C002", "p12ab", "L67")] == [
        "abdomen",
        "head",
        "chest",
        "",
        "",
    ]
    windows = {w.name: (w.center, w.width, w.limits) for ws in ANATOMY_WINDOWS.values() for w in ws}
    assert windows == {
        "abdomen": (40, 400, (-160, 240)),
        "lung": (-600, 1500, (-1350, 150)),
        "mediastinum": (50, 400, (-150, 250)),
        "brain": (40, 80, (0, 80)),
    }
    assert all(window.source for windows in ANATOMY_WINDOWS.values() for window in windows)


def run(*arguments: object):
    return CliRunner().invoke(app, ["manifest", "low-dose-ct", *map(str, arguments)])


def test_command_writes_pairs_and_names_what_it_left_out(tmp_path, challenge, write_slice):
    root = challenge(patients=("L067",))
    extra = write_slice(root / "L067" / "quarter_3mm" / "extra.IMA", "low", 90)
    out = tmp_path / "pairs.csv"
    result = run(root, "--out", out, "--kernel", "soft", "--source", "mayo_challenge")
    assert result.exit_code == 0, result.output
    assert "left out, missing: 1" in result.output and f"{extra}: no full-dose slice" in result.output
    assert "4 pairs, kernel B30f, abdomen" in result.output and f"4 images: {out}" in result.output
    assert {r.source for r in Manifest.read(out)} == {"mayo_challenge"}


def test_command_takes_two_folders_and_says_in_one_line_what_is_wrong(tmp_path, write_slice):
    write_slice(tmp_path / "a" / "1.dcm", "low", 0, PatientAge="009Y")
    write_slice(tmp_path / "b" / "1.dcm", "full", 0)
    out = tmp_path / "pairs.csv"
    folders = ("--low", tmp_path / "a", "--full", tmp_path / "b", "--out", out)
    result = run(*folders)
    assert result.exit_code == 1 and "paediatric" in result.output and not out.exists()
    assert run(*folders, "--paediatric").exit_code == 0 and len(Manifest.read(out)) == 1
    assert run("--out", out).exit_code == 1
