# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Downloading the images that a manifest names by URL."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from monai.apps import download_url

from .manifest import Manifest, ManifestError, is_url

__all__ = ["fetch_manifest"]


def fetch_manifest(
    manifest: Manifest | str | os.PathLike,
    folder: str | os.PathLike,
    out: str | os.PathLike | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Download the images whose path is a URL, with MONAI's downloader, and check them against their checksums.

    Args:
        manifest: the manifest, or its path.
        folder: where the files go. A file that is there already, and has the right checksum, is kept.
        out: the CSV to write with the local paths; None to write nothing.
        progress: called with (files done, files in all).

    Returns:
        The manifest with local paths.

    Raises:
        ManifestError: naming the URL that cannot be fetched or whose checksum is wrong.
    """
    if not isinstance(manifest, Manifest):
        manifest = Manifest.read(manifest)
    digests = {r.path: r.sha256 for r in manifest if is_url(r.path)}
    digests |= {r.target: "" for r in manifest if is_url(r.target) and r.target not in digests}
    local = {}
    for done, (url, sha256) in enumerate(digests.items(), start=1):
        name = Path(unquote(urlsplit(url).path)).name or "image"
        # URLs of one collection may end alike: the digits keep their files apart.
        local[url] = os.path.abspath(Path(folder) / f"{hashlib.sha256(url.encode()).hexdigest()[:8]}_{name}")
        try:
            download_url(url, local[url], hash_val=sha256 or None, hash_type="sha256", progress=False)
        except Exception as error:
            raise ManifestError(f"{url}: cannot be fetched: {str(error).splitlines()[0][:300]}") from error
        if progress is not None:
            progress(done, len(digests))
    records = [
        dataclasses.replace(r, path=local.get(r.path, r.path), target=local.get(r.target, r.target)) for r in manifest
    ]
    fetched = Manifest(records, out or manifest.path)
    if out is not None:
        fetched.write(out)
    return fetched
