# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import platform
import shutil
import subprocess

import monai
import pytest
import torch

import noisewise
from noisewise.pipelines.tracking import code_version


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("venv/\n")
    (tmp_path / "__init__.py").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "x")
    return tmp_path


def test_versions_of_what_is_installed(tmp_path):
    version = code_version(tmp_path)
    assert version["noisewise"] == noisewise.__version__
    assert version["torch"] == torch.__version__
    assert version["monai"] == monai.__version__
    assert version["python"] == platform.python_version()
    assert {"ignite", "mlflow", "numpy"} <= set(version) and all(version[k] for k in ("ignite", "mlflow", "numpy"))
    assert version["commit"] is None and version["dirty"] is None


def test_commit_and_changes(checkout, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as in a hook of another repository
    assert code_version(checkout)["dirty"] is False
    (checkout / "notes.txt").write_text("untracked")
    assert code_version(checkout)["dirty"] is False
    (checkout / "__init__.py").write_text("x = 1\n")
    monkeypatch.delenv("GIT_DIR")
    assert code_version(checkout)["commit"] == git(checkout, "rev-parse", "HEAD")
    assert code_version(checkout)["dirty"] is True


def test_a_package_installed_inside_another_checkout_has_no_commit(checkout):
    package = checkout / "venv" / "noisewise"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    assert code_version(package)["commit"] is None
