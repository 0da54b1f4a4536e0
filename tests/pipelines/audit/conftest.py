# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from noisewise.pipelines.audit.page import ImagePair, PageImage
from noisewise.pipelines.audit.residual import audit_residual, summarize_audits

HOSTILE = "</script><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">@SCRIPT@.png"


@pytest.fixture
def hostile_name():
    """A file name that would run, or break the page, if it reached the page as HTML."""
    return HOSTILE


@pytest.fixture
def make_image():
    """Creates rows of the page: noise on a ramp, and a lesion that was removed from one slice if one is asked for."""

    def make(name, count=1, side=64, lesion=None, strength=1.0, sigma=10.0, color=False, **pair):
        random = np.random.RandomState(len(name))
        shape = (count, side, side, *((3,) if color else ()))
        removed = (sigma * random.standard_normal(shape)).astype(np.float32)
        if lesion is not None:
            rows, columns = np.ogrid[:side, :side]
            disk = np.hypot(rows - side // 2, columns - side // 3) <= 6
            removed[lesion][disk] += 3 * sigma
        after = np.linspace(0, 200, side, dtype=np.float32)[:, None] + np.zeros((side, side), np.float32)
        after = np.stack([after + 40 * index for index in range(count)])
        after = after[..., None] + np.zeros(3, np.float32) if color else after
        audits = [audit_residual(after[i] + removed[i], removed[i], "HU") for i in range(count)]
        summary = summarize_audits(audits)
        shown = summary["worst_slice"] or 0
        audit = {**summary, "shown_slice": shown, "shown": audits[shown].to_dict()}
        before = after + strength * removed
        if pair.get("eight_bit"):
            before, after = (np.rint(np.clip(each, 0, 255)) for each in (before, after))
        image = ImagePair(count, lambda index: (before[index], after[index]), **pair)
        return PageImage(name, audit, lambda: image, strength=strength)

    return make
