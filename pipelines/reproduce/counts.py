# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The counted cost of a network: parameters, multiply-accumulates, and the memory that torchsummary estimates."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ...networks import GatedDenseTrunk

__all__ = ["NetworkCounts", "count_network"]

BYTES = 4  # float32
MEGABYTE = 2**20
# Modules that only group others or pass their input on. In the authors' layout the trunk is not a module: its layers
# are in the networks themselves.
GROUPS = (nn.Sequential, nn.ModuleList, nn.Identity, GatedDenseTrunk)


@dataclass(frozen=True)
class NetworkCounts:
    """Counts of one network on one input.

    Attributes:
        parameters: the number of trainable parameters.
        convolution_macs: multiply-accumulates of the convolutions, transposed ones included, without their biases, as
            the paper's Table VII counts them.
        other_macs: those of matrix products (attention, fully connected layers). Element-wise operations and
            normalizations are not counted.
        memory_mb: MiB of the input, all modules' outputs twice (forward and backward) and the parameters, in float32,
            as torchsummary and the paper estimate it. The memory in actual use differs.
    """

    parameters: int
    convolution_macs: int
    other_macs: int
    memory_mb: float


def count_network(network: nn.Module, *shapes: Sequence[int]) -> NetworkCounts:
    """Count a network's parameters, multiply-accumulates and memory.

    Nothing is computed: a copy runs on PyTorch's ``meta`` device, where tensors have shapes but no values.

    Args:
        network: any module.
        shapes: shapes of its inputs, batch and channels first, such as ``(1, 3, 256, 256)``. The memory
            estimate counts only the first input, as the paper's does.

    Returns:
        The counts.
    """
    copied = copy.deepcopy(network).to("meta").eval()
    inputs = [torch.empty(*shape, device="meta") for shape in shapes]
    elements = 0

    def add(module: nn.Module, arguments: object, output: torch.Tensor | Sequence[torch.Tensor]) -> None:
        nonlocal elements
        outputs = output if isinstance(output, (tuple, list)) else (output,)
        elements += sum(tensor.numel() for tensor in outputs)

    for module in copied.modules():
        if module is not copied and not isinstance(module, GROUPS):
            module.register_forward_hook(add)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        copied(*inputs)
    # Two operations, a multiplication and an addition, make one multiply-accumulate.
    macs = {str(operation): flops // 2 for operation, flops in counter.get_flop_counts()["Global"].items()}
    convolutions = sum(count for operation, count in macs.items() if "convolution" in operation)
    parameters = sum(tensor.numel() for tensor in network.parameters() if tensor.requires_grad)
    stored = sum(tensor.numel() for tensor in network.parameters())
    return NetworkCounts(
        parameters=parameters,
        convolution_macs=convolutions,
        other_macs=sum(macs.values()) - convolutions,
        memory_mb=BYTES * (inputs[0].numel() + 2 * elements + stored) / MEGABYTE,
    )
