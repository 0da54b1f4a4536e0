# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What the training of one method is: its config, and the budget that it has in common with all others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser

from ...bundles import bundle_path
from ..bundle.preflight import check_overrides
from .methods import Method

__all__ = ["LIMITED", "BudgetError", "TrainingPlan", "differences", "parse_settings", "plan_training"]

LIMITED: dict[str, Any] = {
    "batch_size": 4,
    "steps_per_epoch": 3,
    "max_epochs": 2,
    "warmup_steps": 1,
    "train_limit": 2,
    "val_limit": 1,
    "val_stds": [25],
}
"""Settings of a run that shows in minutes that every method trains; it says nothing about any of them."""

# What decides how long and on what is trained or validated, besides the keys of equal_budget.yaml.
DATA_KEYS = ("modalities", "train_limit", "val_limit", "val_size", "val_stds", "balance_modalities", "num_workers")
# What changes no result, or has its own place in the records.
NEUTRAL_KEYS = (
    "output_dir",
    "dataset_dir",
    "manifest",
    "resume",
    "device",
    "track",
    "tracking_uri",
    "experiment_name",
    "run_name",
    "panels",
    "method_info",
)
OWN_KEYS = ("output_dir", "manifest", "resume")


class BudgetError(ValueError):
    """Settings that cannot be used, or a budget other than the one that a folder was begun with."""


@dataclass(frozen=True)
class TrainingPlan:
    """How one method is trained.

    Attributes:
        method: the method.
        files: the config files, in the order in which they are merged.
        settings: overrides on top of them.
        config: the merged config, as written (references unresolved).
        budget: what the method has in common with all others: the keys of ``equal_budget.yaml``, the choice of data,
            and the settings.
    """

    method: Method
    files: tuple[Path, ...]
    settings: Mapping[str, Any]
    config: Mapping[str, Any]
    budget: Mapping[str, Any]

    @property
    def relevant_config(self) -> dict[str, Any]:
        """The config without keys that change no result."""
        return {key: value for key, value in self.config.items() if key not in NEUTRAL_KEYS}

    @property
    def digest(self) -> str:
        """SHA-256 of :attr:`relevant_config`; comments and the order of keys do not count."""
        text = json.dumps(self.relevant_config, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def plan_training(
    method: Method,
    settings: Mapping[str, Any] | None = None,
    bundle: str = "multimodal_denoising",
    overlays: Sequence[str] = (),
) -> TrainingPlan:
    """Merge the configs that train a method at the equal budget.

    Args:
        method: the method.
        settings: overrides of config keys, for all methods alike; ``#`` or ``::`` goes into nested ones.
        bundle: the bundle whose ``train.yaml``, ``single_stage.yaml`` and ``equal_budget.yaml`` are merged.
        overlays: config files of that bundle that go right after ``train.yaml``, such as ``"pairs.yaml"``.

    Returns:
        The plan.

    Raises:
        BudgetError: when a setting is no key of the config, or one that the queue sets itself, or when a size of the
            budget is no positive whole number.
        FileNotFoundError: when the bundle lacks one of the files.
    """
    settings = dict(settings or {})
    configs = bundle_path(bundle) / "configs"
    overlays = (*overlays, *(("single_stage.yaml",) if method.single_stage else ()))
    files = (
        configs / "train.yaml",
        *(configs / name for name in overlays),
        method.config,
        configs / "equal_budget.yaml",
    )
    missing = [str(path) for path in files if not path.exists()]
    if missing:
        raise FileNotFoundError(f"{', '.join(missing)}: the bundle lacks this config.")
    _check_settings(files, settings)
    merged = ConfigParser(ConfigParser.load_config_files([str(path) for path in files]))
    for key, value in settings.items():
        merged[key] = value
    config = merged.get()
    for key in ("batch_size", "steps_per_epoch", "max_epochs"):
        if isinstance(config[key], bool) or not isinstance(config[key], int) or config[key] < 1:
            raise BudgetError(f"{key} is {config[key]!r}; the budget needs a positive whole number.")
    common = [*ConfigParser.load_config_file(files[-1]), *DATA_KEYS]
    budget = {key: config[key] for key in common if key in config} | settings
    return TrainingPlan(
        method, files, settings, config, {key: value for key, value in budget.items() if key not in NEUTRAL_KEYS}
    )


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Read ``key=value`` settings; values are YAML, as in the config files.

    Args:
        texts: such as ``["max_epochs=12", "gradient_clip=null", "val_stds=[25]"]``.

    Returns:
        The values by key.

    Raises:
        BudgetError: when a text has no ``=``, or its value is no YAML.
    """
    settings = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise BudgetError(f"--set {text}: expected key=value.")
        try:
            settings[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise BudgetError(f"--set {text}: the value is no YAML: {error}") from None
    return settings


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Which entries differ, in words.

    Args:
        before: values by key, as read from JSON.
        now: values by key.

    Returns:
        One text for each key that differs, such as ``"max_epochs was 6, is 12"``.
    """
    # Through JSON, as the earlier ones went: tuples become lists.
    now = json.loads(json.dumps(now, default=str))
    return [
        f"{key} {_words('was', before, key)}, {_words('is', now, key)}"
        for key in dict.fromkeys([*before, *now])
        if key not in before or key not in now or before[key] != now[key]
    ]


def _words(verb: str, values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return f"{verb} not set"
    text = json.dumps(values[key])
    return f"{verb} {text if len(text) <= 60 else text[:57] + '...'}"


def _check_settings(files: Sequence[Path], settings: Mapping[str, Any]) -> None:
    own = [key for key in settings if key in OWN_KEYS]
    if own:
        raise BudgetError(f"--set {own[0]}: the queue sets this key itself.")
    arguments = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
    check_overrides(["monai", "run", "training", "--config_file", str([str(path) for path in files]), *arguments])
