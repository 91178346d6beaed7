"""What one picture is like: sharp or blurred, dark or bright, flat, and how it differs from the one before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Luma of 8-bit video range black is 16: what is darker than twice that shows nothing.
DARK_LUMA = 32
BRIGHT_LUMA = 240


@dataclass(frozen=True, slots=True)
class Picture:
    """Measures of one sample.

    Attributes:
        luma: Mean brightness, 0 to 255.
        contrast: Standard deviation of brightness, 0 to 128.
        dark_share: Share of pixels below ``DARK_LUMA``.
        bright_share: Share of pixels above ``BRIGHT_LUMA``.
        sharpness: Variance of the Laplacian (Pech-Pacheco et al. 2000) over the variance of brightness: how much of
            the contrast is fine detail. Independent of exposure; measured at the analysis size, so of resolution too.
        change: Mean absolute difference from the sample before, 0 to 1.
    """

    luma: float
    contrast: float
    dark_share: float
    bright_share: float
    sharpness: float
    change: float


class PictureMeter:
    """Measures sample after sample."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None

    def feed(self, grey: np.ndarray) -> Picture:
        """Measure one picture.

        Args:
            grey: uint8 (height, width).
        """
        import cv2
        import numpy as np

        before, self._last = self._last, grey
        comparable = before is not None and before.shape == grey.shape
        mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(grey))
        histogram = np.bincount(grey.ravel(), minlength=256) / grey.size
        detail = float(cv2.Laplacian(grey, cv2.CV_32F).var())
        return Picture(
            luma=mean,
            contrast=deviation,
            dark_share=float(histogram[:DARK_LUMA].sum()),
            bright_share=float(histogram[BRIGHT_LUMA + 1 :].sum()),
            sharpness=detail / max(deviation**2, 1.0),
            change=float(cv2.absdiff(before, grey).mean() / 255) if comparable else 1.0,
        )
