# Copyright (c) noisewise contributors
# SPDX-License-Identifier: Apache-2.0
"""noisewise: two-stage denoising of medical images, built on MONAI."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pipelines.denoising import Denoised, denoise

from .usage_reports import block_usage_reports

__version__ = "0.4.0"
__all__ = ["Denoised", "__version__", "denoise"]

# Before anything else: libraries decide while they are imported whether they report to their makers.
block_usage_reports()


def __getattr__(name: str) -> Any:
    # On first use: the package's version must be readable without PyTorch.
    if name in __all__:
        from .pipelines import denoising

        return getattr(denoising, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
