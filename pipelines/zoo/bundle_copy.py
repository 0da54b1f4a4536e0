# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Writing the self-contained copy of a bundle."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ...bundles import bundle_path
from .documents import zoo_document
from .large_files import LIMIT, move_large_files
from .metadata import zoo_metadata
from .modules import ModuleClosure, ZooError, module_closure
from .package_init import init_text, trimmed_init
from .references import SCRIPTS, config_references, document_references, rewrite_config, rewrite_references

__all__ = ["LEFT_OUT", "copy_bundle"]

# Overlays for the comparison of methods and for the paper's budget, which need commands of the package
# (`noisewise reproduce`, `noisewise manifest preset`), and for scores through `noisewise.denoise`. The compared methods
# in configs/methods are left out, too.
LEFT_OUT = ("equal_budget.yaml", "paper.yaml", "single_stage.yaml", "through_product.yaml")
# The zoo's flake8 requires zip(strict=), !r and exceptions that pass on all arguments; this project's style does not.
STYLE = "# flake8: noqa: B042,B905,B907\n"
LICENSE_LINE = "# SPDX-License-Identifier: Apache-2.0\n"
NEEDED = ("LICENSE", "configs/metadata.json", "configs/logging.conf", "docs/README.md", "models/model.pt")
NOT_NEEDED = {"bundles.bundle_path"}  # the copy's own folder takes its place
UNIT_TESTS = Path(__file__).with_name("unit_tests")


def copy_bundle(name: str, output: str | os.PathLike, torchscript: bool = True, limit: int = LIMIT) -> Path:
    """Write a copy of a bundle that works without this package, as MONAI's model zoo requires.

    The package's modules that the configs need are copied to ``scripts``, to which the copy's configs refer.

    Args:
        name: the bundle's folder name.
        output: the folder that gets ``<name>``, complete or not at all, in place of an earlier copy; also
            ``ci/unit_tests/test_<name>.py`` for the zoo's own ``ci`` folder, if the bundle has such a test, and
            ``large_files/<name>`` if files are larger than ``limit``.
        torchscript: whether ``models/model.ts`` is exported from the copy.
        limit: largest size of a file in bytes; larger files are listed in ``large_files.yml`` instead.

    Returns:
        The copy's folder.

    Raises:
        FileNotFoundError: when there is no such bundle.
        ZooError: when files are missing, when a config needs something that cannot be copied, or when the export fails.
    """
    bundle, output = bundle_path(name), Path(output).resolve()
    missing = [file for file in NEEDED if not (bundle / file).is_file()]
    if missing:
        raise ZooError(f"{name}: has no {', '.join(missing)}.")
    copy = output / f".{name}.tmp"
    shutil.rmtree(copy, ignore_errors=True)
    try:
        (copy / "configs").mkdir(parents=True)
        names = _copy_configs(bundle, copy) | _copy_documents(bundle, copy)
        closure = module_closure(names, bundle.parents[1])
        if "bundles" in closure.modules:
            raise ZooError(f"{name}: its scripts refer to the package's own bundles.")
        _copy_scripts(closure, bundle.parents[1], copy / SCRIPTS)
        _write_metadata(bundle, copy, closure)
        shutil.copytree(bundle / "models", copy / "models")
        if torchscript:
            _export(copy)
        shutil.rmtree(output / "large_files" / name, ignore_errors=True)
        move_large_files(copy, output / "large_files" / name, limit)
        shutil.rmtree(output / name, ignore_errors=True)
        copy.rename(output / name)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    for test in (UNIT_TESTS / f"test_{name}.py", UNIT_TESTS / f"test_{name}_dist.py"):
        if test.is_file():
            (output / "ci" / "unit_tests").mkdir(parents=True, exist_ok=True)
            shutil.copy(test, output / "ci" / "unit_tests")
    return output / name


def _copy_configs(bundle: Path, copy: Path) -> set[str]:
    """Write the configs; returns the names of the package that they need."""
    references: set[str] = set()
    for path in sorted((bundle / "configs").iterdir()):
        if path.is_dir() or path.name in LEFT_OUT or path.name == "metadata.json":
            continue
        text = path.read_text(encoding="utf-8")
        references |= config_references(text)
        (copy / "configs" / path.name).write_text(rewrite_config(text, path.name, bundle.name), encoding="utf-8")
    return references - NOT_NEEDED


def _copy_scripts(closure: ModuleClosure, root: Path, target: Path) -> None:
    for module, path in closure.modules.items():
        text = path.read_text(encoding="utf-8")
        if path.name == "__init__.py":
            prefix = f"{module}." if module else ""
            text = trimmed_init(
                init_text(path), {name.removeprefix(prefix) for name in closure.modules if name.startswith(prefix)}
            )
        written = target / path.relative_to(root)
        written.parent.mkdir(parents=True, exist_ok=True)
        text = rewrite_references(text).replace(LICENSE_LINE, LICENSE_LINE + STYLE, 1)
        written.write_text(text, encoding="utf-8")
    for path in closure.data_files:
        shutil.copy(path, target / path.relative_to(root))


def _write_metadata(bundle: Path, copy: Path, closure: ModuleClosure) -> None:
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    text = json.dumps(zoo_metadata(metadata, closure.imports), indent=4, ensure_ascii=False)
    (copy / "configs" / "metadata.json").write_text(f"{text}\n", encoding="utf-8")


def _copy_documents(bundle: Path, copy: Path) -> set[str]:
    """Write license and documents; returns the names of the package that they mention."""
    references: set[str] = set()
    shutil.copy(bundle / "LICENSE", copy)
    shutil.copytree(bundle / "docs", copy / "docs")
    for path in (copy / "docs").glob("*.md"):
        text = zoo_document(path.read_text(encoding="utf-8"), bundle.name)
        references |= document_references(text)
        path.write_text(text, encoding="utf-8")
    return references


def _export(copy: Path) -> None:
    """Export ``models/model.ts`` from the copy itself, since the file contains the configs and the metadata."""
    inference = next(path for path in sorted((copy / "configs").iterdir()) if path.stem == "inference")
    command = [sys.executable, "-m", "monai.bundle", "ckpt_export", "--net_id", "network_def"]
    command += ["--filepath", "models/model.ts", "--ckpt_file", "models/model.pt"]
    command += ["--meta_file", "configs/metadata.json", "--config_file", f"configs/{inference.name}"]
    # The current folder comes first on the path of `python -m`: `scripts` is the copy's.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    if done.returncode != 0 or not (copy / "models" / "model.ts").is_file():
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise ZooError(f"{copy.name}: the export to TorchScript failed: {last}")
