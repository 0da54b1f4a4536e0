# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The optional CSV table that tells modality, source, subject, split, partner or kernel of each file."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from .manifest import SPLITS, ManifestError

__all__ = ["read_table"]

TABLE_COLUMNS = ("file", "modality", "source", "subject", "split", "license", "target", "kernel")


def read_table(path: str | os.PathLike, root: str | os.PathLike) -> dict[Path, dict[str, str]]:
    """Read a table of images.

    Args:
        path: UTF-8 CSV with a column ``file`` (relative to ``root``, or absolute) and any of ``modality``,
            ``source``, ``subject``, ``split``, ``license``, ``target`` (a clean partner) and ``kernel`` (of a CT);
            others are ignored.
        root: the folder that the files are relative to.

    Returns:
        For each file (absolute) the values that are not empty, in the table's order.

    Raises:
        ManifestError: when the table is missing, has no column ``file``, names a file twice or an unknown split.
    """
    root = Path(os.path.abspath(root))
    rows: dict[Path, dict[str, str]] = {}
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if "file" not in (reader.fieldnames or ()):
                raise ManifestError(f"{path}, line 1: the table needs a column 'file'.")
            for row in reader:
                if not (row["file"] or "").strip():
                    raise ManifestError(f"{path}, line {reader.line_num}, column 'file': empty.")
                name = Path(os.path.normpath(root / row["file"].strip()))
                if name in rows:
                    raise ManifestError(f"{path}, line {reader.line_num}: {row['file']} is named twice.")
                # Tables for earlier versions say "licence".
                row["license"] = row.get("license") or row.get("licence")
                values = {key: (row.get(key) or "").strip() for key in TABLE_COLUMNS[1:]}
                if values["split"] and values["split"] not in SPLITS:
                    raise ManifestError(
                        f"{path}, line {reader.line_num}, column 'split': '{values['split']}' is not one of "
                        f"{', '.join(SPLITS)}."
                    )
                if values["target"]:
                    values["target"] = os.path.normpath(root / values["target"])
                rows[name] = {key: value for key, value in values.items() if value}
    except OSError as error:
        raise ManifestError(f"{path}: cannot read the table: {error.strerror or error}.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: not a UTF-8 CSV file: {error}.") from error
    if not rows:
        raise ManifestError(f"{path}: the table names no file.")
    return rows
