# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""What became of the series, told as it happens."""

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
    """Results and failures of one run; no failure of one series stops the others.

    Attributes:
        records: of the series that were denoised.
        failures: one line each.
    """

    records: list[JobRecord] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def collecting(self, source: Source) -> Iterator[None]:
        """Note what goes wrong with a source, in one line on stderr, and go on.

        Args:
            source: what is worked on.

        Raises:
            EngineError: which concerns all of them.
        """
        try:
            yield
        except EngineError:
            raise
        except Exception as error:
            for path, cause in failures_of(error, source):
                self.fail(f"{path}: {cause}")

    def fail(self, line: str) -> None:
        """Note that something could not be denoised, and why."""
        self.failures.append(line)
        print(line, file=sys.stderr)

    def finish(self, record: JobRecord) -> None:
        """Note that a series is denoised, and which of its files could not be read."""
        self.records.append(record)
        for path, cause in record.lost:
            self.fail(f"{path}: {cause}")
