# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A Python environment with the packages that the copies' metadata names, but without this one."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path

from .modules import ZooError

__all__ = ["TOOLS", "install_environment"]

# Packages that the model zoo's CI installs in addition to a bundle's requirements and that the checks use.
TOOLS = ("jsonschema", "parameterized")


def install_environment(folder: Path, requirements: Iterable[str], constraints: Path | None = None) -> Path:
    """Make the environment, or keep it if it was made with the same requirements.

    Args:
        folder: the environment's folder.
        requirements: pip requirements.
        constraints: a pip constraints file.

    Returns:
        The environment's interpreter.

    Raises:
        ZooError: when pip fails; pip's own message is printed before.
    """
    wanted = "\n".join([*sorted({*requirements, *TOOLS}), ""])
    python, stamp = folder / "bin" / "python", folder / "requirements.txt"
    if python.exists() and (folder / ".complete").exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"installing {folder}", flush=True)
    venv.EnvBuilder(clear=True, with_pip=True).create(folder)
    stamp.write_text(wanted, encoding="utf-8")
    command = [str(python), "-m", "pip", "install", "-qq", "--requirement", str(stamp)]
    command += ["--constraint", str(constraints)] if constraints else []
    if subprocess.run(command, stdout=sys.stderr).returncode != 0:
        raise ZooError(f"{folder}: pip cannot install the packages that the metadata names.")
    (folder / ".complete").touch()
    return python
