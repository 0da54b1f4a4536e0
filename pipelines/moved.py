# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Earlier names: importing a module or a name of it gives the one with the new name, with a warning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["MOVED", "renamed"]

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
        # After loading a module, Python takes the entry of this dictionary: both names give the same module.
        sys.modules[old] = import_module(new)


# The last finder is asked only for modules that no other finder knows.
sys.meta_path.append(_MovedModules(__package__, MOVED))


def renamed(module: str, **names: str) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that finds names by their earlier spelling, with a :class:`DeprecationWarning`.

    Args:
        module: the module's ``__name__``.
        names: new names by old ones.

    Returns:
        The function, to be assigned to ``__getattr__`` at the top level of the module.
    """

    def getattr_(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        message = f"{name} is now {names[name]}; the old name will be removed."
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return getattr(sys.modules[module], names[name])

    return getattr_
