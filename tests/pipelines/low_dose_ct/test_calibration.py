# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import math

import numpy as np
import pytest
import torch
from PIL import Image

from noisewise.data_manifest import build_manifest
from noisewise.pipelines.low_dose_ct.calibration import calibrate, read_tube_currents
from noisewise.pipelines.low_dose_ct.calibration_report import write_calibration
from noisewise.pipelines.low_dose_ct.noise_comparison import NoiseComparison
from noisewise.transforms import PHOTONS_PER_MA, LowDoseCT


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Three pairs as stored by a scanner (HU + 1024), made with twice the package's photons; one shows air alone."""
    folder = tmp_path_factory.mktemp("pairs")
    rows, columns = np.ogrid[:112, :128]  # not square: rows and columns must not be mixed up
    body = np.where((rows - 56) ** 2 / 50**2 + (columns - 64) ** 2 / 60**2 < 1, 40.0, -1000.0)
    lines, currents = [], []
    for name, kernel, full in (("a", "B30f", body), ("b", "D45f", body), ("c", "D45f", np.full_like(body, -1000))):
        kind = {"B30f": "soft", "D45f": "sharp"}[kernel]
        simulation = LowDoseCT(0.25, 200 * 2 * PHOTONS_PER_MA, kind, seed=7)
        low = simulation(torch.from_numpy(full)[None])[0].numpy()
        for dose, image in (("low", low), ("full", full)):
            Image.fromarray((image + 1024).clip(0).round().astype(np.uint16)).save(folder / f"{name}_{dose}.png")
        lines.append(f"{name}_low.png,ct,test,L00{name},{name}_full.png,{kernel}")
        currents.append(f"{name}_{'full' if name == 'b' else 'low'}.png,200")
    (folder / "table.csv").write_text("\n".join(["file,modality,source,subject,target,kernel", *lines]) + "\n")
    (folder / "currents.csv").write_text("\n".join(["file,mA", *currents]) + "\n")
    build_manifest(folder, folder / "pairs.csv", table=folder / "table.csv", offset=1024)
    return folder


def test_calibration_of_pairs_with_less_noise_than_simulated(pairs, tmp_path):
    said = []
    written = calibrate(pairs / "pairs.csv", pairs / "currents.csv", tmp_path / "out", report=said.append)
    assert [path.name for path in written] == ["calibration.csv", "calibration.md", "low_dose_calibration.png"]
    assert len(said) == 3
    rows = {row["subject"]: row for row in csv.DictReader(written[0].open(encoding="utf-8"))}
    for subject in ("L00a", "L00b"):
        row = rows[subject]
        assert float(row["ratio"]) == pytest.approx(math.sqrt(2), rel=0.15)
        assert float(row["real_mean_frequency"]) == pytest.approx(float(row["simulated_mean_frequency"]), rel=0.1)
        # The body is longer along rows: most photons are lost there, and noise streaks run along rows.
        assert float(row["real_anisotropy"]) < 0.9 and float(row["simulated_anisotropy"]) < 0.9
    assert float(rows["L00b"]["real_mean_frequency"]) > 1.2 * float(rows["L00a"]["real_mean_frequency"])
    assert rows["L00c"]["regions"] == "0" and rows["L00c"]["ratio"] == "nan"
    text = written[1].read_text(encoding="utf-8")
    assert "| B30f | L00a | 1 |" in text and "1 slices have no soft tissue" in text and "nan" not in text
    assert Image.open(written[2]).width > 900  # two kernels' panels


def test_as_many_photons_as_the_pairs_had_give_their_noise(pairs, tmp_path):
    options = {"photons_per_ma": 2 * PHOTONS_PER_MA, "report": lambda line: None}
    table = calibrate(pairs / "pairs.csv", {f"{name}_low.png": 200.0 for name in "abc"}, tmp_path, **options)[0]
    ratios = [float(row["ratio"]) for row in csv.DictReader(table.open(encoding="utf-8"))]
    np.testing.assert_allclose(ratios[:2], 1, atol=0.1)


def test_names_the_slice_without_a_tube_current(pairs, tmp_path):
    with pytest.raises(ValueError, match=r"c_low\.png: the table of tube currents does not name it"):
        calibrate(pairs / "pairs.csv", {"a_low.png": 200.0, "b_low.png": 200.0}, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("file,current\na.png,3\n", "needs the columns file and mA"),
        ("file,mA\n", "one line per slice"),
        ("file,mA\na.png,3\nb.png,x\n", "line 3: mA must be a positive number, got 'x'"),
        ("file,mA\na.png,-3\n", "line 2: mA must be a positive number"),
        ("file,mA\na.png,3\nq/a.png,4\n", "line 3: this file is listed twice"),
    ],
)
def test_names_what_is_wrong_with_the_table_of_tube_currents(tmp_path, text, cause):
    table = tmp_path / "currents.csv"
    table.write_text(text)
    with pytest.raises(ValueError, match=cause) as error:
        read_tube_currents(table)
    assert str(table) in str(error.value)


def test_no_table_of_tube_currents(tmp_path):
    with pytest.raises(ValueError, match=r"none\.csv: cannot be read"):
        read_tube_currents(tmp_path / "none.csv")


def test_writes_nothing_where_nothing_was_measured(tmp_path):
    with pytest.raises(ValueError, match="no slice has soft tissue"):
        write_calibration([NoiseComparison(regions=0)], tmp_path)
    assert not list(tmp_path.iterdir())
