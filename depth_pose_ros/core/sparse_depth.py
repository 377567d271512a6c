"""Sparse depth images: measurements that lie isolated in a grid of missing pixels.

Depth that was registered to a larger colour image without filling, or whose every second row is
missing, keeps all measurements, but nearest-neighbour resampling finds few of them.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

#: Share of the pixels with a measurement among those that have one in their 3 x 3 neighbourhood;
#: below it an image is sparse.  Images of depth cameras have 0.8 to 0.99.
MIN_DENSITY = 0.6
#: A neighbourhood is large enough when the next larger one has less than 1 / this of its coverage.
_SETTLED = 0.85
_MAX_RADIUS = 6  # pixels
#: Images whose pixels are not much smaller than those of the networks lose nothing by resampling.
_MIN_CELL = 1.5  # pixels


class FilledDepth(NamedTuple):
    """A depth image without the gaps between isolated measurements.

    Attributes:
        depth: (H, W) float32 metres, 0 where missing.
        valid: share of the pixels with a measurement, before filling, in [0, 1].
        radius: pixels over which gaps were filled; 0 for an image that is not sparse.
    """

    depth: NDArray[np.float32]
    valid: float
    radius: int


def fill_sparse(depth: NDArray[np.float32], cell: float) -> FilledDepth:
    """Fill the gaps of a sparse image with the nearest measurement; others are returned as given.

    Args:
        depth: (H, W) float32 metres, 0 or NaN where missing.
        cell: pixels of the image for each pixel of the network's input.
    """
    valid = np.asarray(depth > 0, np.uint8)
    share = float(valid.mean())
    coverage = [share, _coverage(valid, 1)]
    if cell < _MIN_CELL or share == 0 or share >= MIN_DENSITY * coverage[1]:
        return FilledDepth(depth, share, 0)
    radius = 1
    while radius < _MAX_RADIUS:
        coverage.append(_coverage(valid, radius + 1))
        if coverage[radius] >= _SETTLED * coverage[radius + 1]:
            break
        radius += 1
    distance, label = cv2.distanceTransformWithLabels(
        1 - valid, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    measured = valid > 0
    values = np.zeros(int(label.max()) + 1, np.float32)
    values[label[measured]] = depth[measured]
    # The corner of the neighbourhood is radius * sqrt(2) away.
    return FilledDepth(np.where(distance <= 1.5 * radius, values[label], 0), share, radius)


def _coverage(valid: NDArray[np.uint8], radius: int) -> float:
    """Share of the pixels with a measurement at most ``radius`` rows and columns away."""
    size = 2 * radius + 1
    return float(cv2.dilate(valid, np.ones((size, size), np.uint8)).mean())
