# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The code version that made a result."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["code_version"]

_PACKAGES = {"torch": "torch", "monai": "monai", "ignite": "pytorch-ignite", "mlflow": "mlflow", "numpy": "numpy"}


def code_version(package_dir: str | os.PathLike | None = None) -> dict[str, Any]:
    """Versions of the package, of its git checkout and of its main dependencies.

    Args:
        package_dir: the package's folder; that of this package when None.

    Returns:
        ``noisewise``, ``python``, ``torch``, ``monai``, ``ignite``, ``mlflow`` and ``numpy`` (version strings, None for
        packages that are not installed); ``commit`` and ``dirty`` (whether tracked files of the package differ from
        it), both None when the package is not in a git checkout.
    """
    # Imported here: the package's top level is not ready while its parts are being imported.
    from ... import __version__

    folder = Path(__file__).resolve().parents[2] if package_dir is None else Path(package_dir)
    commit, dirty = _git_state(folder)
    versions: dict[str, Any] = {"noisewise": __version__, "commit": commit, "dirty": dirty}
    versions["python"] = platform.python_version()
    for name, distribution in _PACKAGES.items():
        try:
            versions[name] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _git_state(folder: Path) -> tuple[str | None, bool | None]:
    # A virtual environment often lies inside the checkout of another project: the folder counts only if git tracks
    # its files.
    if not _git(folder, "ls-files", "--", "__init__.py"):
        return None, None
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    if not commit or changes is None:
        return None, None
    return commit, bool(changes)


def _git(folder: Path, *arguments: str) -> str | None:
    # In a git hook these variables point to another repository.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
            env=environment,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
