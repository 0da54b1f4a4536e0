# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that are too large for the model zoo's repository."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import yaml

__all__ = ["LIMIT", "move_large_files"]

LIMIT = 25 * 1024**2  # bytes; the model zoo's rule
PLACEHOLDER = "FILL IN: a public address of this file"


def move_large_files(bundle: Path, target: Path, limit: int = LIMIT) -> list[Path]:
    """Move files above the zoo's limit out of a bundle and write ``large_files.yml``, from which its CI downloads them.

    Args:
        bundle: the copy's folder.
        target: the folder that gets the files, under their paths in the bundle.
        limit: largest size in bytes; the zoo's own by default.

    Returns:
        The new paths; an empty list, and no ``large_files.yml``, when all files are small enough. The addresses have to
        be filled in once the files are public.
    """
    entries, moved = [], []
    for path in sorted(file for file in bundle.rglob("*") if file.is_file()):
        if path.stat().st_size <= limit:
            continue
        name = path.relative_to(bundle).as_posix()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        entries.append({"path": name, "url": PLACEHOLDER, "hash_val": digest, "hash_type": "sha256"})
        moved.append(target / name)
        moved[-1].parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, moved[-1])
    if entries:
        text = yaml.safe_dump({"large_files": entries}, sort_keys=False)
        (bundle / "large_files.yml").write_text(text, encoding="utf-8")
    return moved
