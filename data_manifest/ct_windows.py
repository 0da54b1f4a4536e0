# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""The Hounsfield windows in which CT of each anatomy is read, and the anatomy of the Mayo Clinic's patients."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["ANATOMY_WINDOWS", "MAYO_SUBJECT", "CTWindow", "anatomy_of"]


@dataclass(frozen=True)
class CTWindow:
    """A display window.

    Args:
        name: what it shows.
        center: the HU in its middle.
        width: its width in HU.
        source: where the numbers come from.
    """

    name: str
    center: float
    width: float
    source: str

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest HU that it shows."""
        return self.center - self.width / 2, self.center + self.width / 2


_RADIOPAEDIA = "Radiopaedia, 'Windowing (CT)', https://radiopaedia.org/articles/windowing-ct"
_RED_CNN = "H. Chen et al., IEEE TMI 36:2524-2535, 2017 (RED-CNN), where the 2016 challenge is shown in -160..240 HU"
_BAE = "K. T. Bae et al., Radiology 236:677-684, 2005 (width 400)"

# Institutions differ by some tens of HU.
ANATOMY_WINDOWS: dict[str, tuple[CTWindow, ...]] = {
    "abdomen": (CTWindow("abdomen", 40, 400, _RED_CNN),),
    "chest": (
        CTWindow("lung", -600, 1500, _RADIOPAEDIA),
        CTWindow("mediastinum", 50, 400, f"{_BAE}; {_RADIOPAEDIA} (center 50)"),
    ),
    "head": (CTWindow("brain", 40, 80, _RADIOPAEDIA),),
}

# "L067": the letter is the exam type, T. R. Moen et al., Medical Physics 48:902-911, 2021.
MAYO_SUBJECT = re.compile(r"[LNC]\d{3}")
_MAYO_ANATOMY = {"L": "abdomen", "N": "head", "C": "chest"}


def anatomy_of(subject: str) -> str:
    """The scanned anatomy, by the name of a subject of the Mayo Clinic's collections.

    Args:
        subject: such as ``"L067"`` (liver), ``"N012"`` (neuro) or ``"C002"`` (chest).

    Returns:
        A key of :data:`ANATOMY_WINDOWS`; empty for any other name.
    """
    return _MAYO_ANATOMY[subject[0]] if MAYO_SUBJECT.fullmatch(subject) else ""
