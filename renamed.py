# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Earlier names of arguments and attributes: they still work, with a DeprecationWarning."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["renamed_arguments", "renamed_attribute"]

Function = TypeVar("Function", bound=Callable[..., Any])


def renamed_arguments(**new_names: str) -> Callable[[Function], Function]:
    """Let a function take keyword arguments by their earlier names too.

    Args:
        new_names: the new name of each earlier one, such as ``licence="license"``.

    Returns:
        A decorator.

    Raises (of a call):
        TypeError: when an argument is given by both names.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            for old in new_names.keys() & kwargs.keys():
                new = new_names[old]
                if new in kwargs:
                    raise TypeError(f"{function.__qualname__} got both '{new}' and its earlier name '{old}'.")
                _warn(f"argument '{old}'", new)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate


def renamed_attribute(old: str, new: str) -> property:
    """A read-only attribute under its earlier name.

    Args:
        old: the earlier name, for the warning.
        new: the attribute that it reads.

    Returns:
        A property, to be assigned to ``old`` in the class.
    """

    def read(self: Any) -> Any:
        _warn(f"attribute '{old}'", new)
        return getattr(self, new)

    return property(read, doc=f"The earlier name of :attr:`{new}`.")


def _warn(what: str, new: str) -> None:
    warnings.warn(f"the {what} is now '{new}'; the old name will be removed.", DeprecationWarning, stacklevel=3)
