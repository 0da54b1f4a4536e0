# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The documentation of a bundle's copy."""

from __future__ import annotations

import re

__all__ = ["zoo_document"]

_ONLY_PACKAGE = re.compile(r"<!-- package -->\n(?:(?!<!-- ).*\n)*<!-- zoo\n((?:(?!-->).*\n)*)-->\n")


def zoo_document(text: str, bundle: str) -> str:
    """Adapt a bundle's document to its copy.

    Args:
        text: Markdown. The part between ``<!-- package -->`` and ``<!-- zoo`` applies to the package only; in the copy
            it is replaced by the part that follows, up to ``-->``.
        bundle: the bundle's name.

    Returns:
        The Markdown, with paths relative to the bundle.
    """
    return _ONLY_PACKAGE.sub(r"\1", text).replace(f"bundles/{bundle}/", "")
