# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Which part of the package may import which: the source is read, nothing is imported."""

from __future__ import annotations

import ast
import os
import tomllib
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "noisewise"
PIPELINES = f"{PACKAGE}.pipelines"
# Folders that hold packages of others, or copies of this one.
ELSEWHERE = {"build", "dist", "runs", "tests", "benchmarks", "docs"}


class Source(NamedTuple):
    """A file of the package: its text, and whether it is a package's ``__init__.py``."""

    text: str
    is_package: bool = False


def listed_packages() -> set[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return set(settings["tool"]["setuptools"]["packages"])


def folders_with_init() -> set[str]:
    found = set()
    for folder, below, files in os.walk(ROOT):
        below[:] = [name for name in below if not name.startswith(".") and name not in ELSEWHERE]
        if "__init__.py" in files:
            found.add(".".join((PACKAGE, *Path(folder).relative_to(ROOT).parts)))
    return found


def read_sources() -> dict[str, Source]:
    sources = {}
    for package in listed_packages():
        folder = ROOT.joinpath(*package.split(".")[1:])
        for path in folder.glob("*.py"):
            is_package = path.name == "__init__.py"
            name = package if is_package else f"{package}.{path.stem}"
            sources[name] = Source(path.read_text(encoding="utf-8"), is_package)
    return sources


def targets(name: str, source: Source) -> Iterator[tuple[str, str]]:
    """The names that a file imports, wherever in it, as (module, name); ``import a.b`` has an empty second part."""
    for node in ast.walk(ast.parse(source.text)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = name.split(".") if source.is_package else name.split(".")[:-1]
            base = above[: len(above) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((module, alias.name) for alias in node.names)


def import_graph(sources: Mapping[str, Source]) -> dict[str, set[str]]:
    """For each file the files of the package that its imports run.

    ``from .a import b`` runs ``a``, and ``a.b`` where that is a file. The ``__init__.py`` of every package on the way
    counts as well, but for those that the importing file lies in: they are running already. Nor does the top level
    count where only its version is read. That it hands ``denoise`` on, when asked, then closes no circle.
    """
    graph: dict[str, set[str]] = {}
    for name, source in sources.items():
        found = graph.setdefault(name, set())
        for module, attribute in targets(name, source):
            if module.partition(".")[0] != PACKAGE or (module, attribute) == (PACKAGE, "__version__"):
                continue
            named = f"{module}.{attribute}"
            target = named if named in sources else module
            assert target in sources, f"{name} imports {target}, which is no file of the package"
            found.add(target)
            parts = target.split(".")
            ancestors = {".".join(parts[:depth]) for depth in range(1, len(parts))}
            found |= {each for each in ancestors if each != name and not name.startswith(f"{each}.")}
    return graph


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def arrows(graph: Mapping[str, set[str]], start: str, end: str) -> list[str]:
    """Imports that lead from one package into another."""
    return sorted(
        f"{name} imports {target}"
        for name, imported in graph.items()
        for target in imported
        if within(name, start) and within(target, end) and not within(name, end)
    )


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """One circle of the graph, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def room(name: str) -> str:
    """The folder of the package, or of its ``pipelines``, that a file lies in."""
    return ".".join(name.split(".")[: 3 if within(name, PIPELINES) else 2])


def faults(sources: Mapping[str, Source]) -> dict[str, list[str]]:
    """The rules that sources break, each with the imports that break it."""
    graph = import_graph(sources)
    rooms: dict[str, set[str]] = {}
    for name, imported in graph.items():
        rooms.setdefault(room(name), set()).update(room(target) for target in imported if room(target) != room(name))
    libraries = {name: imported for name, imported in graph.items() if name != f"{PACKAGE}.__main__"}
    found = {
        "no library imports a command": arrows(libraries, PACKAGE, f"{PIPELINES}.cli"),
        "no file imports in a circle": circle(graph),
        "no room imports in a circle": circle(rooms),
        "reproduce does not import tracking": arrows(graph, f"{PIPELINES}.reproduce", f"{PIPELINES}.tracking"),
        "data_manifest does not import networks, bundles or pipelines": [
            *arrows(graph, f"{PACKAGE}.data_manifest", PIPELINES),
            *arrows(graph, f"{PACKAGE}.data_manifest", f"{PACKAGE}.networks"),
            *arrows(graph, f"{PACKAGE}.data_manifest", f"{PACKAGE}.bundles"),
        ],
    }
    for alone in ("networks", "transforms"):
        own = f"{PACKAGE}.{alone}"
        # Files are written whole or not at all everywhere: atomic.py at the root imports nothing of ours.
        found[f"{alone} imports nothing else of ours"] = [
            f"{name} imports {target}"
            for name, imported in graph.items()
            for target in sorted(imported)
            if within(name, own) and not within(target, own) and target != f"{PACKAGE}.atomic"
        ]
    return {rule: broken for rule, broken in found.items() if broken}


def test_the_package_keeps_all_rules():
    sources = read_sources()
    assert len(sources) > 150 and f"{PIPELINES}.cli.app" in sources
    assert faults(sources) == {}


def test_every_package_is_installed():
    assert listed_packages() == folders_with_init()


SOUND = {
    f"{PACKAGE}": Source("def __getattr__(name):\n    from .pipelines import denoising\n", True),
    f"{PACKAGE}.__main__": Source("from noisewise.pipelines.cli.app import app\n"),
    f"{PACKAGE}.atomic": Source("import os\n"),
    f"{PACKAGE}.bundles": Source("", True),
    f"{PACKAGE}.networks": Source("from .nen import NEN\n", True),
    f"{PACKAGE}.networks.nen": Source("import torch\n"),
    f"{PACKAGE}.transforms": Source("from .save import save\n", True),
    f"{PACKAGE}.transforms.save": Source("from ..atomic import atomic_path\n"),
    f"{PACKAGE}.data_manifest": Source("from ..transforms import save\n", True),
    f"{PIPELINES}": Source("", True),
    f"{PIPELINES}.cli": Source("", True),
    f"{PIPELINES}.cli.app": Source("from .. import denoising, tracking\nfrom ..reproduce.study import study\n"),
    f"{PIPELINES}.denoising": Source("from .function import denoise\n", True),
    f"{PIPELINES}.denoising.function": Source("from ... import __version__\nfrom ...networks import NEN\n"),
    f"{PIPELINES}.reproduce": Source("", True),
    f"{PIPELINES}.reproduce.study": Source("from ..denoising import denoise\n"),
    f"{PIPELINES}.tracking": Source("", True),
    f"{PIPELINES}.tracking.demo": Source("from ..denoising.function import denoise\n"),
}
# The rules by their first words.
NETWORKS, TRANSFORMS, DATA = "networks imports nothing", "transforms imports nothing", "data_manifest does not"
COMMAND, CIRCLE, ROOMS, TRACKING = "no library imports", "no file imports", "no room imports", "reproduce does not"


def test_sound_sources_break_no_rule():
    assert faults(SOUND) == {}


@pytest.mark.parametrize(
    ("name", "text", "rules"),
    [
        ("networks.nen", "from ..transforms import save", {NETWORKS}),
        ("networks.nen", "import noisewise.bundles", {NETWORKS}),
        ("networks.nen", "def f():\n    from .. import bundles", {NETWORKS}),
        ("networks.nen", "from . import NEN", {CIRCLE}),
        ("transforms.save", "from noisewise.networks.nen import NEN", {TRANSFORMS}),
        ("data_manifest", "from .. import networks", {DATA}),
        ("data_manifest", "from ..pipelines.tracking import demo", {DATA}),
        ("pipelines.tracking.demo", "from ..cli.app import app", {COMMAND, ROOMS}),
        ("pipelines.tracking.demo", "class A:\n    def f(self):\n        from .. import cli", {COMMAND, ROOMS}),
        ("pipelines.denoising.function", "from ..tracking.demo import f", {CIRCLE, ROOMS}),
        ("pipelines.denoising.function", "def f():\n    from . import denoise", {CIRCLE}),
        ("pipelines.denoising.function", "from ... import denoise", {CIRCLE, ROOMS}),
        ("pipelines.denoising.function", "import noisewise.pipelines.tracking.demo", {CIRCLE, ROOMS}),
        ("pipelines.reproduce.study", "from ..tracking.demo import f", {TRACKING}),
        ("pipelines.reproduce.study", "def f():\n    from .. import tracking", {TRACKING}),
    ],
)
def test_a_bad_import_is_found(name, text, rules):
    name = f"{PACKAGE}.{name}"
    found = faults({**SOUND, name: Source(text, SOUND[name].is_package)})
    assert {" ".join(rule.split()[:3]) for rule in found} == rules


def test_rooms_in_a_circle_are_found_though_no_files_are():
    added = {
        f"{PIPELINES}.denoising.models": Source("from ..tracking.versions import code_version\n"),
        f"{PIPELINES}.tracking.versions": Source(""),
    }
    assert list(faults({**SOUND, **added})) == ["no room imports in a circle"]
