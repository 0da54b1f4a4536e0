# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise denoise`` as a user sees it: the output, the files and the exit status."""

from __future__ import annotations

import json
import os
import shutil
import warnings

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from noisewise.pipelines.cli.app import app
from noisewise.pipelines.denoising import audit_report
from noisewise.pipelines.denoising import run as run_module
from noisewise.pipelines.denoising.notes import OVERLAY_NOTE, TRACER_NOTE

pytestmark = pytest.mark.usefixtures("halving")


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield lambda *arguments: CliRunner().invoke(app, ["denoise", *map(str, arguments)])


def row(output, name):
    """The value beside a name in the last table."""
    return next(line.split("│")[2].strip() for line in output.splitlines() if line.startswith(f"│ {name}"))


def names(folder):
    found = (path for path in folder.rglob("*") if path.is_file() and ".noisewise" not in path.parts)
    return sorted(path.relative_to(folder).as_posix() for path in found)


def test_a_folder(command, pictures, tmp_path):
    pixels = pictures("a.png", "sub/b.png")
    (tmp_path / "in" / "notes.txt").write_text("x")
    result = command("in", "out")
    assert result.exit_code == 0, result.output
    assert "model: multimodal_denoising, weights " in result.stdout and "1 file is not an image" in result.stdout
    assert [row(result.stdout, name) for name in ("done", "skipped", "failed")] == ["2", "0", "0"]
    assert "of the intensity range" in row(result.stdout, "noise removed")
    assert result.stdout.endswith("\nresults: out\n")
    assert names(tmp_path / "out") == ["a.png", "sub/b.png"]
    after = np.asarray(Image.open("out/a.png"))
    np.testing.assert_array_equal(after, np.rint(pixels["a.png"] - pixels["a.png"] / 2))
    again = command("in", "out", "--verbose")
    assert [row(again.stdout, name) for name in ("done", "skipped", "failed")] == ["0", "2", "0"]
    assert "in/notes.txt: is not an image." in again.stdout


def test_unsupported_formats_are_named(command, pictures, tmp_path):
    pictures("a.png")
    for name in ("b.gif", "c.WEBP", "d.webp", "e.npy", "notes.txt"):
        (tmp_path / "in" / name).write_bytes(b"x")
    result = command("in", "out", "--verbose")
    assert result.exit_code == 0, result.output
    assert "1 file is left out: GIF is not a supported format" in result.stdout
    assert "2 files are left out: WebP is not a supported format" in result.stdout
    assert "in/e.npy: NumPy is not a supported format." in result.stdout
    assert row(result.stdout, "unsupported format") == "4 (GIF, NumPy, WebP)"
    assert row(result.stdout, "not images") == "1"
    (tmp_path / "in" / "a.png").unlink()
    alone = command("in", "out2")
    assert alone.exit_code == 2
    assert "error: in: holds no image that can be denoised (1 GIF, 1 NumPy, 2 WebP: not supported); " in alone.stderr
    single = command("in/b.gif", "b.gif")
    assert single.exit_code == 2 and single.stderr.startswith("error: in/b.gif: GIF is not a supported format; ")


def test_a_single_result_is_named_at_the_end(command, pictures):
    pictures("a.png")
    result = command("in/a.png", "b.png")
    assert result.exit_code == 0 and result.stdout.endswith("\nresults: b.png\n")


def test_an_unknown_modality_is_refused_with_the_list(command, pictures):
    pictures("a.png")
    result = command("in", "out", "--modality", "CTA")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: unknown modality 'cta'; choose from mri, xray, ct, skin, microscopy, ")


def test_a_failure_is_named_and_counts(command, pictures, tmp_path):
    pictures("a.png", "c.png")
    (tmp_path / "in" / "b.png").write_text("x")
    result = command("in", "out", "--quiet")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: in/b.png: ") and len(result.stderr.splitlines()) == 1
    # The chosen model is always printed.
    assert result.stdout.startswith("model: ") and len(result.stdout.splitlines()) == 1
    assert names(tmp_path / "out") == ["a.png", "c.png"]
    assert row(command("in", "out").stdout, "failed") == "1"


def test_one_file(command, pictures, tmp_path):
    pictures("a.png")
    result = command("in/a.png", "b.png")
    assert result.exit_code == 0 and names(tmp_path) == ["b.png", "in/a.png"]
    assert row(result.stdout, "noise removed").endswith("% of the intensity range")
    again = command("in/a.png", "b.png")
    assert again.exit_code == 2 and again.stderr == "error: b.png: exists already; pass --overwrite to replace.\n"
    assert command("in/a.png", "b.png", "--overwrite").exit_code == 0
    assert command("in/a.png", "new/").exit_code == 0 and (tmp_path / "new" / "a.png").is_file()


