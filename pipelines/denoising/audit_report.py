# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The audits of a run, in one file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from ...atomic import write_text_atomically
from .run import Outcome

__all__ = ["REPORT", "write_audit_report"]

REPORT = "audit.json"


def write_audit_report(folder: str | os.PathLike, outcomes: Iterable[Outcome], root: str | os.PathLike) -> list[str]:
    """Write ``audit.json``: a list with one line for each image, volume or series, including those of earlier runs.

    Args:
        folder: folder of the report, created if missing.
        outcomes: outcomes of the run.
        root: folder that file names are relative to.

    Returns:
        The warnings, one line each, with the name of the file.
    """
    lines, warnings = [], []
    for outcome in sorted(outcomes, key=lambda outcome: outcome.source.paths):
        audit = (outcome.record or {}).get("audit")
        if audit is None:
            continue
        name = Path(os.path.relpath(outcome.source.paths[0], root)).as_posix()
        lines.append(json.dumps({"file": name, "files": len(outcome.source.paths), **audit}))
        warnings += [f"{outcome.source.name}: {warning}" for warning in audit["warnings"]]
    write_text_atomically(Path(folder, REPORT), "[\n" + ",\n".join(lines) + "\n]\n")
    return warnings
