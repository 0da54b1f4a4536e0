# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Which network and weights denoise: a bundle's, or a weights file of the user's own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import nn

from ...bundles import bundle_path
from ..bundle.config import network_from_config
from ..bundle.weights import load_weights

__all__ = ["AUTO", "CT_MODEL", "DEFAULT_MODEL", "DenoisingModel", "choose_model", "is_ct_model", "load_model"]

AUTO = "auto"
DEFAULT_MODEL = "multimodal_denoising"
CT_MODEL = "low_dose_ct_denoising"


@dataclass(frozen=True)
class DenoisingModel:
    """A network with its trained weights.

    Attributes:
        name: the bundle's name, with the colon and the name of its other weights if these are taken, or the weights
            file's name.
        network: maps ``(B, 3, H, W)`` in about [0, 1] to the same shape.
        digest: SHA-256 of the weights file.
        halo: how far a pixel of the output looks, in pixels; None when unknown, so that images are never tiled.
    """

    name: str
    network: nn.Module
    digest: str
    halo: int | None


def choose_model(model: str | os.PathLike, modality: str | None) -> str:
    """Resolve ``"auto"``: the CT bundle for CT where its weights exist, else the multimodal one.

    Args:
        model: ``"auto"``, a bundle's name, or a path; anything but ``"auto"`` is returned as it is.
        modality: what the input says it is.

    Returns:
        The name or path of the model.
    """
    if str(model) != AUTO:
        return os.fspath(model)
    if modality == "ct" and (Path(bundle_path(DEFAULT_MODEL)).parent / CT_MODEL / "models" / "model.pt").exists():
        return CT_MODEL
    return DEFAULT_MODEL


def is_ct_model(name: str) -> bool:
    """Whether a model is the CT bundle's, with whichever of its weights.

    Args:
        name: a model's name, see :class:`DenoisingModel`.

    Returns:
        True if so: then it works in Hounsfield units.
    """
    return name.partition(":")[0] == CT_MODEL


@lru_cache(maxsize=4)
def load_model(model: str = DEFAULT_MODEL, config: str | None = None) -> DenoisingModel:
    """Load a model; each is loaded once in a process.

    Args:
        model: the name of a bundle of this package, the folder of any bundle (with ``configs/inference.yaml`` or
            ``.json``, and ``models/model.pt``), or a weights file. A colon and a name after a bundle's name, as in
            ``"multimodal_denoising:commercial"``, take its ``models/model_commercial.pt``.
        config: file with the ``network_def`` of a weights file; the multimodal bundle's network when None.

    Returns:
        The model, in evaluation mode.

    Raises:
        ValueError: when the weights do not fit the network or the config holds no network.
        FileNotFoundError: when there is no such bundle or file.
    """
    path = Path(model)
    folder, weights = _find(path)
    if config is None:
        found = [folder / "configs" / f"inference{suffix}" for suffix in (".yaml", ".yml", ".json")]
        config = str(next((each for each in found if each.exists()), found[0]))
    network = network_from_config(config)
    digest = load_weights(network, weights)
    network.eval().requires_grad_(False)
    return DenoisingModel(path.name, network, digest, getattr(network, "receptive_radius", None))


def _find(path: Path) -> tuple[Path, Path]:
    """The folder of the bundle, and the weights file."""
    if path.is_file():
        return bundle_path(DEFAULT_MODEL), path
    if path.is_dir():
        return path, path / "models" / "model.pt"
    name, colon, variant = str(path).partition(":")
    folder = bundle_path(name)
    weights = folder / "models" / (f"model_{variant}.pt" if colon else "model.pt")
    if colon and not weights.is_file():
        known = sorted(each.stem.removeprefix("model_") for each in weights.parent.glob("model_*.pt"))
        raise FileNotFoundError(f"{name} has no weights {variant!r} beside its usual ones; it has {known}.")
    return folder, weights
