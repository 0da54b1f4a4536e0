# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise where``: the folders of the bundles, which an installed package keeps out of sight."""

from __future__ import annotations

from typing import Annotated

import typer

from ...bundles import bundle_names, bundle_path
from .console import say, user_errors

__all__ = ["where"]


def where(
    bundle: Annotated[str | None, typer.Argument(help="Name of a bundle; lists all by default.")] = None,
) -> None:
    """Print the folder of a bundle, for commands that need its configs or weights."""
    with user_errors():
        if bundle is not None:
            say(bundle_path(bundle))
            return
        for name in bundle_names():
            say(f"{name}: {bundle_path(name)}")
