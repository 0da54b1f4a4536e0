# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The leave-one-patient-out study: folds, scores that are kept, and tables."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from noisewise.data_manifest import Manifest
from noisewise.pipelines.evaluation.conditions import low_dose_conditions
from noisewise.pipelines.low_dose_ct import folds, tables
from noisewise.pipelines.low_dose_ct.references import fit_reference
from noisewise.pipelines.low_dose_ct.rows import read_rows, write_rows
from noisewise.pipelines.low_dose_ct.tables import summarize_slices, write_score_tables
from noisewise.pipelines.reproduce.training import RowResult


def lowering(digest: str) -> SimpleNamespace:
    """A denoiser that lowers everything by 20 HU."""
    return SimpleNamespace(
        model=SimpleNamespace(digest=digest),
        denoise_slices=lambda slices, unit_range: slices - 0.01 * np.ptp(unit_range),
    )


def test_pairs_are_read_in_hu(pairs):
    pair = folds.read_pair(Manifest.read(pairs).records[1])
    assert (pair.subject, pair.kernel) == ("P1", "D45f")
    assert float(np.median(pair.full[40:70, 40:70])) == pytest.approx(40, abs=10)
    # Rows run down: the bright spot lies above the middle.
    assert pair.full[24:36, 50:60].mean() > 200 > pair.full[76:88, 50:60].mean()
    assert pair.low.min() < -1000 and (pair.low - pair.full)[20:60, 20:60].std() == pytest.approx(52, rel=0.1)


def test_each_fold_trains_without_its_patient(pairs, tmp_path, monkeypatch):
    calls = []

    def train(methods, manifest, output, settings, report, **options):
        calls.append((methods[0].name, Path(output).name, Manifest.read(manifest), options))
        return [RowResult(methods[0].name, "trained", "done")]

    monkeypatch.setattr(folds, "train_methods", train)
    methods = folds.study_methods()[:2]
    results = folds.train_folds(methods, pairs, tmp_path / "out", report=lambda line: None)
    assert len(results) == 6
    # All folds of a method before the next method.
    assert [name for name, *_ in calls] == [methods[0].name] * 3 + [methods[1].name] * 3
    for _, subject, manifest, options in calls:
        assert {record.subject for record in manifest if record.split == "test"} == {subject}
        assert subject not in {record.subject for record in manifest if record.split in ("train", "val")}
        assert options == {"bundle": "low_dose_ct_denoising", "overlays": ("pairs.yaml",)}


def test_scores_are_kept_and_replaced_when_weights_change(pairs, tmp_path):
    said: list[str] = []
    model = lowering("digest-1")

    def score(model, references=("quarter_dose", "wiener")):
        said.clear()
        return folds.score_folds(
            pairs, tmp_path, folds.ComparedDenoisers([], references, {"shipped": model}), report=said.append
        )

    rows = read_rows(score(model))
    assert len(said) == 9 and len(rows) == 3 * 6
    of = {name: [row for row in rows if row["method"] == name] for name in ("quarter_dose", "wiener", "shipped")}
    assert all(row["rmse_ratio"] == 1 for row in of["quarter_dose"])
    assert all(0 < row["rmse_ratio"] != 1 for row in of["wiener"])
    # In the body it lowers every value by 20 HU, so the bias is that and the noise stays.
    soft = [
        row["bias_soft_tissue_hu"] - low["bias_soft_tissue_hu"] for row, low in zip(of["shipped"], of["quarter_dose"])
    ]
    assert np.allclose(soft, -20, atol=0.2)

    score(model)
    assert said == []
    changed = lowering("digest-2")
    assert {row["weights"] for row in read_rows(score(changed)) if row["method"] == "shipped"} == {"digest-2"}
    assert len(said) == 3


def test_methods_that_are_not_trained_are_named(pairs, tmp_path):
    said: list[str] = []
    compared = folds.ComparedDenoisers(folds.study_methods()[:1], ["quarter_dose"])
    folds.score_folds(pairs, tmp_path, compared, report=said.append)
    assert "tuned: not trained without P2; left out" in said


def test_the_wiener_filter_needs_pairs_of_its_kernel():
    with pytest.raises(ValueError, match="this fold has none"):
        fit_reference("wiener", [])
    with pytest.raises(ValueError, match="quarter_dose, wiener, nlm, bm3d"):
        fit_reference("median", [])


