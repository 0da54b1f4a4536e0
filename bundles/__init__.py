# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""MONAI bundles: configs, weights and documentation. The logic they configure is in the rest of the package."""

from __future__ import annotations

from pathlib import Path

from ..listing import unknown_name

__all__ = ["bundle_names", "bundle_path"]

ROOT = Path(__file__).resolve().parent


def bundle_path(name: str) -> Path:
    """Where a bundle of this package lies.

    Args:
        name: a bundle's folder name, such as ``"multimodal_denoising"``.

    Returns:
        Its absolute path.

    Raises:
        FileNotFoundError: when there is no such bundle; the message lists those that are.
    """
    path = ROOT / name
    if not (path / "configs").is_dir():
        raise FileNotFoundError(unknown_name("bundle", name, bundle_names()))
    return path


def bundle_names() -> list[str]:
    """The names of the bundles of this package, sorted."""
    return sorted(folder.name for folder in ROOT.iterdir() if (folder / "configs").is_dir())
