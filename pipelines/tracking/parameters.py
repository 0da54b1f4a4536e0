# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters as MLflow takes them, without anything that names a file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["flatten_parameters", "names_a_file"]

_FILE_ENDINGS = (
    "avif bmp csv db dcm dicom gif gz h5 hdr ima img jpeg jpg json mha mhd mrc npy npz nii nrrd onnx pkl png pt pth "
    "raw svs tar tif tiff tsv txt webp xlsx yaml yml zarr zip"
)
# A separator of folders next to a word, or a word that ends as files do. Dotted names of classes are neither.
_FILE_NAME = re.compile(
    r"[/\\]\w|\w[/\\]|~[/\\]|\w\.(?:" + "|".join(_FILE_ENDINGS.split()) + r")\b(?!\.\w)", re.IGNORECASE
)
_LONGEST_VALUE = 6000  # MLflow's own limit


def names_a_file(value: Any) -> bool:
    """Whether a value is, or holds, what may be a path or a file name.

    Paths and names of medical images often carry a patient's name or number, so what looks like one is kept out of the
    tracking store; better a harmless value too few than one such name.

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
        prefix: goes before each name.

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