def test_dry_run_writes_nothing(command, pictures, tmp_path):
    pictures("a.png", "b.png")
    pictures("b.png", folder="out")
    before = names(tmp_path)
    result = command("in", "out", "--dry-run", "--noise-map")
    assert result.exit_code == 0 and names(tmp_path) == before
    assert not (tmp_path / "out" / ".noisewise").exists()
    lines = [line for line in result.stdout.splitlines() if "in/" in line]
    assert len(lines) == 2 and ".png" in lines[0] and "out/a.png" in lines[0]
    assert "(exists)" not in lines[0] and "out/b.png (exists)" in lines[1]
    assert "out/a_removed.tif" in result.stdout


def test_audit_and_noise_map(command, pictures, tmp_path):
    pictures("a.png", "sub/b.png", size=(64, 64))
    result = command("in", "out", "--audit", "--noise-map")
    assert result.exit_code == 0, result.output
    report = (tmp_path / "out" / "noisewise_audit" / "audit.json").read_text()
    assert [line["file"] for line in json.loads(report)] == ["a.png", "sub/b.png"]
    assert "audit: out/noisewise_audit/report.html\n" in result.stdout
    page = (tmp_path / "out" / "noisewise_audit" / "report.html").read_text()
    assert '"name": "sub/b.png"' in page and 'id="pixels-1-0"' in page
    assert len(report.splitlines()) == 4  # one line a file
    assert names(tmp_path / "out") == [
        "a.png",
        "a_removed.tif",
        "noisewise_audit/audit.json",
        "noisewise_audit/pictures/a.png.png",
        "noisewise_audit/pictures/sub/b.png.png",
        "noisewise_audit/report.html",
        "sub/b.png",
        "sub/b_removed.tif",
    ]
    with Image.open(tmp_path / "out" / "noisewise_audit" / "pictures" / "a.png.png") as picture:
        assert picture.format == "PNG"
    # A later run writes the whole report, although it denoises nothing.
    (tmp_path / "out" / "noisewise_audit" / "audit.json").unlink()
    again = command("in", "out", "--audit", "--noise-map")
    assert row(again.stdout, "skipped") == "2"
    assert (tmp_path / "out" / "noisewise_audit" / "audit.json").read_text() == report
    assert (tmp_path / "out" / "noisewise_audit" / "report.html").read_text() == page


def test_the_report_of_a_single_file_is_where_help_says(command, pictures, tmp_path):
    pictures("a.png")
    result = command("in/a.png", "new/b.png", "--audit")
    assert result.exit_code == 0 and "audit: new/b_audit/report.html\n" in result.stdout
    expected = ["b.png", "b_audit/audit.json", "b_audit/pictures/a.png.png", "b_audit/report.html"]
    assert names(tmp_path / "new") == expected
    text = " ".join(command("--help").stdout.replace("│", " ").split())
    assert "OUTPUT/noisewise_audit; for a single file in NAME_audit beside its result" in text


def test_warnings_of_the_audit_are_printed(command, pictures, monkeypatch):
    pictures("a.png")
    monkeypatch.setattr(audit_report, "write_audit_report", lambda *_: ["in/a.png: structure was removed."])
    result = command("in", "out", "--audit", "--quiet")
    assert result.exit_code == 0 and result.stderr == "in/a.png: structure was removed.\n"


def test_options_reach_the_run(command, pictures, monkeypatch, small_weights):
    pictures("a.png")
    weights, config = small_weights
    seen = {}

    def run(found, settings, overwrite, observer, run):
        seen.update(options=settings, overwrite=overwrite, run=run)
        return []

    monkeypatch.setattr(run_module, "denoise_found", run)
    texts = ["--strength", 0.5, "--tile-size", 128, "--memory", "512M", "--modality", "CT", "--slice-axis", 1]
    texts += ["--intensity-range", -200, 300, "--model", weights, "--config", config, "--device", "cpu"]
    texts += ["--engine", "torch", "--precision", "float32", "--workers", 3, "--overwrite"]
    assert command("in", "out", *texts).exit_code == 0
    options = seen["options"]
    assert (options.strength, options.tile_size, options.memory, options.modality) == (0.5, 128, 2**29, "ct")
    assert (options.slice_axis, options.intensity_range) == (1, (-200, 300))
    assert (options.model, options.config, options.device) == (str(weights), str(config), "cpu")
    assert (options.engine, options.precision) == ("torch", "float32")
    assert seen["overwrite"] is True and seen["run"].keywords == {"workers": 3}
    command("in", "out", "--cluster", "tcp://127.0.0.1:1")
    assert seen["run"].keywords == {"address": "tcp://127.0.0.1:1"}


