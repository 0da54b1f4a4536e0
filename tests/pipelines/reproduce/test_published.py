# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The reading of the paper's printed figures."""

from __future__ import annotations

import pytest

from noisewise.pipelines.metrics import SCORES, Score
from noisewise.pipelines.reproduce.published import PAPER_SCORES, paper_tables, published_cost, published_scores


def figure(table, method, pattern, sigma, score):
    found = published_scores().query(
        "table == @table and method == @method and pattern == @pattern and sigma == @sigma and score == @score"
    )
    (value,) = found["published"]
    return value


def test_everything_that_was_printed_is_there():
    scores = published_scores()
    assert len(scores) == 5 * 7 * 4 * 3 * 5 + 3 * 4 * 3 * 5 and scores["published"].notna().all()
    assert paper_tables() == {
        "mri": (1, "I"),
        "xray": (2, "II"),
        "ct": (3, "III"),
        "skin": (4, "IV"),
        "microscopy": (5, "V"),
    }


def test_a_further_score_is_none_of_the_papers(monkeypatch):
    before = published_scores()
    monkeypatch.setitem(SCORES, "mae", Score("MAE", 2, False, lambda data_range, **options: None))
    assert published_scores().equals(before) and set(before["score"]) == set(PAPER_SCORES) <= set(SCORES)


# table, method, pattern, sigma, score, value: from the printed page
PRINTED = [
    ("I", "TwoStage", "gaussian", 10, "psnr", 43.00),
    ("II", "DRAN", "speckle", 75, "vifp", 0.5786),
    ("III", "MMD", "gaussian", 50, "mse", 1069.68),
    ("IV", "DAE", "speckle", 25, "delta_e", 8.31),
    ("V", "CAE", "gaussian", 75, "ssim", 0.8938),
    ("VI", "NEN", "speckle", 75, "mse", 172.64),
]


@pytest.mark.parametrize(("table", "method", "pattern", "sigma", "score", "value"), PRINTED)
def test_printed_figures(table, method, pattern, sigma, score, value):
    assert figure(table, method, pattern, sigma, score) == value


# table, method, sigma, score, misprinted average, the mean of its halves
MISPRINTED = [
    ("VI", "NEN", 75, "mse", 211.04, (69.43 + 172.64) / 2),
    ("I", "ResCNN", 75, "mse", 403.03, (880.27 + 225.80) / 2),
    ("II", "DRAN", 10, "ssim", 0.9568, (0.9236 + 0.9500) / 2),
    ("III", "TwoStage", 75, "psnr", 40.03, (39.20 + 40.55) / 2),
]


@pytest.mark.parametrize(("table", "method", "sigma", "score", "printed", "mean"), MISPRINTED)
def test_averages_are_recomputed(table, method, sigma, score, printed, mean):
    value = figure(table, method, "average", sigma, score)
    assert value == pytest.approx(mean, abs=1e-9) and abs(value - printed) > 1e-3


def test_printed_cost():
    cost = published_cost()
    assert list(cost["parameters"]) == [283_776, 302_466, 586_242]
    assert cost.loc["two_stage", "milliseconds"] == 25.73 and cost.loc["nen", "memory_mb"] == 835.33
