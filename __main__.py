# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``python -m noisewise``: the same as the command ``noisewise``."""

from noisewise.pipelines.cli.app import app

if __name__ == "__main__":
    app(prog_name="noisewise")
