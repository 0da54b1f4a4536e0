# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""How the commands of the studies speak to their user."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import typer
from rich.console import Console
from rich.markup import escape

__all__ = ["fail", "fail_if_any", "say", "user_errors"]


class Result(Protocol):
    """One row of a study, as the libraries report it; ``outcome`` is ``"failed"`` where the row has failed."""

    name: str
    outcome: str


@contextmanager
def user_errors() -> Iterator[None]:
    """What a user can put right is said in one message, without a traceback (``NOISEWISE_TRACEBACK=1`` shows it)."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get("NOISEWISE_TRACEBACK"):
            raise
        fail(str(error))


def say(line: str) -> None:
    """Print a line to the user."""
    Console().print(escape(line), soft_wrap=True, highlight=False)


def fail(message: str) -> None:
    """End the command with an error message and exit status 1."""
    Console(stderr=True).print(f"[red]error: {escape(message)}[/red]", soft_wrap=True, highlight=False)
    raise typer.Exit(1)


def fail_if_any(results: Sequence[Result], cause: str) -> None:
    """End the command with exit status 1 when a row has failed; ``cause`` goes before the failed rows' names."""
    failed = [result.name for result in results if result.outcome == "failed"]
    if failed:
        fail(f"{cause}: {', '.join(failed)}.")
