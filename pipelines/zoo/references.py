# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Finding references to the package in configs and code, and redirecting them to the bundle's own ``scripts``."""

from __future__ import annotations

import re

from .modules import PACKAGE, ZooError

__all__ = ["SCRIPTS", "document_references", "config_references", "rewrite_config", "rewrite_references"]

SCRIPTS = "scripts"  # MONAI's name for the folder of a bundle's own code

_NAMES = r"((?:\.\w+)*)\s+import\s+(\w+(?:\s+as\s+\w+)?(?:\s*,\s*\w+(?:\s+as\s+\w+)?)*)"
_IMPORT = re.compile(rf"from\s+{PACKAGE}{_NAMES}")
_SCRIPT_IMPORT = re.compile(rf"from\s+{SCRIPTS}{_NAMES}")
_DOTTED = re.compile(rf"(?<![\w./-]){PACKAGE}((?:\.[A-Za-z_]\w*)+)")
_LEFT = re.compile(rf"(?:from|import)\s+{PACKAGE}\b|_target_:\s*['\"]?{PACKAGE}\b")
_OWN_PATH = re.compile(rf"^\s*- \$from {PACKAGE}\.bundles import bundle_path\n", re.M)
_BUNDLE_ROOT = re.compile(r"^bundle_root:.*$", re.M)
_EXPERIMENT = re.compile(rf"^experiment_name: {PACKAGE}\b", re.M)


def config_references(text: str) -> set[str]:
    """Find the names of the package to which a config refers.

    Args:
        text: a config file's text.

    Returns:
        Dotted names below the package, such as ``"networks.TwoStageDenoiser"``; comments do not count.
    """
    text = _without_comments(text)
    dotted = {match[1].lstrip(".") for match in _DOTTED.finditer(_IMPORT.sub("", text))}
    return dotted | _imported(_IMPORT, text)


def document_references(text: str) -> set[str]:
    """Find the dotted names that a document tells readers to import from the copy's ``scripts``."""
    return _imported(_SCRIPT_IMPORT, text)


def rewrite_references(text: str) -> str:
    """Rewrite ``noisewise.x.y`` as ``scripts.x.y``; a bare ``noisewise``, a name in prose, stays."""
    return _DOTTED.sub(rf"{SCRIPTS}\1", text)


def rewrite_config(text: str, name: str, bundle: str) -> str:
    """Rewrite a config so that it finds its code and its bundle without the package.

    Args:
        text: the config's text.
        name: the config's name, for the error.
        bundle: the bundle's name.

    Returns:
        The config, with the current folder as ``bundle_root``, which is the model zoo's custom, and with the bundle's
        name for MLflow's experiment.

    Raises:
        ZooError: when a reference to the package would remain.
    """
    text = _BUNDLE_ROOT.sub("bundle_root: .", _OWN_PATH.sub("", text))
    rewritten = rewrite_references(_EXPERIMENT.sub(f"experiment_name: {bundle}", text))
    code = _without_comments(rewritten)
    if _LEFT.search(code) or "bundle_path" in code:
        raise ZooError(f"{name}: refers to the package in a way that cannot be rewritten for the copy.")
    return rewritten


def _imported(pattern: re.Pattern[str], text: str) -> set[str]:
    return {
        f"{match[1]}.{name.split()[0]}".lstrip(".") for match in pattern.finditer(text) for name in match[2].split(",")
    }


def _without_comments(text: str) -> str:
    """In YAML a comment begins a line or follows a space; ``#`` within a config id never does."""
    return re.sub(r"(^|\s)#\s.*$", "", text, flags=re.M)
