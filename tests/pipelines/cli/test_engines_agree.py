# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The files of two engines: docs/monai_deploy.md states how far they may differ."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from noisewise.pipelines.cli.app import app


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm"])
def test_files_of_two_engines_differ_in_few_pixels_by_one(tmp_path, engine, name):
    pytest.importorskip(engine)
    pixels = {}
    for used in ("torch", engine):
        output = tmp_path / f"{used}.dcm"
        arguments = ["denoise", get_testdata_file(name), str(output), "--engine", used, "--precision", "float32"]
        result = CliRunner().invoke(app, [*arguments, "--device", "cpu"])
        assert result.exit_code == 0, result.output
        pixels[used] = pydicom.dcmread(output).pixel_array.astype(np.int64)
    assert not np.array_equal(pixels["torch"], pydicom.dcmread(get_testdata_file(name)).pixel_array)
    difference = np.abs(pixels["torch"] - pixels[engine])
    assert difference.max() <= 1
    assert np.count_nonzero(difference) <= 5  # of 16,384 and of 4,096
