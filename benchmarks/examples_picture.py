# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw the README's picture: the shipped weights on embedded images, Gaussian noise, sigma 50, protocol physical.

    python benchmarks/examples_picture.py OUTPUT_FOLDER

The splits of the images do not matter, because the shipped weights were not trained on any embedded image.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

from PIL import Image

from noisewise.data_manifest import Manifest, build_embedded

SUBJECTS = ("wg04_mr2", "pancreas_0001", "wg04_rg3", "skimage_ihc")


def main() -> None:
    """Evaluate on the chosen images and keep the picture as examples.jpg."""
    output = Path(sys.argv[1]).resolve()
    images = {record.subject: record for record in Manifest.read(build_embedded(output / "embedded"))}
    chosen = [dataclasses.replace(images[subject], split="test") for subject in SUBJECTS]
    manifest = Manifest(chosen).write(output / "examples.csv")
    command = [sys.executable, "-m", "noisewise", "evaluate", "--manifest", str(manifest), "--output", str(output)]
    command += ["--patterns", "gaussian", "--stds", "50", "--crop", "256", "--no-noisy", "--no-track"]
    subprocess.run(command, check=True)
    Image.open(output / "picture.png").convert("RGB").save(output / "examples.jpg", quality=88)


if __name__ == "__main__":
    main()