@pytest.fixture
def small_weights(tmp_path):
    (tmp_path / "w.pt").write_bytes(b"")
    (tmp_path / "w.yaml").write_text("")
    return tmp_path / "w.pt", tmp_path / "w.yaml"


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["nowhere", "out"], "nowhere: no such file or folder."),
        (["in", "in"], "in: is the input"),
        (["in/notes.txt", "out"], "in/notes.txt: is not an image"),
        (["in", "out", "--memory", "much"], "--memory: expected a size such as 512M or 4G, got 'much'."),
        (["in", "out", "--memory", "0"], "--memory: expected a size"),
        (["in", "out", "--intensity-range", 5, 5], "the intensity range 5 5 is empty."),
        (["in", "out", "--engine", "warp"], "unknown engine 'warp'"),
        (["in", "out", "--model", "no_such_model"], "no_such_model"),
        (["in", "out", "--device", "abacus"], "there is no device 'abacus'."),
        (["in/a.png", "out.png", "--device", "cuda:99"], "there is no device 'cuda:99' here."),
    ],
)
def test_usage_errors_are_one_line(command, pictures, tmp_path, arguments, cause):
    pictures("a.png")
    (tmp_path / "in" / "notes.txt").write_text("x")
    result = command(*arguments)
    assert result.exit_code == 2, result.output
    assert cause in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_names_that_are_not_text_or_look_like_markup(command, pictures, tmp_path):
    names_of = [os.fsdecode(b"\xff\xfe.png"), "[red]x[bold].png"]
    pictures("a.png")
    for name in names_of:
        shutil.copy(tmp_path / "in" / "a.png", tmp_path / "in" / name)
    (tmp_path / "in" / os.fsdecode(b"bad\xff.png")).write_text("x")
    plan = command("in", "out", "--dry-run")
    assert plan.exit_code == 0 and "in/[red]x[bold].png" in plan.stdout
    result = command("in", "out")
    assert result.exit_code == 1 and result.stderr.startswith("error: in/bad\\udcff.png: ")
    assert row(result.stdout, "done") == "3" and all((tmp_path / "out" / name).is_file() for name in names_of)
    assert row(command("in", "out").stdout, "skipped") == "3"


def test_other_settings_are_refused_in_one_line(command, pictures):
    pictures("a.png")
    assert command("in", "out").exit_code == 0
    result = command("in", "out", "--strength", 0.5)
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
    assert "out: holds results of other settings (strength 1.0 instead of 0.5)" in result.stderr
    assert command("in", "out", "--strength", 0.5, "--overwrite").exit_code == 0


def test_interrupted(command, pictures, monkeypatch):
    pictures("a.png")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "denoise_source", interrupt)
    result = command("in", "out")
    assert result.exit_code == 130 and result.stderr.startswith("interrupted; ")


def test_a_full_disk_is_reported(command, pictures, monkeypatch):
    pictures("a.png", "b.png", "c.png")

    def full(*_):
        raise OSError(28, "No space left on device", "out/x")

    monkeypatch.setattr(run_module, "write_source", full)
    result = command("in", "out")
    assert result.exit_code == 1 and "out/x: No space left on device" in result.stderr
    assert int(row(result.stdout, "left, for lack of space")) >= 1


def test_no_patient_data_is_printed(command, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(get_testdata_file("CT_small.dcm"), tmp_path / "in" / "a.dcm")
    data = (tmp_path / "in" / "a.dcm").read_bytes()
    (tmp_path / "in" / "b.dcm").write_bytes(data[:20000])
    result = command("in", "out", "--verbose")
    assert result.exit_code == 1 and (tmp_path / "out" / "a.dcm").is_file()
    for value in ("CompressedSamples", "1CT1", "1.3.6.1.4.1.5962"):
        assert value.encode() in data and value not in result.output
    ledger = (tmp_path / "out" / ".noisewise" / "ledger.jsonl").read_text()
    assert "CompressedSamples" not in ledger and "1.3.6" not in ledger


def test_a_reader_of_pet_and_of_overlays_is_told_once(command, tmp_path):
    (tmp_path / "in").mkdir()
    data = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    data.Modality = "PT"
    for number in (1, 2):
        data.SeriesInstanceUID = data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.{number}"
        data.save_as(tmp_path / "in" / f"{number}.dcm")
    image = np.repeat(np.random.default_rng(0).integers(60, 200, (40, 40, 1), np.uint8), 3, -1)
    image[10:16, 10:16] = (220, 20, 20)
    Image.fromarray(image).save(tmp_path / "in" / "flow.png")
    result = command("in", "out", "--intensity-range", 0, 255)
    assert result.exit_code == 0, result.output
    assert result.stderr.count(TRACER_NOTE) == result.stderr.count(OVERLAY_NOTE) == 1
    assert f"flow.png: {OVERLAY_NOTE}" in result.stderr
    kept = np.asarray(Image.open("out/flow.png"))
    np.testing.assert_array_equal(kept[10:16, 10:16], image[10:16, 10:16])
    assert (kept != image).any()
