# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise review``: a page for results that are there already."""

from __future__ import annotations

import json
import re
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from noisewise.pipelines.cli.app import app

pytestmark = pytest.mark.usefixtures("halving")


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield lambda *arguments: CliRunner().invoke(app, [*map(str, arguments)])


def rows(path):
    """The rows of a page, by name."""
    text = path.read_text()
    report = json.loads(re.search('id="report">(.*)</script>', text)[1])
    return {row["name"]: row for row in report["images"]}


@pytest.mark.parametrize("audit", [True, False])
def test_a_folder_by_its_record(command, pictures, tmp_path, audit):
    pixels = pictures("a.png", "sub/b.png", size=(64, 48))
    shutil.copy(get_testdata_file("CT_small.dcm"), tmp_path / "in" / "c.dcm")
    assert command("denoise", "in", "out", "--strength", 0.5, *["--audit"] * audit).exit_code == 0
    page = tmp_path / "out" / "noisewise_audit" / "report.html"
    page.unlink(missing_ok=True)
    result = command("review", "out")
    assert result.exit_code == 0 and result.stdout == "review: out/noisewise_audit/report.html\n"
    found = rows(page)
    assert sorted(found) == ["a.png", "c.dcm", "sub/b.png"]
    for name, values in pixels.items():
        # The numbers are those of full strength, from the files to the rounding of 8 bits.
        assert found[name]["std"] == pytest.approx(values.std() / 2, rel=0.01)
        assert found[name]["strength"] == 0.5 and found[name]["size"] == [64, 48]
    assert found["c.dcm"]["unit"] == "HU" and found["c.dcm"]["windows"][0]["name"] == "Soft tissue"
    # The noise of CT is correlated: here too, that is no finding.
    assert "neighbors" not in found["c.dcm"]["marked"]
    for value in ("CompressedSamples", "1CT1", "1.3.6.1.4.1.5962"):
        assert value not in page.read_text()


def test_moved_inputs_and_another_place_for_the_page(command, pictures, tmp_path):
    pictures("a.png")
    command("denoise", "in", "out")
    (tmp_path / "in").rename(tmp_path / "moved")
    lost = command("review", "out")
    assert lost.exit_code == 1 and "in/a.png" in lost.stderr and "no result could be read" in lost.stderr
    assert not (tmp_path / "out" / "noisewise_audit").exists()
    result = command("review", "out", "--input", "moved", "--output", "new/page.html")
    assert result.exit_code == 0 and result.stdout == "review: new/page.html\n"
    assert list(rows(tmp_path / "new" / "page.html")) == ["a.png"]


def test_an_image_that_has_changed_is_named(command, pictures, tmp_path):
    pictures("a.png", "b.png")
    command("denoise", "in", "out")
    Image.fromarray(np.zeros((20, 24), np.uint8)).save(tmp_path / "in" / "b.png")
    result = command("review", "out")
    assert result.exit_code == 1 and result.stderr.endswith("in/b.png: has changed since it was denoised.\n")
    assert list(rows(tmp_path / "out" / "noisewise_audit" / "report.html")) == ["a.png"]


def test_results_without_a_record(command, pictures, tmp_path):
    pictures("a.png", "b.png", "only_in.png")
    pictures("b.png", "a.png", folder="other")
    needs = command("review", "other")
    assert needs.exit_code == 1 and needs.stderr == (
        "error: other: holds no record of noisewise denoise; name the images by --input.\n"
    )
    result = command("review", "other", "--input", "in")
    assert result.exit_code == 0 and result.stdout == "review: other/noisewise_audit/report.html\n"
    assert sorted(rows(tmp_path / "other" / "noisewise_audit" / "report.html")) == ["a.png", "b.png"]
    single = command("review", "other/a.png", "--input", "in/a.png")
    assert single.exit_code == 0 and list(rows(tmp_path / "other" / "a_audit" / "report.html")) == ["a.png"]
    for arguments, cause in (
        (["nowhere"], "nowhere: no such file or folder."),
        (["other", "--input", "nowhere"], "nowhere: no such file or folder."),
    ):
        refused = command("review", *arguments)
        assert refused.exit_code == 1 and refused.stderr == f"error: {cause}\n"


def test_a_damaged_record_is_named(command, pictures, tmp_path):
    pictures("a.png")
    command("denoise", "in", "out")
    ledger = tmp_path / "out" / ".noisewise" / "ledger.jsonl"
    before = ledger.read_bytes()
    # A line that a kill cut off is ignored, and nothing is changed.
    ledger.write_bytes(before + b'{"state": "wri')
    assert command("review", "out").exit_code == 0 and ledger.read_bytes() == before + b'{"state": "wri'
    ledger.write_bytes(before + b"{}\n")
    result = command("review", "out")
    assert result.exit_code == 1 and "ledger.jsonl: line 4 is damaged." in result.stderr


def test_an_unfinished_result_is_left_out(command, pictures, tmp_path):
    pictures("a.png", "b.png")
    command("denoise", "in", "out")
    with (tmp_path / "out" / ".noisewise" / "ledger.jsonl").open("a") as ledger:
        ledger.write('{"state": "writing", "outputs": ["b.png"]}\n')
    assert command("review", "out").exit_code == 0
    assert list(rows(tmp_path / "out" / "noisewise_audit" / "report.html")) == ["a.png"]


def test_the_limit_is_an_option(command, pictures, tmp_path):
    pictures(*(f"{index}.png" for index in range(6)), size=(700, 700))
    command("denoise", "in", "out")
    assert command("review", "out", "--megabytes", 1).exit_code == 0
    page = tmp_path / "out" / "noisewise_audit" / "report.html"
    assert page.stat().st_size < 1.1 * 2**20 and "of 6 images have pictures" in page.read_text()
