# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Names of runs that say what was run."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["evaluation_name", "training_name"]


def training_name(
    params: Mapping[str, Any], seed: int | None = None, config_files: Iterable[str | os.PathLike] = ()
) -> str:
    """The name of a training's run.

    Args:
        params: from :func:`~noisewise.pipelines.tracking.training_parameters`.
        seed: the training's seed.
        config_files: its config files; one in a folder ``methods`` names the method.

    Returns:
        Such as ``"train two_stage physical seed 0 (2026-11-27 14:52)"``: the method, the noise, ``tuned`` if training
        starts from weights, the seed and the time.
    """
    methods = [Path(path).stem for path in config_files if Path(path).parent.name == "methods"]
    words = ["train", methods[-1] if methods else _network_name(str(params.get("network", "")))]
    if "protocol" in params:
        words.append(str(params["protocol"]).removeprefix("none, "))
    elif "dose_range" in params:
        words.append("low_dose_ct")
    if params.get("initial_weights"):
        words.append("tuned")
    if seed is not None:
        words.append(f"seed {seed}")
    return _with_time(words)


def evaluation_name(params: Mapping[str, Any]) -> str:
    """The name of an evaluation's run.

    Args:
        params: the settings of the evaluation.

    Returns:
        Such as ``"evaluate two_stage, noisy physical test (2026-11-27 14:52)"``: the methods, the noise, the split and
        the time.
    """
    methods = params.get("methods") or ()
    words = ["evaluate", ", ".join(map(str, methods)), str(params.get("protocol", "")), str(params.get("split", ""))]
    return _with_time(words)


def _with_time(words: Iterable[str]) -> str:
    return f"{' '.join(filter(None, words))} ({time.strftime('%Y-%m-%d %H:%M')})"


def _network_name(class_name: str) -> str:
    """``"two_stage"`` for ``"TwoStageDenoiser"``, ``"dncnn"`` for ``"DnCNN"``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", class_name.removesuffix("Denoiser")).lower()
