"""What one picture is like: sharp or blurred, dark or bright, flat, and how it differs from the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

# Luma of 8-bit video range black is 16: what is darker than twice that shows nothing.
DARK_LUMA = 32
BRIGHT_LUMA = 240


class Picture(NamedTuple):
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

        before, self._last = self._last, grey
        comparable = before is not None and before.shape == grey.shape
        mean, deviation = _mean_and_deviation(grey)
        histogram = cv2.calcHist([grey], [0], None, [256], [0, 256])
        # 16 bits hold the Laplacian of 8 exactly
        _, detail = _mean_and_deviation(cv2.Laplacian(grey, cv2.CV_16S))
        return Picture(
            luma=mean,
            contrast=deviation,
            dark_share=float(histogram[:DARK_LUMA].sum()) / grey.size,
            bright_share=float(histogram[BRIGHT_LUMA + 1 :].sum()) / grey.size,
            sharpness=detail**2 / max(deviation**2, 1.0),
            change=cv2.norm(before, grey, cv2.NORM_L1) / (255 * grey.size) if comparable else 1.0,
        )


def _mean_and_deviation(values: np.ndarray) -> tuple[float, float]:
    import cv2

    mean, deviation = cv2.meanStdDev(values)
    return float(mean[0, 0]), float(deviation[0, 0])
