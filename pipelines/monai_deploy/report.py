# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Results and failures of the series, reported as they happen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..denoising.jobs import JobRecord
from ..denoising.run import failures_of
from ..denoising.sources import Source
from ..engines.base import EngineError

__all__ = ["RunReport"]


@dataclass
class RunReport:
    """Results and failures of one run. A failure of one series does not stop the others.

    Attributes:
        records: records of the denoised series.
        failures: one line each.
    """

    records: list[JobRecord] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def collecting(self, source: Source) -> Iterator[None]:
        """Catch the errors of a source, and print one line each to stderr.

        Args:
            source: the source.

        Raises:
            EngineError: since it concerns all sources.
        """
        try:
            yield
        except EngineError:
            raise
        except Exception as error:
            for path, cause in failures_of(error, source):
                self.fail(f"{path}: {cause}")

    def fail(self, line: str) -> None:
        """Record and print a failure."""
        self.failures.append(line)
        print(f"error: {line}", file=sys.stderr)

    def finish(self, record: JobRecord) -> None:
        """Record that a series is denoised, and which of its files could not be read."""
        self.records.append(record)
        for path, cause in record.lost:
            self.fail(f"{path}: {cause}")
