# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import multiprocessing
import os
import signal

import numpy as np
import pandas as pd
import pytest
import torch

from noisewise.networks import TwoStageDenoiser
from noisewise.pipelines.evaluation import (
    SCORES,
    ScoreTable,
    ScoreTableError,
    evaluation_metrics,
    network_digest,
    read_scores,
)
from noisewise.pipelines.evaluation import reference_methods as references
from noisewise.transforms import NoiseRecord, simulate_noise

metrics = pytest.importorskip("skimage.metrics")

KEY = ["method", "image_id", "pattern", "sigma"]


def scores(folder) -> pd.DataFrame:
    return read_scores(folder / "scores.csv").set_index(KEY).sort_index()


def assert_same_scores(first, second):
    pd.testing.assert_frame_equal(scores(first).drop(columns="seconds"), scores(second).drop(columns="seconds"))


def test_scores_equal_an_independent_computation(tmp_path, make_evaluator, blur):
    evaluator = make_evaluator(tmp_path, {"blur": blur(), **references(["noisy"])}, stds=(25,))
    evaluator.run()
    rows = scores(tmp_path)
    assert len(rows) == 3 * 2 * 2
    for item in evaluator.conditions.dataset.data:
        d = evaluator.conditions.dataset.transform(item)
        noisy = simulate_noise(d["label"], NoiseRecord(**d["noise"]))
        for method, result in (("noisy", noisy), ("blur", blur()(noisy[None])[0])):
            clean, result = (np.round(np.clip(x.numpy(), 0, 1) * 255) for x in (d["label"], result))
            row = rows.loc[(method, item["image_id"], item["noise"]["pattern"], 25.0)]
            assert row["mse"] == pytest.approx(np.mean((clean - result) ** 2), rel=1e-5)
            assert row["psnr"] == pytest.approx(
                metrics.peak_signal_noise_ratio(clean, result, data_range=255), abs=1e-4
            )
            ssim = metrics.structural_similarity(
                clean,
                result,
                data_range=255,
                channel_axis=0,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            assert row["ssim"] == pytest.approx(ssim, abs=0.01)  # windows at the border are treated otherwise
            assert row["modality"] == item["modality"] and row["seconds"] >= 0


def test_what_is_there_is_not_computed_again(tmp_path, make_evaluator, blur):
    make_evaluator(tmp_path, {"blur": blur()}, stds=(25,), limit=1).run()
    before = (tmp_path / "scores.csv").read_bytes()
    again = blur()
    make_evaluator(tmp_path, {"blur": again}, stds=(25,), limit=1).run()
    assert again.calls == 0
    assert (tmp_path / "scores.csv").read_bytes() == before
    # More images and one more sigma: only those are computed.
    more = blur()
    make_evaluator(tmp_path, {"blur": more}, stds=(25, 50)).run()
    assert more.calls == 3 * 2 * 2 - 2 * 2
    assert len(scores(tmp_path)) == 12


def test_methods_are_merged_and_equal_one_run_of_both(tmp_path, make_evaluator, blur):
    make_evaluator(tmp_path / "a", {"blur": blur()}, {"blur": "11"}).run()
    make_evaluator(tmp_path / "a", {"other": blur(gain=0.9)}).run()
    make_evaluator(tmp_path / "b", {"blur": blur(), "other": blur(gain=0.9)}, {"blur": "11"}).run()
    assert_same_scores(tmp_path / "a", tmp_path / "b")
    for name in ("summary.csv", "summary.md"):
        assert (tmp_path / "a" / name).read_text() == (tmp_path / "b" / name).read_text()


def test_other_weights_replace_a_methods_rows(tmp_path, make_evaluator, blur, caplog):
    make_evaluator(tmp_path, {"net": blur(), "other": blur()}, {"net": "0123"}, limit=1).run()
    retrained = blur()
    with caplog.at_level(logging.WARNING):
        make_evaluator(tmp_path, {"net": retrained}, {"net": "4567"}, limit=1).run()
    assert retrained.calls == 8 and "replacing 8 rows of net, made with other weights" in caplog.text
    rows = scores(tmp_path)
    assert set(rows.loc["net", "weights"]) == {"4567"} and len(rows.loc["net"]) == len(rows.loc["other"]) == 8
    assert "`4567`" in (tmp_path / "summary.md").read_text()


def test_the_same_weights_in_another_network_are_scored_anew(tmp_path, make_evaluator, blur):
    make_evaluator(tmp_path, {"net": blur()}, {"net": "0123"}, stds=(25,), limit=1).run()
    before = scores(tmp_path)
    changed = blur(gain=0.8)
    make_evaluator(tmp_path, {"net": changed}, {"net": "0123"}, stds=(25,), limit=1).run()
    assert changed.calls == 4
    assert len(scores(tmp_path)) == 4 and (scores(tmp_path)["psnr"] < before["psnr"]).all()


def test_a_networks_digest_knows_its_settings_and_not_its_weights():
    torch.manual_seed(0)
    arguments = {"features": 8, "growth": 4, "num_blocks": 1}
    digest = network_digest(TwoStageDenoiser(**arguments))
    assert network_digest(TwoStageDenoiser(**arguments).eval()) == digest
    for change in ({"global_skip": False}, {"output_activation": "tanh"}, {"negative_slope": 0.1}, {"num_blocks": 2}):
        assert network_digest(TwoStageDenoiser(**{**arguments, **change})) != digest


def test_a_failing_method_loses_nothing_and_resumes(tmp_path, make_evaluator, blur):
    with pytest.raises(RuntimeError, match="out of luck"):
        make_evaluator(tmp_path / "a", {"blur": blur(fail_at=6)}).run()
    assert len(scores(tmp_path / "a")) == 5
    rest = blur()
    make_evaluator(tmp_path / "a", {"blur": rest}).run()
    assert rest.calls == 7
    make_evaluator(tmp_path / "b", {"blur": blur()}).run()
    assert_same_scores(tmp_path / "a", tmp_path / "b")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_costs_only_what_was_not_written(tmp_path, make_evaluator, blur):
    evaluator = make_evaluator(tmp_path / "a", {"blur": blur(kill_at=8)}, flush_seconds=0.0)
    process = multiprocessing.get_context("fork").Process(target=evaluator.run)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert len(scores(tmp_path / "a")) == 7
    rest = blur()
    make_evaluator(tmp_path / "a", {"blur": rest}).run()
    assert rest.calls == 5
    make_evaluator(tmp_path / "b", {"blur": blur()}).run()
    assert_same_scores(tmp_path / "a", tmp_path / "b")
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"scores.csv", "summary.csv", "summary.md"}


