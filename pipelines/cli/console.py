# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Output and errors of all commands."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import typer
from rich.console import Console

__all__ = ["FAILED", "INTERRUPTED", "USAGE", "fail", "fail_if_any", "printable", "say", "say_error", "user_errors"]

FAILED, USAGE, INTERRUPTED = 1, 2, 130
TRACEBACK = "NOISEWISE_TRACEBACK"


class Result(Protocol):
    """One row of a study, as the libraries report it; ``outcome`` is ``"failed"`` if the row has failed."""

    name: str
    outcome: str


@contextmanager
def user_errors(
    *others: type[Exception], status: int = FAILED, prefix: str = "error: ", interrupted: str = "interrupted."
) -> Iterator[None]:
    """End the command with one line for an error that its user can correct, and for Ctrl-C.

    These are ``ValueError``, ``OSError`` and ``ImportError``, also as the cause of an error of MONAI's config parser.
    The environment variable ``NOISEWISE_TRACEBACK`` shows the traceback instead. All other errors are bugs and are
    raised.

    Args:
        others: more types of errors that a user can correct.
        status: exit status after an error.
        prefix: begins the line of an error.
        interrupted: the line after Ctrl-C; the exit status is 130 then.

    Raises:
        typer.Exit: with the exit status.
    """
    try:
        yield
    except KeyboardInterrupt:
        say_error(interrupted)
        raise typer.Exit(INTERRUPTED) from None
    except typer.Exit:
        raise
    except Exception as error:
        cause = _root_cause(error)
        if os.environ.get(TRACEBACK) or not isinstance(cause, (ValueError, OSError, ImportError, *others)):
            raise
        fail(str(cause), status, prefix)


def say(line: object, style: str | None = None, console: Console | None = None) -> None:
    """Print a line to the user, without markup and line breaks.

    Args:
        line: the text.
        style: of the line, as Rich names it.
        console: where; standard output if None.
    """
    console = console or Console()
    console.print(printable(line), style=style, markup=False, highlight=False, soft_wrap=True)


def say_error(line: object, style: str = "red", console: Console | None = None) -> None:
    """Print a line to standard error, see :func:`say`."""
    say(line, style, console or Console(stderr=True))


def fail(message: str, status: int = FAILED, prefix: str = "error: ") -> None:
    """End the command with an error message.

    Args:
        message: names the cause and the remedy.
        status: exit status.
        prefix: begins the line.

    Raises:
        typer.Exit: always.
    """
    say_error(f"{prefix}{message}")
    raise typer.Exit(status)


def fail_if_any(results: Sequence[Result], cause: str) -> None:
    """End the command with exit status 1 if a row has failed; the message is ``cause`` and the failed rows' names."""
    failed = [result.name for result in results if result.outcome == "failed"]
    if failed:
        fail(f"{cause}: {', '.join(failed)}.")


def printable(text: object, lines: bool = True) -> str:
    """The text with escapes for what a terminal would obey or could not show, which file names and headers may hold.

    Args:
        text: anything.
        lines: whether line breaks stay; a name has none.

    Returns:
        The text; control characters, marks that reverse the direction of writing, and bytes that are not text are
        written as ``\\x1b`` and the like.
    """
    kept = "\n\t" if lines else ""
    shown = str(text).encode("utf-8", "backslashreplace").decode()
    return "".join(each if each in kept or _is_harmless(each) else ascii(each)[1:-1] for each in shown)


def _is_harmless(character: str) -> bool:
    # Python does not count spaces other than the common one as printable.
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _root_cause(error: Exception) -> Exception:
    if not isinstance(error, RuntimeError):
        return error
    # MONAI's config parser raises a RuntimeError from each error.
    from ..bundle.config import root_cause

    return root_cause(error)
