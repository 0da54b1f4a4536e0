# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Earlier names of modules that configs and documents name: importing one gives the module under its new name."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["MOVED"]

MOVED = {
    "conditions": "evaluation.conditions",
    "denoising.audit": "audit.residual",
    "denoising.audit_picture": "audit.picture",
    "denoising.options": "denoising.settings",
    "inference": "bundle.inference_items",
    "inferer": "bundle.inferer",
    "precision": "bundle.precision",
    "preflight": "bundle.preflight",
    "weights": "bundle.weights",
}
"""Old and new names, below ``noisewise.pipelines``."""


class _MovedModules(MetaPathFinder, Loader):
    """Finds modules by their old names, and warns."""

    def __init__(self, package: str, moved: dict[str, str]) -> None:
        self.names = {f"{package}.{old}": f"{package}.{new}" for old, new in moved.items()}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in self.names else None

    def exec_module(self, module: ModuleType) -> None:
        old, new = module.__name__, self.names[module.__name__]
        warnings.warn(f"{old} is now {new}; the old name will be removed.", DeprecationWarning, stacklevel=2)
        # Python takes what stands here after a module was loaded: both names mean the same module.
        sys.modules[old] = import_module(new)


# The last finder: asked only for what is nowhere else.
sys.meta_path.append(_MovedModules(__package__, MOVED))
