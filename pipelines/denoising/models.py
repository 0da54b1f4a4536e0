# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The network and weights that denoise: those of a bundle, or the user's own weights file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import nn

from ...bundles import bundle_path
from ..bundle.config import network_from_config
from ..bundle.weights import load_weights
from .settings import AUTO, CT_MODEL, DEFAULT_MODEL

__all__ = ["AUTO", "CT_MODEL", "DEFAULT_MODEL", "DenoisingModel", "choose_model", "is_ct_model", "load_model"]


@dataclass(frozen=True)
class DenoisingModel:
    """A network with its trained weights.

    Attributes:
        name: the bundle's name, followed by a colon and the name of its other weights if these are used; or the weights
            file's name.
        network: maps ``(B, 3, H, W)`` in about [0, 1] to the same shape.
        digest: SHA-256 of the weights file.
        halo: receptive radius in pixels; None if unknown, so that images are never tiled.
        grid: tiles start at multiples of this.
    """

    name: str
    network: nn.Module
    digest: str
    halo: int | None
    grid: int = 1

    @classmethod
    def of(cls, name: str, network: nn.Module, digest: str = "") -> DenoisingModel:
        """A model of a network, which says itself how it may be tiled.

        Args:
            name: of the model.
            network: with its weights.
            digest: SHA-256 of the weights file.
        """
        network.eval().requires_grad_(False)
        return cls(name, network, digest, getattr(network, "receptive_radius", None), getattr(network, "grid", 1))


def choose_model(model: str | os.PathLike, modality: str | None) -> str:
    """Resolve ``"auto"``: the CT bundle for CT if its weights exist, otherwise the multimodal one.

    Args:
        model: ``"auto"``, a bundle's name, or a path; all but ``"auto"`` is returned unchanged.
        modality: modality of the input.

    Returns:
        The name or path of the model.
    """
    if str(model) != AUTO:
        return os.fspath(model)
    if modality == "ct" and (Path(bundle_path(DEFAULT_MODEL)).parent / CT_MODEL / "models" / "model.pt").exists():
        return CT_MODEL
    return DEFAULT_MODEL


def is_ct_model(name: str) -> bool:
    """Whether a model is the CT bundle's, with any of its weights.

    Args:
        name: a model's name, see :class:`DenoisingModel`.

    Returns:
        True if it is; such a model expects Hounsfield units.
    """
    return name.partition(":")[0] == CT_MODEL


@lru_cache(maxsize=4)
def load_model(
    model: str | os.PathLike = DEFAULT_MODEL, config: str | os.PathLike | None = None
) -> DenoisingModel:
    """Load a model. Each is loaded once in a process.

    Args:
        model: the name of a bundle of this package, the folder of any bundle (with ``configs/inference.yaml`` or
            ``.json``, and ``models/model.pt``), or a weights file. A colon and a name after a bundle's name, as in
            ``"multimodal_denoising:commercial"``, select its ``models/model_commercial.pt``.
        config: file with the ``network_def`` of a weights file; None takes the multimodal bundle's network.

    Returns:
        The model, in evaluation mode.

    Raises:
        ValueError: if the weights do not fit the network, or the config defines no network.
        FileNotFoundError: if there is no such bundle or file.
    """
    path = Path(model)
    folder, weights = _find(path)
    if config is None:
        found = [folder / "configs" / f"inference{suffix}" for suffix in (".yaml", ".yml", ".json")]
        config = str(next((each for each in found if each.exists()), found[0]))
    network = network_from_config(config)
    digest = load_weights(network, weights)
    return DenoisingModel.of(path.name, network, digest)


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
        raise FileNotFoundError(f"{name} has no weights {variant!r} besides its default ones; it has {known}.")
    return folder, weights
