# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""Naming the subject of an image, without any patient's name or number."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from .manifest import ManifestError

__all__ = ["compile_subject_pattern", "hashed_patient_id", "subject_of"]


def hashed_patient_id(patient_id: str, salt: str = "") -> str:
    """A pseudonym for a patient's number: the same number gives the same pseudonym.

    Args:
        patient_id: DICOM's PatientID.
        salt: a secret of yours. Without one, anybody who guesses the number can check the guess.

    Returns:
        ``"p"`` and 12 hexadecimal digits.
    """
    # BLAKE2 takes 64 bytes of key at most; hashing the salt first takes any.
    key = hashlib.sha256(salt.encode()).digest() if salt else b""
    return "p" + hashlib.blake2b(patient_id.encode(), key=key, digest_size=6, person=b"noisewise").hexdigest()


def compile_subject_pattern(pattern: str | None) -> re.Pattern[str] | None:
    """Compile the regular expression that finds a subject in a path.

    Raises:
        ManifestError: when it is not a regular expression.
    """
    try:
        return None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise ManifestError(f"subject pattern '{pattern}' is not a regular expression: {error}.") from error


def subject_of(path: Path, root: Path, patient_id: str, pattern: re.Pattern[str] | None, salt: str = "") -> str:
    """The subject of a file.

    In this order: the pattern's first group (or its whole match) in the path below ``root``; the hashed PatientID;
    the folder that the file is in, as a path below ``root``; for files directly in ``root``, the file's own name.

    Args:
        path: the file.
        root: the folder that the manifest is built from.
        patient_id: DICOM's PatientID, or empty.
        pattern: a compiled regular expression, or None.
        salt: see :func:`hashed_patient_id`.

    Returns:
        A name that is unique within the source.

    Raises:
        ValueError: when the pattern does not match, or matches nothing.
    """
    below = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    if pattern is not None:
        match = pattern.search(below.as_posix())
        found = "" if match is None else (match.group(1) if pattern.groups else match.group(0))
        if not found:
            raise ValueError(f"the subject pattern '{pattern.pattern}' does not match the path '{below.as_posix()}'.")
        return found
    if patient_id:
        return hashed_patient_id(patient_id, salt)
    if below.parent != Path("."):
        return below.parent.as_posix()
    return below.name.split(".")[0]
