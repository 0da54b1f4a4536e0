# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The public sources of images: what they hold, how to get them, and how to build their manifests."""

from __future__ import annotations

import difflib
import textwrap
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

from ..listing import check_known
from ..renamed import renamed_arguments, renamed_attribute
from .manifest import ManifestError

__all__ = ["DataSource", "get_source", "list_sources"]


@dataclass(frozen=True)
class DataSource:
    """A public collection.

    Args:
        name: short name, as in the manifest's column ``source``.
        modality: ``"mri"``, ``"xray"``, ``"ct"``, ``"skin"`` or ``"microscopy"``.
        paper: whether the paper used it.
        title: what it is.
        reference: what to cite.
        url: where it is described.
        size: approximate.
        license: as far as we know; "check the site" where we do not.
        access: what is needed to get it.
        build: the command that builds its manifest.
        get: how a user gets it, in steps; empty where MONAI does it.
        monai: Python lines that fetch it with MONAI's downloaders; empty where they can't.
        prepare: Python lines to run before the manifest is built; mostly empty.
        notes: what to know.
    """

    name: str
    modality: str
    paper: bool
    title: str
    reference: str
    url: str
    size: str
    license: str
    access: str
    build: str
    get: str = ""
    monai: str = ""
    prepare: str = ""
    notes: str = ""

    def describe(self) -> str:
        """All of it as text, commands on lines of their own, to be copied whole."""
        head = [f"{self.name}: {self.title}", f"  modality:  {self.modality}"]
        head += [
            f"  {word + ':':<10} {getattr(self, word)}" for word in ("reference", "url", "size", "license", "access")
        ]
        head += [f"  {'paper:':<10} {'one of the sources of the paper' if self.paper else 'not used by the paper'}"]
        steps = [
            ("How to get it:", self.get),
            ("How to get it with MONAI (Python):", self.monai),
            ("Prepare it (Python):", self.prepare),
            ("Build its manifest, then split it by subject:", f"{self.build}\n{self.split}"),
            ("Notes:", self.notes),
        ]
        body = [f"\n{title}\n{textwrap.indent(text.rstrip(), '  ')}" for title, text in steps if text]
        return "\n".join(head + body)

    @property
    def split(self) -> str:
        """The command that splits its manifest by subject."""
        words = self.build.split()
        return f"noisewise manifest split {words[words.index('--out') + 1]}"


DataSource.licence = renamed_attribute("licence", "license")
DataSource.__init__ = renamed_arguments(licence="license")(DataSource.__init__)


def list_sources(modality: str | None = None) -> list[DataSource]:
    """The public sources, the paper's own first.

    Args:
        modality: only those of this modality; None for all.

    Returns:
        The sources.

    Raises:
        ManifestError: when there is none of that modality.
    """
    sources = _read().values()
    if modality is None:
        return list(sources)
    check_known("modality", modality.lower(), sorted({source.modality for source in sources}), ManifestError)
    return [source for source in sources if source.modality == modality.lower()]


def get_source(name: str) -> DataSource:
    """One source by its name.

    Raises:
        ManifestError: when there is none of that name; the message names similar ones.
    """
    sources = _read()
    if name not in sources:
        near = difflib.get_close_matches(name, sources, n=3, cutoff=0.4) or list(sources)
        raise ManifestError(f"unknown source '{name}'; did you mean {', '.join(near)}?")
    return sources[name]


@cache
def _read() -> dict[str, DataSource]:
    text = resources.files(__package__).joinpath("sources.yaml").read_text(encoding="utf-8")
    return {name: DataSource(name=name, **fields) for name, fields in yaml.safe_load(text).items()}
