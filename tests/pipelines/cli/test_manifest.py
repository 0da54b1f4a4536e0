# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The command ``noisewise manifest``."""

from __future__ import annotations

import runpy
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from noisewise import __version__
from noisewise.data_manifest import Manifest, list_sources
from noisewise.pipelines.cli.app import app


@pytest.fixture
def folder(tmp_path):
    """Ten subjects of two images each."""
    for s in range(10):
        for i in range(2):
            path = tmp_path / "images" / f"s{s}" / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(10 * s + i).integers(0, 256, (32, 32), dtype="uint8")
            Image.fromarray(pixels).save(path)
    return tmp_path


def run(*words, code: int = 0):
    """Call the command; ``code`` is the exit status that it must have."""
    result = CliRunner().invoke(app, ["manifest", *map(str, words)], env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    # An error that reaches a user as a traceback is no clear error.
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_build_split_verify(folder):
    out = folder / "m.csv"
    assert "20 images" in run("build", folder / "images", "--out", out, "--modality", "mri", "--license", "CC0").stdout
    assert Manifest.read(out).counts() == {("mri", ""): 20}
    run("split", out, "--fractions", 0.6, 0.2, 0.2, "--seed", 3)
    assert Manifest.read(out).counts() == {("mri", "test"): 4, ("mri", "train"): 12, ("mri", "val"): 4}
    assert "no problem" in run("verify", out, "--min-size", 32).stdout
    run("split", out, "--counts", 4, 2, 2, "--out", folder / "few.csv")
    assert Manifest.read(folder / "few.csv").counts()["mri", "train"] == 4


def test_the_earlier_name_of_the_license_option_still_works(folder):
    out = folder / "m.csv"
    result = run("build", folder / "images", "--out", out, "--modality", "mri", "--licence", "CC0")
    assert "--licence is now --license" in result.stderr
    assert {record.license for record in Manifest.read(out)} == {"CC0"}
    assert "licence" not in run("build", "--help").stdout


def test_verify_names_each_file_and_fails(folder):
    out = folder / "m.csv"
    run("build", folder / "images", "--out", out, "--modality", "mri")
    (folder / "images/s3/0.png").unlink()
    (folder / "images/s4/1.png").write_bytes(b"broken")
    result = run("verify", out, code=1)
    assert any("missing" in line and "s3/0.png" in line for line in result.stdout.splitlines())
    assert any("corrupt" in line and "s4/1.png" in line for line in result.stdout.splitlines())
    assert result.stderr.startswith("error:") and "problem(s) in 20 images" in result.stderr
    quick = run("verify", out, "--quick", code=1)
    assert "s3/0.png" in quick.stdout and "s4/1.png" not in quick.stdout


def test_build_options_reach_the_builder(folder):
    run(
        *("build", folder / "images", "--out", folder / "m.csv", "--modality", "mri", "--include", "s[0-4]/*"),
        *(
            "--exclude",
            "*/1.png",
            "--subject-pattern",
            "(s[0-9])",
            "--source",
            "here",
            "--intensity",
            0,
            100,
            "--absolute",
        ),
    )
    manifest = Manifest.read(folder / "m.csv")
    assert [r.subject for r in manifest] == ["s0", "s1", "s2", "s3", "s4"]
    assert {(r.source, r.intensity_max) for r in manifest} == {("here", 100.0)}
    assert str(folder) in (folder / "m.csv").read_text()


def test_unusable_files_fail_or_are_skipped(folder):
    (folder / "images/s0/broken.png").write_bytes(b"")
    words = ("build", folder / "images", "--out", folder / "m.csv", "--modality", "mri")
    assert "broken.png: the file is empty" in run(*words, code=1).stderr
    result = run(*words, "--skip-unusable")
    assert "broken.png" in result.stdout and "20 images" in result.stdout


# the command line, what the one error line says
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("build", "{}/nowhere", "--out", "{}/m.csv"), "no such folder"),
        (("build", "{}/images", "--out", "{}/m.csv"), "--modality"),
        (("split", "{}/none.csv"), "cannot read the manifest"),
        (("verify", "{}/images/s0/0.png"), "not a UTF-8 CSV"),
        (("preset", "{}/none.csv", "--out", "{}/p.csv"), "cannot read the manifest"),
        (("sources", "ham1000"), "did you mean ham10000"),
        (("sources", "--modality", "dental"), "unknown modality"),
    ],
)
def test_user_errors_are_one_message_and_a_status(folder, words, message):
    result = run(*(word.replace("{}", str(folder)) for word in words), code=1)
    assert result.stderr.startswith("error: ") and message in result.stderr
    assert "Traceback" not in result.output


def test_too_few_subjects_are_pointed_out(folder):
    run("build", folder / "images", "--out", folder / "m.csv", "--modality", "mri", "--subject-pattern", "(s)")
    assert "too few subjects for val and test" in run("split", folder / "m.csv").stdout


def test_sources_lists_all_and_describes_one():
    text = run("sources").stdout
    assert all(source.name in text for source in list_sources())
    text = run("sources", "ham10000").stdout
    assert "noisewise manifest build ham10000" in text and "non-commercial" in text


def test_preset_says_what_is_missing(folder):
    run("build", folder / "images", "--out", folder / "m.csv", "--modality", "mri")
    assert "no image of modality xray" in run("preset", folder / "m.csv", "--out", folder / "p.csv", code=1).stderr


def test_preset_with_fewer(tmp_path):
    paths = []
    for m, modality in enumerate(("mri", "xray", "ct", "skin", "microscopy")):
        for s in range(6):
            (tmp_path / modality / f"s{s}").mkdir(parents=True)
            pixels = np.random.default_rng(10 * m + s).integers(0, 256, (32, 32), dtype="uint8")
            Image.fromarray(pixels).save(tmp_path / modality / f"s{s}" / "a.png")
        paths.append(tmp_path / f"{modality}.csv")
        run("build", tmp_path / modality, "--out", paths[-1], "--modality", modality)
    assert "--allow-fewer" in run("preset", *paths, "--out", tmp_path / "p.csv", code=1).stderr
    assert not (tmp_path / "p.csv").exists()
    run("preset", *paths, "--out", tmp_path / "p.csv", "--allow-fewer")
    counts = Manifest.read(tmp_path / "p.csv").counts()
    assert set(counts) == {(path.stem, split) for path in paths for split in ("train", "val", "test")}
    assert sum(counts.values()) == 30


def test_embedded(tmp_path):
    for package in ("data_store", "skimage", "nilearn", "mahotas"):
        pytest.importorskip(package, reason='pip install "noisewise[embedded]"')
    result = run("embedded", tmp_path / "e")
    assert "no skin image" in result.stdout
    assert len(Manifest.read(tmp_path / "e" / "manifest.csv")) == 64


def test_version():
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0 and result.stdout.strip() == f"noisewise {__version__}"


def test_python_m_noisewise_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["noisewise", "--version"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("noisewise", run_name="__main__")
    assert caught.value.code == 0
    assert capsys.readouterr().out.strip() == f"noisewise {__version__}"
