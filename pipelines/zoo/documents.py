# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The documentation of a bundle's copy."""

from __future__ import annotations

import re

__all__ = ["zoo_document"]

_ONLY_PACKAGE = re.compile(r"<!-- package -->\n(?:(?!<!-- ).*\n)*<!-- zoo\n((?:(?!-->).*\n)*)-->\n")


def zoo_document(text: str, bundle: str) -> str:
    """A document of a bundle as its copy has it.

    Args:
        text: Markdown. What stands between ``<!-- package -->`` and ``<!-- zoo`` is true of the package alone; what
            follows up to ``-->`` takes its place in the copy.
        bundle: the bundle's name.

    Returns:
        The Markdown, its paths relative to the bundle.
    """
    return _ONLY_PACKAGE.sub(r"\1", text).replace(f"bundles/{bundle}/", "")
