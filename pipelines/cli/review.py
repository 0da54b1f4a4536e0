# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise review``: one page that shows what was removed, for results that are there already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .console import FAILED, fail, say, say_error, user_errors

__all__ = ["review"]


def review(
    results_path: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="A folder of results of noisewise denoise, or a single result.")
    ],
    input_path: Annotated[
        Path | None,
        typer.Option(
            "--input",
            help="The images that were denoised, by the same names; by default the folder that the record of the "
            "results names. A single result has no record and needs it.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The page; by default report.html beside the audit of the results.")
    ] = None,
    megabytes: Annotated[int, typer.Option(help="Limit of its pictures; the table lists all images.", min=1)] = 32,
) -> None:
    """Write one HTML page with each image before and after, what was removed, and the audit's findings.

    The page needs no server and no network. Results without an audit are audited from their files.
    """
    errors = Console(stderr=True)
    with user_errors():
        if not results_path.exists():
            raise ValueError(f"{results_path}: no such file or folder.")
        from rich.progress import track

        from ..denoising import review as pages
        from ..formats.quiet import quiet_libraries

        results, page = _find(results_path, input_path)
        audited, failed = [], False
        with quiet_libraries():
            quiet = not errors.is_terminal
            for result in track(results, "images", console=errors, transient=True, disable=quiet):
                try:
                    audited.append(pages.audit_result(result))
                except (OSError, ValueError) as error:
                    failed = True
                    say_error(error, console=errors)
            if not audited:
                fail(f"{results_path}: no result could be read.")
            page = pages.write_review(output or page, audited, megabytes * 2**20)
    say(f"review: {page}")
    if failed:
        raise typer.Exit(FAILED)


def _find(results_path: Path, input_path: Path | None) -> tuple[list, Path]:
    """The results, and the place of their page."""
    from ..denoising import review as pages

    if pages.has_record(results_path):
        found = pages.results_in_folder(results_path, input_path)
        if not found:
            raise ValueError(f"{results_path}: its record lists no finished image.")
        return found, pages.default_page(results_path)
    if input_path is None:
        raise ValueError(f"{results_path}: holds no record of noisewise denoise; name the images by --input.")
    found, folder = pages.results_by_name(input_path, results_path)
    return found, folder / pages.PAGE
