# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading a package's ``__init__.py``, and writing one for some of the package's modules."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from pathlib import Path

__all__ = ["init_exports", "init_text", "names_used_by", "trimmed_init"]

LAZY = ("__getattr__", "__dir__")  # names that are resolved on first use belong to the whole package only


def init_text(path: Path) -> str:
    """The text of a package's ``__init__.py``, with plain imports.

    Args:
        path: an ``__init__.py``. A lazy package lists its imports in an ``__init__.pyi`` beside it.
    """
    stub = path.with_suffix(".pyi")
    return (stub if stub.is_file() else path).read_text(encoding="utf-8")


def init_exports(source: str) -> dict[str, str]:
    """The names that an ``__init__.py`` exports.

    Args:
        source: the text of the file.

    Returns:
        For each top-level name, the dotted name below the package from which it is imported, or ``""`` if the file
        defines it itself or imports it from elsewhere.
    """
    exports = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                own = node.level == 1
                exports[alias.asname or alias.name] = f"{node.module or ''}.{alias.name}".lstrip(".") if own else ""
        elif isinstance(node, ast.Import):
            exports |= {(alias.asname or alias.name).partition(".")[0]: "" for alias in node.names}
        else:
            exports |= dict.fromkeys(_defined(node), "")
    return {name: origin for name, origin in exports.items() if name not in LAZY}


def names_used_by(source: str) -> set[str]:
    """Names that an ``__init__.py`` uses itself when it is imported, rather than only exporting them."""
    return {
        node.id
        for statement in ast.parse(source).body
        if not _is_import(statement) and not _is_lazy(statement)
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def trimmed_init(source: str, kept: Collection[str]) -> str:
    """Remove the imports of missing modules from an ``__init__.py``.

    Args:
        source: the text of the file.
        kept: names of the package's modules that are kept, such as ``"two_stage"``.

    Returns:
        The text, with ``__all__`` reduced to the remaining names.
    """
    tree, lines = ast.parse(source), source.splitlines()
    used, names, listed = names_used_by(source), [], None
    for node in tree.body:
        keep = True
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            keep = any((node.module or alias.name).partition(".")[0] in kept for alias in node.names)
        elif _is_import(node):
            keep = any((alias.asname or alias.name) in {*used, "annotations"} for alias in node.names)
        elif _is_lazy(node):
            keep = False
        elif "__all__" in _defined(node):
            listed, keep = node, False
        if keep:
            names += [alias.asname or alias.name for alias in node.names] if _is_import(node) else _defined(node)
        else:
            lines[node.lineno - 1 : node.end_lineno] = [None] * (node.end_lineno - node.lineno + 1)
    if listed is not None:
        left = [name for name in ast.literal_eval(listed.value) if name in names]
        if left:
            lines[listed.lineno - 1] = "\n".join(["__all__ = [", *(f'    "{name}",' for name in left), "]"])
    text = "\n".join(line for line in lines if line is not None)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, (ast.Import, ast.ImportFrom))


def _is_lazy(node: ast.stmt) -> bool:
    """Whether a statement resolves or lists names on first use, or imports them for type checkers only."""
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return bool({*LAZY} & {*_defined(node)})
