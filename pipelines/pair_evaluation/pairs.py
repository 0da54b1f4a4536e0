# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The table of pairs: a noisy image and its reference on each line."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ImagePair", "PairsError", "read_pairs"]

# The names of the columns, ours first; the others are those of low-dose CT.
NOISY = ("noisy", "quarter_dose", "low_dose")
CLEAN = ("clean", "full_dose")
SUBJECT = ("subject", "patient")
SOURCE = ("source", "kernel")


class PairsError(ValueError):
    """A table that is no table of pairs; the message names the file, the line and the cause."""


@dataclass(frozen=True)
class ImagePair:
    """A noisy image and its reference.

    Attributes:
        number: line of the pair in the table, from 1; names the pair without its file name.
        noisy: path of the noisy image.
        clean: path of the reference.
        modality: such as ``"ct"``; ``""`` if the table does not say.
        source: the group that means are taken over.
        subject: of the image.
    """

    number: int
    noisy: Path
    clean: Path
    modality: str = ""
    source: str = ""
    subject: str = ""


def read_pairs(path: str | os.PathLike) -> list[ImagePair]:
    """Read a table of pairs.

    Args:
        path: UTF-8 CSV with the columns ``noisy`` and ``clean`` (paths relative to the table, or absolute), and any of
            ``modality``, ``source`` and ``subject``. Tables of low-dose CT may call them ``quarter_dose`` or
            ``low_dose``, ``full_dose``, ``kernel`` and ``patient``; their modality is ct. Others are ignored.

    Returns:
        The pairs, in the table's order.

    Raises:
        PairsError: if the table cannot be read, lacks a column, has an empty cell there, or has no lines.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = tuple(reader.fieldnames or ())
            for names in (NOISY, CLEAN):
                if not set(names) & set(columns):
                    raise PairsError(f"{path}: needs a column '{names[0]}' (or {', '.join(names[1:])}).")
            pairs = [_pair(path, number, row) for number, row in enumerate(reader, 1)]
    except OSError as error:
        raise PairsError(f"{path}: cannot read the table: {error.strerror or error}.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise PairsError(f"{path}: is not a UTF-8 CSV file: {error}.") from error
    if not pairs:
        raise PairsError(f"{path}: lists no pairs.")
    return pairs


def _pair(table: Path, number: int, row: Mapping[str, str | None]) -> ImagePair:
    def cell(names: tuple[str, ...]) -> str:
        return next((row[name].strip() for name in names if (row.get(name) or "").strip()), "")

    files = {names[0]: cell(names) for names in (NOISY, CLEAN)}
    for name, value in files.items():
        if not value:
            raise PairsError(f"{table}, pair {number}: the column '{name}' is empty.")
    is_ct = any(name in row for name in NOISY[1:])
    return ImagePair(
        number=number,
        noisy=table.parent / files["noisy"],
        clean=table.parent / files["clean"],
        modality=cell(("modality",)) or ("ct" if is_ct else ""),
        source=cell(SOURCE) or cell(("modality",)),
        subject=cell(SUBJECT),
    )
