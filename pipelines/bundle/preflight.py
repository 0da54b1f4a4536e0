# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Checks that run before a bundle's workflow: one clear error now is better than one after hours."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import inspect
import os
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle import run as bundle_run
from monai.bundle.utils import EXPR_KEY, ID_REF_KEY, ID_SEP_KEY

from ...data_manifest import Manifest, verify_manifest
from ...listing import first_lines
from ..metrics.vifp import SMALLEST_SIDE as VIFP_SMALLEST_SIDE

__all__ = ["ConfigTypoError", "check_overrides", "check_training_data", "concise_errors", "config_files"]


# As Fire reads them; an option without a value is True.
BOOLEANS = ("True", "False", "1", "0", 1, 0, "")


class ConfigTypoError(ValueError):
    """A command-line override whose key is in no config file; the message names the key and the closest known one."""


def config_files(argv: Sequence[str] | None = None) -> list[str]:
    """The config files that a ``python -m monai.bundle run`` command line names.

    Args:
        argv: the command line; ``sys.argv`` when None.

    Returns:
        Their paths as given; an empty list when the command line does not run a bundle.
    """
    argv = list(sys.argv if argv is None else argv)
    files = _all_options(argv).get("config_file") if "run" in argv else None
    if not files:
        return []
    if isinstance(files, str) and files.startswith(("[", "(")):
        files = ast.literal_eval(files)
    return [files] if isinstance(files, str) else [str(file) for file in files]


def check_overrides(argv: Sequence[str] | None = None) -> None:
    """Refuse misspelled overrides of a ``python -m monai.bundle run`` command line.

    MONAI adds unknown keys to the config silently, so ``--max_epoch 5`` would train to the end of the default budget.
    And it reads ``--track false`` as a text, which counts as true.

    Args:
        argv: the command line; ``sys.argv`` when None. One that does not run a bundle is ignored.

    Raises:
        ConfigTypoError: when an override's key is in none of the config files.
        ValueError: when the config has True or False under a key, and the override is neither.
    """
    argv = list(sys.argv if argv is None else argv)
    options = _all_options(argv)
    files = config_files(argv)
    if not files:
        return
    config = ConfigParser.load_config_files(files)
    own = set(inspect.signature(bundle_run).parameters)
    for key in options:
        if key in own:
            continue
        path = key.replace("#", ID_SEP_KEY).split(ID_SEP_KEY)
        if not _exists(config, path):
            known = _known_keys(config)
            close = difflib.get_close_matches(key.replace("#", ID_SEP_KEY), known, n=1)
            hint = f" Did you mean --{close[0]}?" if close else ""
            raise ConfigTypoError(f"--{key}: no such key in {', '.join(files)}.{hint}")
        _check_boolean(key, options[key], _value(config, path))


def concise_errors() -> None:
    """Let a bundle's command line end with one clear line instead of a traceback when this package refuses an input.

    Only an error that noisewise itself raised on purpose (its innermost frame lies in this package) is shortened;
    anything else keeps its traceback, and ``NOISEWISE_TRACEBACK=1`` keeps all tracebacks.
    """
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        cause = error
        while cause.__cause__ is not None and not _is_refusal(cause):
            cause = cause.__cause__
        if os.environ.get("NOISEWISE_TRACEBACK") or not _is_refusal(cause):
            previous(kind, error, trace)
        else:
            print(f"error: {cause}", file=sys.stderr)

    sys.excepthook = hook


def _is_refusal(error: BaseException) -> bool:
    """Whether this package raised ``error`` deliberately."""
    if not isinstance(error, (ValueError, OSError, RuntimeError, ImportError)) or error.__traceback__ is None:
        return False
    *_, (innermost, _line) = traceback.walk_tb(error.__traceback__)
    # By module, not by path: a virtual environment may lie inside the checkout, which is the package.
    return innermost.f_globals.get("__name__", "").partition(".")[0] == __name__.partition(".")[0]


