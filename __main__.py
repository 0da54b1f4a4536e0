# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``noisewise`` and ``python -m noisewise``: the start of the command line."""

from __future__ import annotations

import sys

__all__ = ["main"]

INTERRUPTED = 130


def main() -> None:
    """Run the command line. Ctrl-C while it starts ends it with one line; the commands handle it from then on."""
    try:
        from noisewise.pipelines.cli.app import app

        app(prog_name="noisewise")
    except KeyboardInterrupt:
        print("interrupted.", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
