# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Active learning by noise: a reviewer sees the noisiest image first."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from .noise_level import noise_level

__all__ = ["NoisiestFirst"]

logger = logging.getLogger(__name__)


class NoisiestFirst(Strategy):
    """Shows the unlabeled images from the noisiest to the cleanest, and then starts again.

    An image that is added later comes before those that were shown. Levels are kept while the server runs, until a
    file changes.
    """

    def __init__(self) -> None:
        super().__init__("The noisiest image that was not shown yet, by a wavelet estimate of its noise")
        self._levels: dict[str, tuple[tuple[int, int], float | None]] = {}
        self._shown: dict[str, int] = {}
        self._turn = itertools.count(1)

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Choose the next image.

        Args:
            request: ``label_tag`` and ``labels``, as for MONAI Label's own strategies.
            datastore: the studies.

        Returns:
            ``id``; ``noise``, the standard deviation in gray levels (0..255); ``rank`` among ``ranked`` images, 1 for
            the noisiest; ``unreadable``, the number of images that could not be ranked. None if there is no image.
        """
        images = datastore.get_unlabeled_images(request.get("label_tag"), request.get("labels"))
        levels = {image: self._level(datastore.get_image_uri(image)) for image in images}
        ranking = sorted((image for image in images if levels[image] is not None), key=lambda i: (-levels[i], i))
        unreadable = len(images) - len(ranking)
        if unreadable:
            logger.warning("%d of %d images cannot be read and are not ranked by their noise.", unreadable, len(images))
        if not ranking:
            return None
        # Of equals, min() takes the first, which is the noisiest.
        image = min(ranking, key=lambda image: self._shown.get(image, 0))
        self._shown[image] = next(self._turn)
        return {
            "id": image,
            "noise": round(levels[image], 3),
            "rank": ranking.index(image) + 1,
            "ranked": len(ranking),
            "unreadable": unreadable,
        }

    def _level(self, path: str) -> float | None:
        """The level of an image; None if it cannot be read."""
        try:
            status = os.stat(path)
            stamp = (status.st_mtime_ns, status.st_size)
            if path not in self._levels or self._levels[path][0] != stamp:
                self._levels[path] = (stamp, _level_or_none(path))
        except OSError:
            return None
        return self._levels[path][1]


def _level_or_none(path: str) -> float | None:
    try:
        return noise_level(path)
    except ValueError:
        return None
