# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading a bundle's config: the network that it defines, and the cause of an error in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pydoc import locate
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from torch import nn

__all__ = ["network_from_config", "root_cause"]


def network_from_config(path: str | os.PathLike) -> nn.Module:
    """Build the network that a config defines.

    Args:
        path: YAML or JSON with ``network_def`` as in MONAI bundles; its references are resolved, the rest is ignored.

    Returns:
        The network, with its initial weights.

    Raises:
        ValueError: when the file cannot be read, has no ``network_def``, or ``network_def`` is not a network; the
            message names the file.
    """
    from torch import nn

    network = _plain_network(path)
    if network is not None:
        return network
    # Importing MONAI takes seconds, which a plain definition does not need.
    from monai.bundle import ConfigParser

    try:
        parser = ConfigParser(ConfigParser.load_config_file(os.fspath(path)))
    except Exception as error:
        raise ValueError(f"{path}: cannot be read as a config: {error}") from None
    if "network_def" not in parser:
        raise ValueError(f"{path}: has no 'network_def'; its keys are {', '.join(map(str, parser.get()))}.")
    try:
        network = parser.get_parsed_content("network_def")
    except Exception as error:
        raise ValueError(f"{path}: 'network_def': {root_cause(error)}") from None
    if not isinstance(network, nn.Module):
        raise ValueError(f"{path}: 'network_def' is not a network but a {type(network).__name__}.")
    return network


def _plain_network(path: str | os.PathLike) -> nn.Module | None:
    """The network, if its definition is a class of this package and plain values; None for MONAI to read the config."""
    from torch import nn

    if not os.fspath(path).endswith((".yaml", ".yml")):
        return None
    try:
        with open(path, encoding="utf-8") as file:
            definition = dict(yaml.safe_load(file)["network_def"])
        target = definition.pop("_target_")
        if not target.startswith("noisewise.networks.") or not all(map(_is_plain, definition.items())):
            return None
        network = locate(target)(**definition)
    except Exception:
        return None  # MONAI's reading of the config says what is wrong
    return network if isinstance(network, nn.Module) else None


def _is_plain(item: tuple[Any, Any]) -> bool:
    """Whether MONAI would take a key and its value as they stand: no reference, expression, macro or component."""
    key, value = item
    if isinstance(value, (Mapping, list)) or str(key).startswith("_"):
        return False
    return not isinstance(value, str) or value[:1] not in ("$", "@", "%")


def root_cause(error: BaseException) -> BaseException:
    """The error below MONAI's "Failed to evaluate ..." and "Failed to instantiate ..."."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error
