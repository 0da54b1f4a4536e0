# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The environment of the checks, without installing anything."""

from __future__ import annotations

import subprocess
import venv
from types import SimpleNamespace

import pytest

from noisewise.pipelines.zoo import ZooError
from noisewise.pipelines.zoo.environment import install_environment


@pytest.fixture
def pip(monkeypatch):
    """Replaces pip: keeps the requirements it gets, and returns a given status."""
    state = SimpleNamespace(installed=[], returncode=0)

    def create(self, folder):
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        (folder / "bin" / "python").touch()
        (folder / ".complete").unlink(missing_ok=True)  # the folder is emptied

    def run(command, **options):
        with open(command[command.index("--requirement") + 1], encoding="utf-8") as file:
            state.installed.append(file.read().split())
        return SimpleNamespace(returncode=state.returncode)

    monkeypatch.setattr(venv.EnvBuilder, "create", create)
    monkeypatch.setattr(subprocess, "run", run)
    return state


def test_it_is_made_once_for_the_same_requirements(tmp_path, pip):
    python = install_environment(tmp_path, ["torch==2.13.0", "fire==0.7.1"])
    assert python == tmp_path / "bin" / "python"
    assert pip.installed == [["fire==0.7.1", "jsonschema", "parameterized", "torch==2.13.0"]]
    install_environment(tmp_path, ["fire==0.7.1", "torch==2.13.0", "fire==0.7.1"])
    assert len(pip.installed) == 1
    install_environment(tmp_path, ["fire==0.7.2", "torch==2.13.0"])
    assert len(pip.installed) == 2


def test_a_failed_installation_is_told_and_repeated(tmp_path, pip):
    pip.returncode = 1
    with pytest.raises(ZooError, match="pip cannot install"):
        install_environment(tmp_path, ["fire==0.7.1"])
    pip.returncode = 0
    install_environment(tmp_path, ["fire==0.7.1"])
    assert len(pip.installed) == 2
