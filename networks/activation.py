# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The activations that may follow a network's last convolution."""

from __future__ import annotations

from torch import nn

__all__ = ["output_activation"]

_ACTIVATIONS = {"linear": nn.Identity, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def output_activation(name: str) -> nn.Module:
    """Build an output activation.

    Args:
        name: ``"linear"``, ``"sigmoid"`` or ``"tanh"``.

    Returns:
        The module; ``"linear"`` gives an identity.

    Raises:
        ValueError: when the name is not one of these.
    """
    if name not in _ACTIVATIONS:
        raise ValueError(f"activation must be one of {sorted(_ACTIVATIONS)}, got {name!r}.")
    return _ACTIVATIONS[name]()
