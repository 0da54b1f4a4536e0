# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The modules of the package that a set of names needs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .package_init import init_exports, init_text, names_used_by

__all__ = ["PACKAGE", "ModuleClosure", "ZooError", "module_closure"]

PACKAGE = __name__.partition(".")[0]


class ZooError(ValueError):
    """No self-contained copy of a bundle can be made; the message gives the cause."""


@dataclass
class ModuleClosure:
    """The modules, files and packages that a set of names needs.

    Attributes:
        modules: the package's modules by dotted name below the package (``"networks.nen"``; ``""`` is the package
            itself) and their files. A module's parent packages are among them.
        data_files: files in the modules' folders that they name, such as tables.
        imports: top-level names of the other packages that they import, without the standard library's.
    """

    modules: dict[str, Path] = field(default_factory=dict)
    data_files: set[Path] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)


def module_closure(names: Iterable[str], root: Path) -> ModuleClosure:
    """Find the modules that names need, and all modules that those import in turn.

    A package's ``__init__`` is not followed as a whole: only the modules that export the requested names count. Imports
    inside functions count like any others.

    Args:
        names: dotted names below the package, such as ``"networks.TwoStageDenoiser"``.
        root: the package's folder.

    Returns:
        The modules with their files, data files and other packages.

    Raises:
        ZooError: when a name does not belong to a module of the package.
    """
    return _Walk(root).run(names)


class _Walk:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.closure = ModuleClosure()
        self.resolved: set[str] = set()

    def run(self, names: Iterable[str]) -> ModuleClosure:
        for name in names:
            self.resolve(name)
        return self.closure

    def resolve(self, name: str) -> None:
        if name in self.resolved:
            return
        self.resolved.add(name)
        module, attribute = self.split(name)
        parts = module.split(".") if module else []
        for depth in range(len(parts) + 1):
            self.add(".".join(parts[:depth]))
        path = self.closure.modules[module]
        if attribute and path.name == "__init__.py":
            exports = init_exports(init_text(path))
            if attribute not in exports:
                raise ZooError(f"{path}: has no {attribute!r}.")
            if exports[attribute]:
                self.resolve(_join(module, exports[attribute]))

    def split(self, name: str) -> tuple[str, str]:
        """The module at the start of a dotted name, and the name after it."""
        parts = name.split(".") if name else []
        for depth in range(len(parts), -1, -1):
            if self.file(parts[:depth]) is not None:
                return ".".join(parts[:depth]), parts[depth] if depth < len(parts) else ""
        raise ZooError(f"{self.root}: is not a package.")

    def file(self, parts: list[str]) -> Path | None:
        path = self.root.joinpath(*parts)
        candidates = [path / "__init__.py"] + ([path.with_suffix(".py")] if parts else [])
        return next((candidate for candidate in candidates if candidate.is_file()), None)

    def add(self, module: str) -> None:
        if module in self.closure.modules:
            return
        path = self.file(module.split(".") if module else [])
        self.closure.modules[module] = path
        is_init = path.name == "__init__.py"
        source = init_text(path) if is_init else path.read_text(encoding="utf-8")
        tree = ast.parse(source, str(path))
        self.add_data_files(tree, path)
        if is_init:
            exports = init_exports(source)
            for name in names_used_by(source):
                if exports.get(name):
                    self.resolve(_join(module, exports[name]))
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.imported(alias.name)
            elif isinstance(node, ast.ImportFrom) and node.level:
                package = module.split(".")[: -node.level]
                for alias in node.names:
                    self.resolve(_join(".".join(package), node.module or "", alias.name))
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    self.imported(f"{node.module}.{alias.name}")

    def imported(self, name: str) -> None:
        top, _, rest = name.partition(".")
        if top == PACKAGE:
            self.resolve(rest)
        elif top not in sys.stdlib_module_names:
            self.closure.imports.add(top)

    def add_data_files(self, tree: ast.AST, path: Path) -> None:
        beside = {file.name: file for file in path.parent.iterdir() if file.is_file() and file.suffix != ".py"}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in beside:
                self.closure.data_files.add(beside[node.value])


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part)
