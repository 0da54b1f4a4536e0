# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The processes of a distributed training, with PyTorch's own calls replaced."""

from __future__ import annotations

import pytest
import torch

from noisewise.pipelines.training import processes


@pytest.fixture
def calls(monkeypatch):
    """Records connecting and disconnecting; no process is started."""
    made = []
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda backend: made.append(backend))
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: made.append("left"))
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: made.append(str(device)))
    return made


def test_a_process_alone_is_the_first_of_one():
    assert (processes.process_rank(), processes.process_count(), processes.is_main_process()) == (0, 1, True)


def test_the_second_of_two_processes_is_not_the_main_one(monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    assert (processes.process_rank(), processes.process_count(), processes.is_main_process()) == (1, 2, False)


# whether there is a GPU, the device, what is called
@pytest.mark.parametrize(("gpu", "device", "made"), [(True, "cuda:3", ["nccl", "cuda:3"]), (False, "cpu", ["gloo"])])
def test_processes_join_on_their_own_device_once(monkeypatch, calls, gpu, device, made):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert processes.local_device() == torch.device(device)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: False)
    processes.leave_processes()
    processes.join_processes(torch.device(device))
    assert calls == made
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    processes.join_processes(torch.device(device))
    processes.leave_processes()
    assert calls == [*made, *made[1:], "left"]
