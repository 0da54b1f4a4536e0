# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The metadata of a bundle's copy, and the packages that it requires."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from importlib import metadata as installed
from typing import Any

from .modules import PACKAGE, ZooError

__all__ = ["distribution_of", "requirements", "zoo_metadata"]

# Packages with their own keys in MONAI's schema.
SCHEMA_KEYS = {"monai": "monai_version", "torch": "pytorch_version", "numpy": "numpy_version"}
# Needed for MONAI's command line and for configs in YAML.
COMMAND_LINE = ("fire", "yaml")


def zoo_metadata(metadata: Mapping[str, Any], imports: Collection[str]) -> dict[str, Any]:
    """Replace the package in a bundle's metadata with the package's own requirements.

    Args:
        metadata: the metadata of the bundle in this package.
        imports: top-level names of the packages that the scripts import.

    Returns:
        The metadata, whose ``required_packages_version`` names the packages that MONAI's command line and the scripts
        need. Versions are the bundle's, or else those of this environment, which are the tested ones.

    Raises:
        ZooError: when the version has no entry in the changelog, or a package is not installed.
    """
    if metadata.get("version") not in metadata.get("changelog", {}):
        raise ZooError(f"metadata.json: version {metadata.get('version')!r} has no entry in the changelog.")
    required = {name: version for name, version in metadata["required_packages_version"].items() if name != PACKAGE}
    owners = _owners()
    for name in sorted({*imports, *COMMAND_LINE} - SCHEMA_KEYS.keys()):
        distribution = distribution_of(name, owners, required)
        required.setdefault(distribution, installed.version(distribution))
    return {**metadata, "required_packages_version": required}


def distribution_of(name: str, owners: Mapping[str, Collection[str]], preferred: Collection[str] = ()) -> str:
    """The distribution to install for an import.

    Args:
        name: a top-level module, such as ``"PIL"``.
        owners: distributions by module, as :func:`importlib.metadata.packages_distributions` gives them.
        preferred: distributions to choose when several own the module.

    Returns:
        Its name in lower case, such as ``"pillow"``.

    Raises:
        ZooError: when no installed distribution owns it.
    """
    candidates = {owner.lower() for owner in owners.get(name, ())}
    if not candidates:
        raise ZooError(f"{name}: is imported by the scripts but not installed here, so its version is unknown.")
    return min(candidates, key=lambda owner: (owner not in preferred, owner != name, owner))


@cache
def _owners() -> Mapping[str, list[str]]:
    return installed.packages_distributions()


def requirements(metadata: Mapping[str, Any]) -> list[str]:
    """Lines of a pip requirements file, as the model zoo's CI derives them from the metadata."""
    own = {package: metadata[key] for package, key in SCHEMA_KEYS.items()}
    packages = {**own, **metadata["required_packages_version"]}
    return [f"{name}{'' if version[0] in '<>=' else '=='}{version}" for name, version in packages.items()]
