# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""A Python environment that holds what the copies' metadata names, and not this package."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path

from .modules import ZooError

__all__ = ["TOOLS", "install_environment"]

# What the model zoo's CI itself installs beside a bundle's requirements, as far as the checks use it.
TOOLS = ("jsonschema", "parameterized")


def install_environment(folder: Path, requirements: Iterable[str], constraints: Path | None = None) -> Path:
    """Make the environment, or keep it when it was made of the same requirements.

    Args:
        folder: of the environment.
        requirements: pip requirements.
        constraints: a pip constraints file.

    Returns:
        The environment's interpreter.

    Raises:
        ZooError: when pip fails; its own message stands above.
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
        raise ZooError(f"{folder}: pip cannot install what the metadata names.")
    (folder / ".complete").touch()
    return python
