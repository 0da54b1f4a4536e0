# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""``python -m noisewise.pipelines.zoo``: copies of the bundles for MONAI's model zoo, built and checked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from ...bundles import bundle_path
from .bundle_copy import copy_bundle
from .environment import install_environment
from .large_files import LIMIT
from .metadata import requirements
from .modules import ZooError
from .sample import package_results, write_sample

CHECKS = Path(__file__).with_name("check_copy.py")


def zoo(
    bundle: Annotated[list[str] | None, typer.Argument(help="Names of bundles; all when none is given.")] = None,
    output: Annotated[Path, typer.Option(help="Folder of the copies.")] = Path("build/zoo"),
    environment: Annotated[Path, typer.Option(help="Environment of the checks; made if missing.")] = Path(".venv-zoo"),
    constraints: Annotated[Path | None, typer.Option(help="pip constraints of the environment.")] = None,
    schema: Annotated[Path | None, typer.Option(help="MONAI's schema of the metadata; downloaded by default.")] = None,
    limit: Annotated[float, typer.Option(help="MiB; larger files are listed by address.", min=0)] = LIMIT / 1024**2,
    check: Annotated[bool, typer.Option(help="Check the copies in the environment.")] = True,
) -> None:
    """Write a copy of each bundle that works without this package, and check it where the package is not installed."""
    try:
        names = bundle or _bundles()
        copies = {name: copy_bundle(name, output, limit=int(limit * 1024**2)) for name in names}
        for name, copy in copies.items():
            print(f"{name}: written to {copy}", flush=True)
        if check:
            _check(copies, output.resolve(), environment.absolute(), constraints, schema)
    except (ZooError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from error


def _bundles() -> list[str]:
    root = bundle_path("multimodal_denoising").parent
    return sorted(folder.name for folder in root.iterdir() if (folder / "configs" / "metadata.json").is_file())


def _check(
    copies: dict[str, Path], output: Path, environment: Path, constraints: Path | None, schema: Path | None
) -> None:
    lines: list[str] = []
    for copy in copies.values():
        lines += requirements(json.loads((copy / "configs" / "metadata.json").read_text(encoding="utf-8")))
    python = install_environment(environment, lines, constraints)
    for name, copy in copies.items():
        with TemporaryDirectory() as temporary:
            images = write_sample(Path(temporary) / "images")
            package_results(name, images, Path(temporary) / "expected")
            # -P keeps the folder of the script, which is inside the package, off the path.
            command = [str(python), "-P", str(CHECKS), str(copy), "--images", str(images)]
            command += ["--expected", str(Path(temporary) / "expected")]
            command += ["--unit-tests", str(output / "ci" / "unit_tests")]
            command += ["--large-files", str(output / "large_files" / name)]
            command += ["--schema", str(schema.absolute())] if schema else []
            if subprocess.run(command, cwd=temporary).returncode != 0:
                raise ZooError(f"{copy}: a check failed.")


if __name__ == "__main__":
    typer.run(zoo)
