# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The command answers at once: each command in a fresh process imports only the libraries that it needs."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import numpy as np
import pytest
import typer
from PIL import Image

from noisewise.data_manifest import PRESETS
from noisewise.pipelines.cli.app import app
from noisewise.pipelines.low_dose_ct.references import FOLD_REFERENCES
from noisewise.pipelines.reproduce.scoring import SHIPPED
from noisewise.transforms import PATTERNS, PROTOCOLS

# They take seconds to import; MONAI alone imports all of the others.
SLOW = ["monai", "mlflow", "ignite", "pandas", "matplotlib.pyplot", "sklearn"]
READERS = ["torch", "SimpleITK", "nibabel", "pydicom", "tifffile", "scipy"]
PROBE = """
import json, sys
from noisewise.__main__ import main
sys.argv = ["noisewise", *sys.argv[1:]]
try:
    main()
finally:
    print(json.dumps([name for name in {names} if name in sys.modules]), file=sys.stderr)
"""
ANSWERS = {
    "help": (["--help"], 0),
    "version": (["--version"], 0),
    "a command's help": (["denoise", "--help"], 0),
    "a sub-help": (["reproduce", "--help"], 0),
    "a help below": (["low-dose-ct", "evaluate", "--help"], 0),
    "another help": (["manifest", "build", "--help"], 0),
    "the longest help": (["evaluate", "--help"], 0),
    "the demo's help": (["mlflow-demo", "--help"], 0),
    "a typo": (["denoize"], 2),
    "a missing file": (["denoise", "nowhere", "out"], 2),
    "a missing folder": (["review", "nowhere"], 1),
    "a wrong suffix": (["denoise", "a.png", "b.jpg"], 2),
    "a wrong size": (["denoise", "a.png", "b.png", "--memory", "much"], 2),
}


@pytest.fixture(autouse=True)
def picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)).save("a.png")


def imported_by(words, names):
    """Exit status of a command in a fresh process, and which of some modules it has imported."""
    command = [sys.executable, "-c", PROBE.format(names=names), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, json.loads(done.stderr.splitlines()[-1])


def cpu_seconds(*arguments):
    """User time of a process: it depends little on what else the computer does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([sys.executable, *arguments], capture_output=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


@pytest.mark.parametrize(("words", "status"), ANSWERS.values(), ids=ANSWERS)
def test_help_and_refusals_import_no_slow_library(words, status):
    assert imported_by(words, SLOW + READERS) == (status, [])


def test_a_picture_is_denoised_without_monai():
    assert imported_by(["denoise", "a.png", "b.png"], [*SLOW, "nibabel", "pydicom", "torch"]) == (0, ["torch"])


def test_help_takes_less_time_than_importing_torch():
    torch = max(cpu_seconds("-c", "import torch") for _ in range(2))
    assert min(cpu_seconds("-m", "noisewise", "--help") for _ in range(2)) < 0.7 * torch
    assert min(cpu_seconds("-m", "noisewise", "denoise", "nowhere", "out") for _ in range(2)) < 0.7 * torch


@pytest.mark.parametrize(("module", "words"), [("typer", ["--help"]), ("torch", ["denoise", "a.png", "b.png"])])
def test_ctrl_c_during_startup_is_one_line(tmp_path, module, words):
    (tmp_path / f"{module}.py").write_text("raise KeyboardInterrupt\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv[1:] = {words!r}\n"
    code += "from noisewise.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.startswith("interrupted") and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "option", "names"),
    [
        ("evaluate", "patterns", PATTERNS),
        ("evaluate", "protocol", PROTOCOLS),
        ("manifest preset", "name", PRESETS),
        ("reproduce evaluate", "only", SHIPPED),
        ("low-dose-ct evaluate", "only", FOLD_REFERENCES),
    ],
)
def test_help_names_all_choices(words, option, names):
    """Help spells them out, since importing them takes long."""
    command = typer.main.get_command(app)
    for word in words.split():
        command = command.commands[word]
    text = next(each.help for each in command.params if each.name == option)
    assert [name for name in names if name not in text] == []
