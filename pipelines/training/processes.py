# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The processes of a distributed training, on one machine: one per GPU, or several on the CPU."""

from __future__ import annotations

import os

import torch

__all__ = [
    "is_main_process",
    "join_processes",
    "leave_processes",
    "local_device",
    "process_count",
    "process_rank",
]


def process_rank() -> int:
    """The number of this process among those that train together; 0 when it trains alone."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def process_count() -> int:
    """How many processes train together; 1 when this one trains alone."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def is_main_process() -> bool:
    """Whether this process is the one that writes files and reports progress."""
    return process_rank() == 0


def local_device() -> torch.device:
    """The device of this process.

    Returns:
        The GPU whose number ``torchrun`` put into ``LOCAL_RANK``, or the CPU where there is no GPU.

    Raises:
        KeyError: when there is a GPU but no ``LOCAL_RANK``: ``torchrun`` did not start the process.
    """
    return torch.device(f"cuda:{os.environ['LOCAL_RANK']}" if torch.cuda.is_available() else "cpu")


def join_processes(device: torch.device) -> None:
    """Connect to the other processes that ``torchrun`` started, unless that was done before.

    Args:
        device: the device of this process. Processes talk through NCCL where there are GPUs, else through gloo.
    """
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    if torch.cuda.is_available():
        torch.cuda.set_device(device)


def leave_processes() -> None:
    """Disconnect from the other processes, if this one is connected."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
