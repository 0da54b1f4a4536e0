# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import statistics
from itertools import product

import numpy as np
import pandas as pd
import pytest

from noisewise.pipelines.evaluation import SCORES, summarize, summary_markdown


def make_rows(modalities=("mri", "ct"), patterns=("gaussian", "speckle"), methods=("noisy", "net"), images=3):
    """Random scores; the modalities have different numbers of images."""
    random = np.random.default_rng(0)
    rows = []
    for m, modality in enumerate(modalities):
        for image, pattern, sigma, method in product(range(images + m), patterns, (10.0, 50.0), methods):
            values = {name: float(random.uniform(1, 40)) for name in SCORES}
            rows.append(
                {
                    "modality": modality,
                    "source": "made_up",
                    "pattern": pattern,
                    "sigma": sigma,
                    "method": method,
                    "image_id": f"{modality}{image}",
                    **values,
                    "seconds": 0.1,
                    "weights": "abc123" if method == "net" else "",
                    "split": "test",
                    "protocol": "physical",
                    "seed": 7,
                    "crop": "none",
                    "clip": False,
                    "quantize": False,
                }
            )
    return pd.DataFrame(rows)


def pick(summary, **where):
    found = summary
    for column, value in where.items():
        found = found[found[column] == value]
    assert len(found) == 1
    return found.iloc[0]


def test_means_and_deviations_equal_an_independent_computation():
    rows = make_rows()
    summary = summarize(rows)
    records = rows.to_dict("records")
    for modality, pattern, sigma, method in product(
        ("mri", "ct"), ("gaussian", "speckle"), (10.0, 50.0), ("noisy", "net")
    ):
        group = [
            r
            for r in records
            if (r["modality"], r["pattern"], r["sigma"], r["method"]) == (modality, pattern, sigma, method)
        ]
        row = pick(summary, modality=modality, pattern=pattern, sigma=sigma, method=method)
        assert row["n"] == len(group) == (3 if modality == "mri" else 4)
        for name in SCORES:
            values = [r[name] for r in group]
            assert row[f"{name}_mean"] == pytest.approx(statistics.mean(values))
            assert row[f"{name}_std"] == pytest.approx(statistics.stdev(values))


@pytest.mark.parametrize("method", ["noisy", "net"])
def test_averages_are_means_of_the_printed_means(method):
    summary = summarize(make_rows())
    of = {
        key: pick(summary, modality=key[0], pattern=key[1], sigma=50.0, method=method)
        for key in product(("mri", "ct", "average"), ("gaussian", "speckle", "average"))
    }
    for name in SCORES:
        mean = {key: row[f"{name}_mean"] for key, row in of.items()}
        for modality in ("mri", "ct", "average"):
            expected = (mean[modality, "gaussian"] + mean[modality, "speckle"]) / 2
            assert mean[modality, "average"] == pytest.approx(expected)
        # Each modality counts the same, though one has more images.
        assert mean["average", "gaussian"] == pytest.approx((mean["mri", "gaussian"] + mean["ct", "gaussian"]) / 2)
    assert of["mri", "average"]["n"] == 6 and of["average", "average"]["n"] == 14
    assert np.isnan(of["mri", "average"]["psnr_std"])


def test_an_average_with_a_part_missing_is_left_out():
    rows = make_rows()
    rows = rows[~((rows["modality"] == "ct") & (rows["pattern"] == "speckle") & (rows["method"] == "net"))]
    summary = summarize(rows)
    net = summary[summary["method"] == "net"]
    assert set(net[net["modality"] == "mri"]["pattern"]) == {"gaussian", "speckle", "average"}
    assert set(net[net["modality"] == "ct"]["pattern"]) == {"gaussian"}
    assert set(net[net["modality"] == "average"]["pattern"]) == {"gaussian"}
    assert len(summarize(make_rows(modalities=("mri",))).query("modality == 'average'")) == 0
    assert set(summarize(make_rows(patterns=("gaussian", "rician")))["pattern"]) == {"gaussian", "rician"}


def test_identical_images_are_counted():
    rows = make_rows()
    rows.loc[[0, 4], "psnr"] = 100.0
    assert summarize(rows).query("modality != 'average' and pattern != 'average'")["capped"].sum() == 2
    assert "identical to the clean one" in summary_markdown(rows)


def test_markdown_states_how_it_was_made_and_shows_every_mean():
    rows = make_rows()
    text = summary_markdown(rows)
    head = text[: text.index("## ")]
    for stated in ("`physical`", "seed 7", "Split: test", "whole images", "Images: 7", "mri 3", "ct 4", "`abc123`"):
        assert stated in head
    for row in summarize(rows).itertuples():
        for name, score in SCORES.items():
            assert f"{getattr(row, f'{name}_mean'):.{score.digits}f}" in text


def table_of(text, title):
    """The cells of a modality's table by (score, sigma) and column."""
    lines = text[text.index(f"## {title}") :].splitlines()[2:]
    lines = lines[: lines.index("")]
    header, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {(cells[0], cells[1], column): cell for cells in body for column, cell in zip(header, cells)}


def test_markdown_puts_the_figures_where_they_belong_and_marks_the_best():
    rows = make_rows()
    summary = summarize(rows)
    cells = table_of(summary_markdown(rows), "mri")
    for name, score in SCORES.items():
        pair = {
            method: pick(summary, modality="mri", pattern="speckle", sigma=10.0, method=method)
            for method in ("noisy", "net")
        }
        best = (max if score.higher_is_better else min)(pair, key=lambda method: pair[method][f"{name}_mean"])
        for method, row in pair.items():
            d = score.digits
            plain = f"{row[f'{name}_mean']:.{d}f} ± {row[f'{name}_std']:.{d}f}"
            assert cells[score.title, "10", f"Speckle: {method}"] == (f"**{plain}**" if method == best else plain)


def test_unequal_numbers_of_images_are_pointed_out():
    rows = make_rows()
    rows = rows[~((rows["method"] == "net") & (rows["image_id"] == "ct2"))]
    assert "ct, gaussian, sigma 10: the numbers of images differ (noisy 4, net 3)" in summary_markdown(rows)
    assert "not the same number" not in summary_markdown(make_rows())
