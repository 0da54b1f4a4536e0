# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters in the form that MLflow stores, without anything that names a file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import torch

__all__ = ["flatten_parameters", "names_a_file", "training_parameters"]

_FILE_ENDINGS = (
    "avif bmp csv db dcm dicom gif gz h5 hdr ima img jpeg jpg json mha mhd mrc npy npz nii nrrd onnx pkl png pt pth "
    "raw svs tar tif tiff tsv txt webp xlsx yaml yml zarr zip"
)
# A folder separator next to a word, or a word with the suffix of a file. Dotted names of classes have neither.
_FILE_NAME = re.compile(
    r"[/\\]\w|\w[/\\]|~[/\\]|\w\.(?:" + "|".join(_FILE_ENDINGS.split()) + r")\b(?!\.\w)", re.IGNORECASE
)
_LONGEST_VALUE = 6000  # MLflow's own limit


def names_a_file(value: Any) -> bool:
    """Whether a value is or contains something that may be a path or a file name.

    Paths and names of medical images often contain a patient's name or number, so anything that looks like one is kept
    out of the tracking store. Losing a harmless value is better than storing such a name.

    Args:
        value: a string, a path, or anything with a textual form.

    Returns:
        True when in doubt.
    """
    return isinstance(value, os.PathLike) or _FILE_NAME.search(str(value)) is not None


def flatten_parameters(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten nested parameters into the strings that MLflow stores.

    Args:
        params: parameters; nested mappings get dotted names.
        prefix: put in front of each name.

    Returns:
        Text by name. Values that may name a file (see :func:`names_a_file`) are left out.
    """
    flat: dict[str, str] = {}
    for key, value in params.items():
        name = re.sub(r"[^\w\-. :/]", "_", f"{prefix}{key}")
        if isinstance(value, Mapping):
            flat.update(flatten_parameters(value, f"{name}."))
        elif isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
            flat.update(flatten_parameters({str(i): item for i, item in enumerate(value)}, f"{name}."))
        elif not names_a_file(value):
            flat[name] = str(value)[:_LONGEST_VALUE]
    return flat


def training_parameters(
    network: torch.nn.Module,
    device: torch.device,
    initial_digest: str = "",
    paired: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """The parameters by which MLflow's pages compare trainings.

    Args:
        network: the trained network; its class and its number of parameters are logged.
        device: where it trains; its type is logged.
        initial_digest: SHA-256 of the weights that training starts from, empty for random ones; 16 digits are logged.
        paired: whether training is on noisy / clean pairs. A ``protocol`` among the settings is then logged as
            ``"none, pairs"``, since no noise is simulated.
        settings: keys of the training config and their values, logged as they are.

    Returns:
        Parameters for :class:`~noisewise.pipelines.tracking.ExperimentTracker`.
    """
    if paired and "protocol" in settings:
        settings["protocol"] = "none, pairs"
    return {
        "network": type(network).__name__,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        **settings,
        "initial_weights": initial_digest[:16],
        "device": device.type,
    }
