# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The compared methods, as their config files describe them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monai.bundle import ConfigParser
from torch import nn

from ...bundles import bundle_path
from ..bundle.config import network_from_config

__all__ = ["REINTERPRETED", "STANDINGS", "Method", "MethodError", "choose_methods", "read_methods"]

REINTERPRETED = "re-interpreted"
STANDINGS = ("ours", "verified", REINTERPRETED, "modern reference")
INFO_KEYS = ("name", "title", "order", "published", "standing", "single_stage", "reference")


class MethodError(ValueError):
    """A method's config that cannot be used; the message names the file and the cause."""


@dataclass(frozen=True)
class Method:
    """One compared method.

    Attributes:
        name: its name in files and on the command line, also the name of its config file.
        title: what tables call it.
        order: where it stands in tables and in the training queue; small ones first.
        published: its name in the paper's tables; None when it does not stand there.
        standing: one of :data:`STANDINGS`: how far its network is known.
        single_stage: whether one network is trained with one objective, rather than the two stages with two.
        reference: where it comes from.
        config: the file, an overlay of the bundle's ``train.yaml``.
    """

    name: str
    title: str
    order: float
    published: str | None
    standing: str
    single_stage: bool
    reference: str
    config: Path

    @property
    def marked_title(self) -> str:
        """The title, with a dagger when the network is re-interpreted from an abstract."""
        return f"{self.title}\N{DAGGER}" if self.standing == REINTERPRETED else self.title

    def network(self) -> nn.Module:
        """A new network of this method, with its initial weights.

        Raises:
            ValueError: when the config's ``network_def`` cannot be built.
        """
        return network_from_config(self.config)


def read_methods(folder: str | os.PathLike | None = None) -> list[Method]:
    """Find the compared methods: a method is one config file in a folder.

    Args:
        folder: the folder of ``<name>.yaml`` files, each with ``method_info`` and ``network_def``; the bundle's
            ``configs/methods`` when None.

    Returns:
        The methods, sorted by their order and then by name.

    Raises:
        MethodError: when there is no such folder or file in it, or a file has no valid ``method_info``.
    """
    folder = bundle_path("multimodal_denoising") / "configs" / "methods" if folder is None else Path(folder)
    methods = [_read(path) for path in sorted(folder.glob("*.yaml"))]
    if not methods:
        raise MethodError(f"{folder}: holds no method (*.yaml with 'method_info' and 'network_def').")
    return sorted(methods, key=lambda method: (method.order, method.name))


def choose_methods(methods: Sequence[Method], only: Sequence[str] | None) -> list[Method]:
    """Keep the methods that were asked for.

    Args:
        methods: those that there are.
        only: names; all methods when None or empty.

    Returns:
        The chosen methods, in the order of ``methods``.

    Raises:
        MethodError: when a name is unknown; the message lists those that are known.
    """
    known = [method.name for method in methods]
    unknown = [name for name in only or () if name not in known]
    if unknown:
        raise MethodError(f"no method {', '.join(map(repr, unknown))}; there are {', '.join(known)}.")
    return [method for method in methods if not only or method.name in only]


def _read(path: Path) -> Method:
    try:
        config = ConfigParser.load_config_file(path)
    except Exception as error:  # the YAML parser's own errors share no useful base
        raise MethodError(f"{path}: cannot be read as a config: {error}") from None
    info = config.get("method_info") if isinstance(config, dict) else None
    if not isinstance(info, dict):
        raise MethodError(f"{path}: has no 'method_info'.")
    missing = [key for key in INFO_KEYS if key not in info]
    if missing:
        raise MethodError(f"{path}: 'method_info' lacks {', '.join(missing)}; it needs {', '.join(INFO_KEYS)}.")
    name = info["name"]
    # Names become folders and command-line arguments.
    if name != path.stem or not re.fullmatch(r"[a-z0-9_]+", str(name)):
        raise MethodError(f"{path}: 'name' is {name!r}; it must be the file's own name, of a-z, 0-9 and _.")
    if info["standing"] not in STANDINGS:
        raise MethodError(f"{path}: 'standing' is {info['standing']!r}; it must be one of {', '.join(STANDINGS)}.")
    if not isinstance(info["single_stage"], bool):
        raise MethodError(f"{path}: 'single_stage' is {info['single_stage']!r}; it must be true or false.")
    if isinstance(info["order"], bool) or not isinstance(info["order"], (int, float)):
        raise MethodError(f"{path}: 'order' is {info['order']!r}; it must be a number.")
    if "network_def" not in config:
        raise MethodError(f"{path}: has no 'network_def'.")
    return Method(
        name=name,
        title=str(info["title"]),
        order=info["order"],
        published=None if info["published"] is None else str(info["published"]),
        standing=info["standing"],
        single_stage=info["single_stage"],
        reference=str(info["reference"]),
        config=path,
    )
