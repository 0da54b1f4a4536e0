# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The public interface has types, which mypy accepts and passes on to a user's code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import noisewise

ROOT = Path(noisewise.__file__).resolve().parent
SAMPLE = Path(__file__).with_name("typing_sample.py")


def test_mypy_accepts_the_public_interface(tmp_path):
    pytest.importorskip("mypy")
    # The folder of a checkout may have any name; mypy takes it for the package's.
    (tmp_path / "noisewise").symlink_to(ROOT)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    command += ["--cache-dir", str(tmp_path / "cache"), *settings["files"], str(SAMPLE)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "MYPYPATH": ""})
    assert done.returncode == 0, done.stdout + done.stderr
    revealed = re.findall(r'typing_sample\.py:\d+: note: Revealed type is "([^"]*)"', done.stdout)
    expected = re.findall(r"reveal_type\(.*\)  # (.*)", SAMPLE.read_text(encoding="utf-8"))
    assert len(revealed) == len(expected) > 5
    assert [given for given, name in zip(revealed, expected) if name not in given] == []


def test_the_package_says_that_it_has_types_and_names():
    assert (ROOT / "py.typed").is_file()
    assert {"Denoised", "denoise", "__version__"} <= set(dir(noisewise))
    assert set(noisewise.__all__) <= set(dir(noisewise))
