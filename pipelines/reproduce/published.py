# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The figures printed in the paper."""

from __future__ import annotations

from functools import cache
from importlib import resources

import pandas as pd

from ..evaluation.summary import AVERAGE, PATTERNS

__all__ = ["ABLATION", "PAPER_SCORES", "paper_tables", "published_cost", "published_scores"]

ABLATION = "VI"
PAPER_SCORES = ("psnr", "ssim", "delta_e", "vifp", "mse")
"""The scores of the paper's tables, by their names in ``noisewise.pipelines.evaluation.SCORES``."""
NUMERALS = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7}


def published_scores() -> pd.DataFrame:
    """Read Tables I to VI of the paper.

    The averages of Gaussian and speckle noise are computed from the two, because eighteen of the printed averages do
    not agree with their parts (the ablation's NEN, MSE at sigma 75: 211.04 for 121.04).

    Returns:
        One row per figure: ``table`` (``"I"`` to ``"VI"``), ``modality`` (``"all"`` in the ablation), ``method`` (its
        name in the paper's tables), ``pattern`` (``"gaussian"``, ``"speckle"`` or ``"average"``), ``sigma`` (float,
        0..255 scale), ``score`` (a name in :data:`PAPER_SCORES`) and ``published``.
    """
    printed = _read("published.csv").rename(columns={"noise": "pattern", "psnr_db": "psnr"})
    printed["modality"] = printed["modality"].replace("all (ablation)", "all")
    halves = printed[printed["pattern"].isin(PATTERNS)]
    keys = ["table", "modality", "method", "sigma"]
    averages = halves.groupby(keys, sort=False)[list(PAPER_SCORES)].mean().reset_index().assign(pattern=AVERAGE)
    wide = pd.concat([halves, averages]).astype({"sigma": float})
    return wide.melt(
        id_vars=["table", "modality", "method", "pattern", "sigma"],
        value_vars=list(PAPER_SCORES),
        var_name="score",
        value_name="published",
    )


@cache
def paper_tables() -> dict[str, tuple[int, str]]:
    """Map each modality to its table.

    Returns:
        For each modality, in the paper's order, the table's number and its Roman numeral; the ablation is not
        included.
    """
    found = published_scores().drop_duplicates("table")
    return {
        row.modality: (NUMERALS[row.table], row.table)
        for row in sorted(found.itertuples(), key=lambda row: NUMERALS[row.table])
        if row.table != ABLATION
    }


def published_cost() -> pd.DataFrame:
    """Read Table VII of the paper.

    Returns:
        One row per network, by the name of its part (``"nen"``, ``"rn"``, ``"two_stage"``), with ``parameters``,
        ``gmac`` (1e9 multiply-accumulates at 256 x 256 x 3), ``memory_mb`` and ``milliseconds`` (on the authors' GPU,
        which the paper does not name).
    """
    return _read("published_cost.csv").set_index("network")


def _read(name: str) -> pd.DataFrame:
    with resources.files(__package__).joinpath(name).open(encoding="utf-8") as file:
        return pd.read_csv(file)