def test_non_local_means_lowers_the_noise(pairs):
    pytest.importorskip("skimage")
    pair = folds.read_pair(Manifest.read(pairs).records[1])
    denoised = fit_reference("nlm", [])(pair.low)
    flat = (slice(50, 80), slice(40, 70))
    assert denoised[flat].std() < 0.5 * pair.low[flat].std()
    assert denoised[flat].mean() == pytest.approx(pair.low[flat].mean(), abs=5)


def rows_of(method: str, kernel: str, subject: str, ratios: list[float], **scores: float) -> list[dict]:
    names = ["rmse_hu", "noise_std_hu", "noise_std_full_hu", "psnr_db", "ssim", "vif"]
    names += ["edge_ratio", "edge_ratio_to_quarter"]
    names += [f"bias_{tissue}_hu" for tissue in ("lung", "fat", "soft_tissue", "bone")]
    return [
        {"method": method, "subject": subject, "kernel": kernel, "image_id": f"{subject}{i}", "weights": ""}
        | dict.fromkeys(names, 1.0)
        | {"rmse_ratio": ratio}
        | scores
        for i, ratio in enumerate(ratios)
    ]


def test_summary_is_over_slices_and_skips_what_was_not_measured():
    rows = rows_of("a", "soft", "P1", [0.5, 0.7]) + rows_of("a", "soft", "P2", [0.9], bias_lung_hu=math.nan)
    summary = {(line["subject"], line["kernel"]): line for line in summarize_slices(rows)}
    assert summary["all", "soft"]["rmse_ratio"] == pytest.approx(0.7)
    assert summary["all", "soft"]["rmse_ratio_sd"] == pytest.approx(0.2)
    assert summary["all", "soft"]["bias_lung_hu"] == 1 and summary["all", "soft"]["slices"] == 3
    assert math.isnan(summary["P2", "soft"]["bias_lung_hu"]) and math.isnan(summary["P2", "soft"]["rmse_ratio_sd"])


def test_tables_have_one_part_a_kernel_and_patient(tmp_path):
    rows = rows_of("b", "soft", "P1", [0.5, 0.7]) + rows_of("a", "soft", "P1", [0.6])
    rows += rows_of("a", "sharp", "P1", [0.4])
    _, text = write_score_tables(rows, tmp_path, {"b": "the second"})
    lines = text.read_text().splitlines()
    assert [line for line in lines if line.startswith("###")] == [
        "### sharp, all patients: 1 slices, noise of the full dose 1.0 HU",
        "### sharp, patient P1: 1 slices, noise of the full dose 1.0 HU",
        "### soft, all patients: 2 slices, noise of the full dose 1.0 HU",
        "### soft, patient P1: 2 slices, noise of the full dose 1.0 HU",
    ]
    soft = lines[lines.index("### soft, all patients: 2 slices, noise of the full dose 1.0 HU") :]
    body = [line for line in soft if line.startswith("| ")][1:3]
    assert body[0].startswith("| ---") and body[1].startswith("| the second | 0.600 \N{PLUS-MINUS SIGN} 0.141 |")


def test_rows_survive_the_table(tmp_path):
    rows = rows_of("a", "soft", "P1", [0.5], vif=math.nan)
    read = read_rows(write_rows(tmp_path / "scores.csv", rows))
    assert math.isnan(read[0].pop("vif")) and math.isnan(rows[0].pop("vif")) and read == rows
    assert read_rows(tmp_path / "none.csv") == []
    with pytest.raises(ValueError, match="nothing has been scored"):
        write_rows(tmp_path / "empty.csv", [])


def test_conditions_repeat_and_differ():
    items = [{"image": "/a", "image_id": "a"}, {"image": "/b", "image_id": "b"}]
    made = low_dose_conditions(items, ("soft", "sharp"), seed=1)
    assert [(item["image_id"], item["kernel"]) for item in made] == [
        ("a", "soft"),
        ("a", "sharp"),
        ("b", "soft"),
        ("b", "sharp"),
    ]
    seeds = [item["low_dose"]["seed"] for item in made]
    assert len(set(seeds)) == 4
    alone = low_dose_conditions(items[1:], ("sharp",), seed=1)
    assert alone[0]["low_dose"]["seed"] == seeds[3]
    assert low_dose_conditions(items, seed=2)[0]["low_dose"]["seed"] != seeds[0]
    with pytest.raises(ValueError, match="kernel"):
        low_dose_conditions(items, ("bone",))


def test_the_old_name_of_the_summary_still_works():
    with pytest.warns(DeprecationWarning, match="summarize_slices"):
        assert tables.summarise is summarize_slices
