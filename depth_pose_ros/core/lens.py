"""Distortion models as drivers name and fill them, reduced to the two that OpenCV has.

Drivers name the models freely and send more coefficients than a name allows.  What has one meaning
only is accepted, with an assumption that is told to the user; the rest is refused with the reason.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

POLYNOMIAL, FISHEYE = "polynomial", "fisheye"

#: Other names of the models of ``sensor_msgs/distortion_models.hpp``, by their own name.
_ALIASES = {
    "plumb_bob": (
        *("", "brown", "brown_conrady", "conrady_brown", "radtan", "radial_tangential", "opencv"),
        *("pinhole", "pinhole_radtan", "plumbbob", "brown_conrady_5"),
        *("brown_conrady_k3", "rs2_distortion_brown_conrady", "distortion_brown_conrady"),
    ),
    "rational_polynomial": (
        *("rational", "rational_polynomial_model", "brown_conrady_k6", "k6", "full_opencv"),
        *("rational_6kt", "thin_prism", "tilted", "opencv_rational"),
    ),
    "equidistant": (
        *("fisheye", "opencv_fisheye", "equidist", "equi", "kb4", "kb", "pinhole_equi"),
        *("kannala_brandt", "kannala_brandt4", "kannala_brandt_4"),
        *("distortion_kannala_brandt4", "rs2_distortion_kannala_brandt4"),
    ),
}
#: Models that resemble OpenCV's, but are other functions.
_OTHER = ("inverse_brown_conrady", "modified_brown_conrady")
_NAMES = {alias: name for name, aliases in _ALIASES.items() for alias in (name, *aliases)}
_SIZES = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}
_POLYNOMIAL_SIZES = (4, 5, 8, 12, 14)  # what OpenCV's pinhole model takes


class LensError(ValueError):
    """Distortion with no or more than one meaning; the message says why."""


@dataclass(frozen=True, eq=False)
class Lens:
    """Distortion that OpenCV can undo.

    Attributes:
        kind: :data:`POLYNOMIAL` (``cv2.undistort``) or :data:`FISHEYE` (``cv2.fisheye``).
        coefficients: float64, as many as OpenCV takes.
        assumption: what was assumed about an unusual name or number; "" if nothing was.
    """

    kind: str
    coefficients: NDArray[np.float64]
    assumption: str = ""

    def undistortion(
        self, matrix: NDArray[np.float64], width: int, height: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(H, W) source x and y for every pixel of the rectified image, which keeps ``matrix``."""
        undistort = (
            cv2.fisheye.initUndistortRectifyMap
            if self.kind == FISHEYE
            else cv2.initUndistortRectifyMap
        )
        size = (width, height)
        x, y = undistort(matrix, self.coefficients, np.eye(3), matrix, size, cv2.CV_32FC1)
        return np.asarray(x, dtype=np.float32), np.asarray(y, dtype=np.float32)


def read_lens(model: str, d: Sequence[float]) -> Lens | None:
    """The lens of a ``distortion_model`` and its coefficients ``D``; None without distortion.

    Raises:
        LensError: distortion that is unknown, ambiguous or not finite.
    """
    values = np.array(d, dtype=np.float64).ravel()
    if not np.isfinite(values).all():
        raise LensError("D is not finite")
    used = int(np.flatnonzero(values).max(initial=-1)) + 1  # trailing zeros have no effect
    if used == 0:
        return None
    # "Brown-Conrady", "Plumb Bob" and RealSense's "distortion.brown_conrady" are written so too.
    given = re.sub(r"[^a-z0-9]+", "_", model.lower()).strip("_")
    name = _NAMES.get(given)
    if given.endswith(_OTHER):
        raise LensError("the model is another function than OpenCV's")
    if name is None:
        raise LensError(f"the model is unknown; known are {', '.join(_ALIASES)}")
    fisheye = name == "equidistant"
    sizes = [
        n for n in (_SIZES[name] if fisheye else _POLYNOMIAL_SIZES) if used <= n <= len(values)
    ]
    if not sizes:
        expected = "4" if fisheye else "4, 5, 8, 12 or 14"
        raise LensError(f"{len(values)} coefficients are ambiguous: {name} has {expected}")
    coefficients = values[: sizes[0]]
    assumption = ""
    if model != name or len(values) not in _SIZES[name]:
        assumption = (
            f"distortion model '{model}' with {len(values)} coefficients is read as OpenCV's "
            f"{'fisheye' if fisheye else 'pinhole'} model with the first {sizes[0]}"
        )
    return Lens(FISHEYE if fisheye else POLYNOMIAL, coefficients, assumption)
