# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Which model the application was given: a file, a bundle, or a folder that holds one of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..denoising.models import AUTO

__all__ = ["find_model"]

WEIGHTS_SUFFIXES = (".pt", ".pth", ".ts")


def find_model(path: str | Path | None) -> str:
    """The model below a path.

    The packager copies what ``--models`` names to ``models/NAME/``, so a bundle or a file may lie one folder deeper.

    Args:
        path: a weights file, a TorchScript export, a bundle's folder, or a folder that holds exactly one of these, in
            itself or in a folder of its own; None or an empty folder for the models that come with noisewise.

    Returns:
        What :class:`~noisewise.pipelines.denoising.settings.DenoisingOptions` takes as ``model``.

    Raises:
        ValueError: when there is no such path, or a folder holds no model or more than one.
    """
    if path is None:
        return AUTO
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder.")
    if path.is_file() or _is_bundle(path):
        return str(path)
    content = sorted(path.iterdir())
    if not content:
        return AUTO
    folders = [each for each in content if each.is_dir()]
    # Weights beside a bundle are its own.
    models = list(filter(_is_bundle, folders)) or list(_weights(path, *folders))
    if len(models) != 1:
        raise ValueError(
            f"{path}: expected one model, found {len(models)}; give a bundle's folder, its TorchScript export or a "
            "weights file."
        )
    return str(models[0])


def _is_bundle(folder: Path) -> bool:
    return any((folder / "configs" / f"inference{suffix}").is_file() for suffix in (".yaml", ".yml", ".json"))


def _weights(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        yield from (each for each in sorted(folder.iterdir()) if each.suffix.lower() in WEIGHTS_SUFFIXES)