def test_batches_of_equal_size_give_the_same_scores(tmp_path, make_evaluator, blur):
    make_evaluator(tmp_path / "one", {"blur": blur()}, crop=41).run()
    network = blur()
    make_evaluator(tmp_path / "many", {"blur": network}, crop=41, batch_size=5).run()
    assert network.calls == 3
    pd.testing.assert_frame_equal(
        scores(tmp_path / "one")[list(SCORES)], scores(tmp_path / "many")[list(SCORES)], atol=1e-4
    )


# what the second evaluation in the same folder changes
SETUPS = [{"protocol": "published"}, {"seed": 1}, {"crop": 41}, {"clip": True}, {"split": "val"}]


@pytest.mark.parametrize("change", SETUPS, ids=lambda change: next(iter(change)))
def test_a_folder_holds_one_setup(tmp_path, make_evaluator, blur, change):
    make_evaluator(tmp_path, {"blur": blur()}, stds=(25,), limit=1).run()
    with pytest.raises(ScoreTableError, match=rf"scores\.csv: .*{next(iter(change))}.*another output folder"):
        ScoreTable(tmp_path, **change)


def test_a_damaged_table_is_named(tmp_path):
    (tmp_path / "scores.csv").write_text("modality,psnr\nmri,30\n")
    with pytest.raises(ScoreTableError, match=r"scores\.csv"):
        ScoreTable(tmp_path)
    (tmp_path / "scores.csv").write_bytes(b"\x00\xff")
    with pytest.raises(ScoreTableError, match=r"scores\.csv"):
        ScoreTable(tmp_path)


def test_a_diverged_network_shows(tmp_path, make_evaluator, blur):
    make_evaluator(tmp_path, {"broken": blur(gain=float("nan")), "blur": blur()}, stds=(25,), limit=1).run()
    summary = pd.read_csv(tmp_path / "summary.csv").set_index("method")
    assert summary.loc["broken", "psnr_mean"].isna().all()
    assert summary.loc["blur", "psnr_mean"].notna().all()
    assert "broken: images without a score" in (tmp_path / "summary.md").read_text()


def test_nothing_written_names_a_file_or_a_patient(tmp_path, make_evaluator, blur, manifest):
    evaluator = make_evaluator(tmp_path, {"blur": blur()}, stds=(25,), limit=1)
    evaluator.run()
    for path in tmp_path.iterdir():
        text = path.read_text()
        assert "patient" not in text and "smith" not in text and str(manifest.parent) not in text
    assert set(read_scores(tmp_path / "scores.csv")["image_id"]) == {
        item["image_id"] for item in evaluator.conditions.dataset.data
    }


def test_missing_parts_are_refused(tmp_path, make_evaluator, blur):
    with pytest.raises(ValueError, match="no method"):
        make_evaluator(tmp_path, {})
    incomplete = {name: metric for name, metric in evaluation_metrics().items() if name != "vifp"}
    evaluator = make_evaluator(tmp_path, {"blur": blur()})
    with pytest.raises(ValueError, match="missing: vifp"):
        type(evaluator)("cpu", evaluator.conditions, {"blur": blur()}, evaluator.table, metrics=incomplete)
