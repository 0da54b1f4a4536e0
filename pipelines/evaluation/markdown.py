# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Parts that all Markdown reports share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["crop_in_words", "markdown_table"]


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> list[str]:
    """Format a Markdown table.

    Args:
        header: the columns' titles.
        rows: the cells.
        text_columns: how many of the first columns are text; the others are right-aligned.

    Returns:
        Its lines.
    """
    rule = ["---" if index < text_columns else "---:" for index in range(len(header))]
    return [f"| {' | '.join(line)} |" for line in (header, rule, *rows)]


def crop_in_words(crop: str) -> str:
    """Describe which part of the images was scored.

    Args:
        crop: the column ``crop`` of :func:`~noisewise.pipelines.evaluation.read_scores`.

    Returns:
        Such as "center crops of 256 x 256 pixels".
    """
    return "whole images" if crop == "none" else f"center crops of {crop} x {crop} pixels"
