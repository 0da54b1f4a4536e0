# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
import torch

from noisewise.pipelines.bundle.precision import has_native_bfloat16, native_amp_dtype


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="the processor's flags are read from Linux")
def test_agrees_with_the_processors_flags():
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    assert has_native_bfloat16() == ("avx512_bf16" in flags or "amx_tile" in flags)


@pytest.mark.parametrize(("native", "expected"), [(True, "bfloat16"), (False, None)])
def test_amp_dtype_follows_the_device(monkeypatch, native, expected):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert native_amp_dtype("cpu") == expected
