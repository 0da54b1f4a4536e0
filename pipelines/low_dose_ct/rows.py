# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The table of scores: one line per method and slice."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...atomic import atomic_path

__all__ = ["WORDS", "read_rows", "write_csv", "write_rows"]

WORDS = ("method", "subject", "kernel", "image_id", "weights")
"""The columns that are not scores."""


def read_rows(table: str | os.PathLike) -> list[dict[str, Any]]:
    """Read a table of scores.

    Args:
        table: the CSV; a missing file is an empty table.

    Returns:
        Its lines; scores are floats.
    """
    if not Path(table).exists():
        return []
    with Path(table).open(encoding="utf-8", newline="") as file:
        return [{k: v if k in WORDS else float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def write_rows(table: str | os.PathLike, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write a table of scores atomically.

    Args:
        table: the CSV.
        rows: lines with :data:`WORDS` and scores, all with the same keys.

    Returns:
        ``table``.

    Raises:
        ValueError: when there are no rows.
    """
    rows = sorted(rows, key=lambda row: [row[word] for word in WORDS])
    if not rows:
        raise ValueError("nothing has been scored.")
    return write_csv(table, rows)


def write_csv(table: str | os.PathLike, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write lines to a CSV atomically; the first line determines the columns.

    Args:
        table: the CSV.
        rows: one or more lines, all with the same keys.

    Returns:
        ``table``.
    """
    with atomic_path(table) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return Path(table)
