# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Lists in error messages: the first few names "and 4 more", and an unknown name beside the known ones."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["check_known", "first_lines", "first_names", "unknown_name"]


def first_names(items: Iterable[object], shown: int) -> str:
    """Join the first items in one line.

    Args:
        items: what there is; each is shown as ``str`` shows it.
        shown: how many are named; the others are counted.

    Returns:
        Such as ``"a, b and 4 more"``.
    """
    names = [str(item) for item in items]
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def first_lines(items: Iterable[object], shown: int, rest: str = "more") -> str:
    """Join the first items, one a line.

    Args:
        items: what there is; each is shown as ``str`` shows it.
        shown: how many are named; the others are counted.
        rest: what the others are called.

    Returns:
        Lines, the last one such as ``"... and 4 more"`` where some are left.
    """
    lines = [str(item) for item in items]
    more = [f"... and {len(lines) - shown} {rest}"] if len(lines) > shown else []
    return "\n".join(lines[:shown] + more)


def unknown_name(kind: str, names: str | Iterable[object], known: Iterable[str]) -> str:
    """The message for names that nothing is known by.

    Args:
        kind: of what is named, such as ``"engine"``.
        names: the unknown one, or several.
        known: all names that would do.

    Returns:
        Such as ``"unknown engine 'warp'; choose from torch, openvino."``
    """
    names = [names] if isinstance(names, str) else list(names)
    return f"unknown {kind} {', '.join(map(repr, names))}; choose from {', '.join(known)}."


def check_known(
    kind: str, names: str | Iterable[str], known: Iterable[str], error: type[Exception] = ValueError
) -> None:
    """Refuse unknown names.

    Args:
        kind: of what is named, such as ``"engine"``.
        names: one name, or several.
        known: all names that would do.
        error: the class to raise.

    Raises:
        Exception: of class ``error``, see :func:`unknown_name`.
    """
    known = list(known)
    unknown = [name for name in ([names] if isinstance(names, str) else names) if name not in known]
    if unknown:
        raise error(unknown_name(kind, unknown, known))
