# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading tables of scores, also those that are older than one of the scores."""

from __future__ import annotations

import pandas as pd
import pytest

from noisewise.pipelines.evaluation import SCORES, read_scores, summarize
from noisewise.pipelines.evaluation.score_table import COLUMNS, ScoreTableError


@pytest.fixture
def rows() -> pd.DataFrame:
    values = {
        "modality": "mri", "source": "made up", "pattern": "gaussian", "sigma": 25.0, "method": "net",
        "image_id": ["a", "b"], "seconds": 0.1, "weights": "", "network": "", "split": "test",
        "protocol": "physical", "seed": 0, "crop": "none", "clip": False, "quantize": False,
    }  # fmt: skip
    return pd.DataFrame(values | {name: [1.0, 2.0] for name in SCORES})[list(COLUMNS)]


def test_a_table_comes_back_as_it_was(rows, tmp_path):
    rows.to_csv(tmp_path / "scores.csv", index=False)
    pd.testing.assert_frame_equal(read_scores(tmp_path / "scores.csv"), rows)


def test_a_table_that_is_older_than_a_score_has_no_values_of_it(rows, tmp_path):
    rows.drop(columns="mse").to_csv(tmp_path / "scores.csv", index=False)
    older = read_scores(tmp_path / "scores.csv")
    assert tuple(older.columns) == COLUMNS and older["mse"].isna().all()
    pd.testing.assert_frame_equal(older.drop(columns="mse"), rows.drop(columns="mse"))
    summary = summarize(older).iloc[0]
    assert pd.isna(summary["mse_mean"]) and summary["psnr_mean"] == 1.5


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.drop(columns="psnr"),
        lambda rows: rows.drop(columns="image_id"),
        lambda rows: rows.assign(other=1),
        lambda rows: rows[list(COLUMNS[::-1])],
    ],
)
def test_other_tables_are_refused(rows, tmp_path, change):
    change(rows).to_csv(tmp_path / "scores.csv", index=False)
    with pytest.raises(ScoreTableError, match=r"scores\.csv: is not a table of scores: its columns are"):
        read_scores(tmp_path / "scores.csv")
