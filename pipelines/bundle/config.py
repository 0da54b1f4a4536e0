# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading a bundle's config: the network that it defines, and the cause of an error in it."""

from __future__ import annotations

import os

from monai.bundle import ConfigParser
from torch import nn

__all__ = ["network_from_config", "root_cause"]


def network_from_config(path: str | os.PathLike) -> nn.Module:
    """Build the network that a config defines.

    Args:
        path: YAML or JSON with ``network_def`` as in MONAI bundles; what it refers to is resolved, the rest is ignored.

    Returns:
        The network, with its initial weights.

    Raises:
        ValueError: when the file cannot be read, has no ``network_def`` or that is no network; the message names the
            file.
    """
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
        raise ValueError(f"{path}: 'network_def' is no network but a {type(network).__name__}.")
    return network


def root_cause(error: BaseException) -> BaseException:
    """The error below MONAI's "Failed to evaluate ..." and "Failed to instantiate ..."."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error
