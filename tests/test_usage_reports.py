# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Nothing that noisewise does contacts another computer: each door in a fresh process whose sockets are guarded."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

# Python runs a module of this name before any other. Attempts are written down and refused.
GUARD = """
import os, socket

def guard(name, owner):
    before = getattr(owner, name)
    def refuse(*arguments, **options):
        # Sockets between processes of this computer have a path instead of a host.
        if isinstance(arguments[0], socket.socket) and arguments[0].family not in (socket.AF_INET, socket.AF_INET6):
            return before(*arguments, **options)
        with open(os.environ["ATTEMPTS"], "a") as file:
            print(name, *arguments, file=file)
        raise OSError("no network")
    setattr(owner, name, refuse)

for name in ("connect", "connect_ex", "sendto"):
    guard(name, socket.socket)
for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "create_connection"):
    guard(name, socket)
"""
# Variables by which libraries recognize tests and continuous integration, where they report nothing anyway, and those
# that turn reports off.
OURS = ("PYTEST_", "CI", "GITHUB_", "ORT_", "MLFLOW_", "DO_NOT_TRACK", "HF_HUB_", "PYTHONPATH")
COMMAND = "import sys; from noisewise.__main__ import main; sys.argv[1:] = {words!r}; main()"
PACKAGES = {"openvino": "openvino", "onnxruntime": "onnxruntime", "torch": "torch"}
FUNCTION = """
import numpy as np, noisewise
noisewise.denoise(np.zeros((24, 24), np.uint8) + np.arange(24, dtype=np.uint8))
import openvino.tools.ovc
"""
TRANSFORM = """
import monai, mlflow, torch
import noisewise
noisewise.Denoised("image")({"image": torch.rand(1, 24, 24)})
"""
TRACKING = """
import noisewise.pipelines.tracking as tracking
import mlflow
mlflow.set_tracking_uri("sqlite:///runs.db")
with mlflow.start_run():
    mlflow.log_metric("loss", 1.0)
"""


@pytest.fixture
def attempts(tmp_path):
    """Runs code in a fresh process and returns what it tried to reach."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 40), np.uint8)).save(tmp_path / "a.png")

    def run(code):
        path = [str(tmp_path / "guard"), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        environment |= {"PYTHONPATH": os.pathsep.join(path), "HOME": str(tmp_path), "ATTEMPTS": str(tmp_path / "log")}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return (tmp_path / "log").read_text().splitlines() if (tmp_path / "log").exists() else []

    return run


def test_the_guard_sees_reports(attempts):
    pytest.importorskip("openvino")
    assert attempts("import openvino, time; time.sleep(3)")


@pytest.mark.parametrize("engine", PACKAGES)
def test_the_command_contacts_no_one(attempts, tmp_path, engine):
    pytest.importorskip(PACKAGES[engine])
    words = ["denoise", "a.png", "b.png", "--engine", engine, "--precision", "float32"]
    assert attempts(COMMAND.format(words=words)) == []
    assert (tmp_path / "b.png").exists()
    # Nor does it leave anything in the home directory by which the computer could be known again.
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} <= {"guard", ".cache"}
    assert list(tmp_path.glob(".cache/*/*")) == []


@pytest.mark.parametrize("code", [FUNCTION, TRANSFORM, TRACKING], ids=["function", "transform", "tracking"])
def test_the_package_contacts_no_one(attempts, code):
    pytest.importorskip("openvino")
    assert attempts(code) == []
