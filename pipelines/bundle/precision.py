# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The precision in which a device computes natively."""

from __future__ import annotations

import torch

__all__ = ["has_native_bfloat16", "native_amp_dtype"]


def has_native_bfloat16(device: str | torch.device = "cpu") -> bool:
    """Whether a device computes in bfloat16 natively. Emulated bfloat16 was ten times slower than float32 on a CPU.

    Args:
        device: ``"cpu"``, ``"cuda"``, ...

    Returns:
        True for CUDA GPUs since Ampere, and for CPUs with AVX-512 BF16 or AMX instructions.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def native_amp_dtype(device: str | torch.device = "cpu") -> str | None:
    """The ``amp_dtype`` that makes a device faster.

    Args:
        device: ``"cpu"``, ``"cuda"``, ...

    Returns:
        ``"bfloat16"`` where the device has it natively, else None for float32.
    """
    return "bfloat16" if has_native_bfloat16(device) else None
