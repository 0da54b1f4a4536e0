# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Markdown and files that the reports of the comparison and its studies share."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ...atomic import write_text_atomically
from ..evaluation import crop_in_words

__all__ = ["cell", "setup_lines", "write_report"]


def cell(value: float | None, digits: int = 2, signed: bool = False) -> str:
    """Format a figure for a table, or a dash where there is none.

    Args:
        value: the figure; None and NaN give a dash.
        digits: decimals.
        signed: whether to write a plus sign.
    """
    if value is None or pd.isna(value):
        return "-"
    return f"{value:{'+' if signed else ''}.{digits}f}"


def setup_lines(rows: pd.DataFrame) -> list[str]:
    """Describe how figures were made: split, crop, images, seed, weights.

    Args:
        rows: see :func:`~noisewise.pipelines.evaluation.read_scores`.

    Returns:
        Lines of a Markdown list.
    """
    first = rows.iloc[0]
    images = rows.drop_duplicates("image_id").groupby("modality").size()
    weights = rows[rows["weights"].fillna("") != ""].drop_duplicates(["method", "weights"])
    return [
        f"- Images: {images.sum()} of the split {first['split']} "
        f"({', '.join(f'{name} {count}' for name, count in images.items())}); {crop_in_words(first['crop'])}; "
        f"seed {first['seed']}.",
        *(f"- `{row.method}`: weights SHA-256 `{row.weights}`." for row in weights.itertuples()),
    ]


def write_report(folder: Path, name: str, markdown: str, table: pd.DataFrame) -> list[Path]:
    """Write ``<name>.md`` and ``<name>.csv``.

    Args:
        folder: the output folder.
        name: the files' name without its suffix.
        markdown: the text.
        table: the figures.

    Returns:
        The two paths.
    """
    return [
        write_text_atomically(folder / f"{name}.md", markdown),
        write_text_atomically(folder / f"{name}.csv", table.to_csv(index=False)),
    ]
