# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A checksum of a network's structure and settings."""

from __future__ import annotations

import hashlib
from typing import Any

from torch import nn

__all__ = ["network_digest"]

DIGITS = 16


def network_digest(network: nn.Module) -> str:
    """Compute a checksum of a network's structure and settings, without its weights.

    The same weights give different images in a network with, say, another output activation. A table that recognized
    methods by their weights alone would mix the two.

    Args:
        network: any module. The checksum covers the name, the class and the public attributes with plain values of the
            module and of all modules inside it.

    Returns:
        16 hexadecimal digits, the same in every process and on every device.
    """
    lines = []
    for name, module in network.named_modules():
        settings = {
            key: value
            for key, value in sorted(vars(module).items())
            if not key.startswith("_") and key != "training" and _is_plain(value)
        }
        lines.append(f"{name} {type(module).__module__}.{type(module).__qualname__} {settings}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:DIGITS]


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(_is_plain(part) for part in value)
    return value is None or isinstance(value, (bool, int, float, str))