def check_training_data(
    train: Sequence[Mapping[str, Any]],
    val: Sequence[Mapping[str, Any]],
    manifest: Manifest,
    patch_size: int,
    val_size: int,
    paired: bool = False,
    within_subjects: bool = False,
    smallest_val_size: int = VIFP_SMALLEST_SIDE,
) -> None:
    """Refuse training data that would fail later: missing files, images smaller than a patch.

    Args:
        train: training items of the manifest.
        val: validation items.
        manifest: the manifest they come from; it is verified without decoding images.
        patch_size: side of a training patch in pixels.
        val_size: side of a validation crop in pixels.
        paired: whether training is on noisy / clean pairs, where every image needs a target, rather than on clean
            images, which must not have one.
        within_subjects: whether validation images may come from the training's subjects. Meant for studies of a few
            patients with a separate test patient; such a validation says nothing about new patients.
        smallest_val_size: the smallest validation crop that the metrics of the validation accept.

    Raises:
        ValueError: when the data cannot be used; the message names the first few files and the cause for each.
    """
    if val and val_size < smallest_val_size:
        raise ValueError(
            f"val_size is {val_size}, but the metrics of the validation need crops of {smallest_val_size} x "
            f"{smallest_val_size} pixels or more: pass --val_size {smallest_val_size} or a larger number."
        )
    wrong = [item["image"] for item in (*train, *val) if bool(item.get("target")) is not paired]
    if wrong and paired:
        raise ValueError(f"{manifest.name}: {wrong[0]} has no target ({len(wrong)} in all); every pair needs one.")
    if wrong:
        raise ValueError(
            f"{manifest.name}: {wrong[0]} has a target, so it is a noisy image: add the overlay pairs.yaml to train on "
            "pairs, or take the column 'target' out to train on these images as clean ones."
        )
    chosen = {}
    for items, split in ((train, "train"), (val, "val")):
        wanted = {item["image_id"] for item in items}
        chosen[split] = [record for record in manifest if record.split == split and record.image_id in wanted]
    problems = [
        problem
        for split, size in (("train", patch_size), ("val", val_size))
        for problem in verify_manifest(Manifest(chosen[split], manifest.path), decode=False, min_size=size)
        if problem.kind != "duplicate"  # an image twice in one split wastes time but does no harm
    ]
    val_records = chosen["val"]
    if within_subjects:
        val_records = [dataclasses.replace(record, subject=f"{record.subject} (val)") for record in val_records]
    together = Manifest([*chosen["train"], *val_records], manifest.path)
    problems += [problem for problem in verify_manifest(together, decode=False) if problem.kind == "leak"]
    if problems:
        raise ValueError(f"{manifest.name}: the data cannot be used:\n{first_lines(problems, shown=10)}")


def _all_options(argv: Sequence[str]) -> dict[str, Any]:
    """The options of the file that ``--args_file`` names, overridden by those of the command line."""
    options: dict[str, Any] = _options(argv[1:])
    if "run" in argv and options.get("args_file"):
        options = {**ConfigParser.load_config_file(options["args_file"]), **options}
    return options


def _options(arguments: Iterable[str]) -> dict[str, str]:
    """``--key value`` and ``--key=value`` pairs; Fire reads dashes in keys as underscores."""
    options: dict[str, str] = {}
    key = None
    for argument in arguments:
        if argument.startswith("--") and len(argument) > 2:
            name, _, value = argument[2:].partition("=")
            key = name.replace("-", "_")
            options[key] = value
            if value:
                key = None
        elif key is not None:
            options[key] = argument
            key = None
    return options


def _exists(config: Any, path: Sequence[str]) -> bool:
    """Whether the path's parent is in the config; an argument may be added to an existing component."""
    node = config
    for depth, part in enumerate(path):
        if isinstance(node, list) and part.lstrip("-").isdigit():
            if not -len(node) <= int(part) < len(node):
                return False
            node = node[int(part)]
        elif isinstance(node, Mapping) and part in node:
            node = node[part]
        else:
            return depth > 0 and depth == len(path) - 1 and isinstance(node, Mapping) and "_target_" in node
        if isinstance(node, str) and node.startswith(ID_REF_KEY):
            return True
    return True


def _value(config: Any, path: Sequence[str]) -> Any:
    """The value at a path; None if there is none, or if it lies behind a reference."""
    for part in path:
        if isinstance(config, list) and part.lstrip("-").isdigit():
            config = config[int(part)]
        elif isinstance(config, Mapping):
            config = config.get(part)
        else:
            return None
    return config


def _check_boolean(key: str, given: Any, default: Any) -> None:
    if not isinstance(default, bool) or isinstance(given, bool) or given in BOOLEANS:
        return
    if isinstance(given, str) and given.startswith((EXPR_KEY, ID_REF_KEY)):
        return
    raise ValueError(f"--{key} is either True or False, got {given!r}.")


def _known_keys(config: Mapping[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for key, value in config.items():
        keys.append(prefix + key)
        if isinstance(value, Mapping):
            keys += _known_keys(value, f"{prefix}{key}{ID_SEP_KEY}")
    return keys
