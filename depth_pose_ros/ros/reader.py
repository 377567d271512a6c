"""Image and camera_info messages -> metres and a camera."""

from collections.abc import Callable

import numpy as np
from cv_bridge import CvBridge, CvBridgeError
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image

from depth_pose_ros.core.calibration import Calibration, calibrate, fingerprint
from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.depth import DepthError, check_layout, to_metres


class DepthReader:
    """Decodes and rectifies depth images; works the calibration out again only when it changes.

    Args:
        rectified: whether the images come rectified; see :func:`calibration.calibrate`.
        on_calibration: called with every new calibration.
    """

    def __init__(self, rectified: bool, on_calibration: Callable[[Calibration], None]) -> None:
        self._rectified = rectified
        self._on_calibration = on_calibration
        self._bridge = CvBridge()
        self._calibration: Calibration | None = None
        self._calibrated_for: tuple[object, ...] = ()

    def metres(self, image: Image) -> NDArray[np.float32]:
        """(H, W) float32 metres of the image as it came, 0 where invalid.

        Raises:
            DepthError: not a depth image, or not a whole one.
        """
        check_layout(image.encoding, image.width, image.height, image.step, len(image.data))
        try:
            array = self._bridge.imgmsg_to_cv2(image, desired_encoding="passthrough")
        except (CvBridgeError, TypeError, ValueError, AttributeError) as error:
            raise DepthError(f"cv_bridge cannot decode it: {error}") from error
        return to_metres(array, image.encoding)

    def rectified(
        self, depth: NDArray[np.float32], info: CameraInfo
    ) -> tuple[NDArray[np.float32], Camera]:
        """(H, W) metres as :meth:`metres` gives them -> the rectified image and its camera.

        Raises:
            CalibrationError: a camera_info that does not fit the image.
            CameraError: a camera_info without usable intrinsics.
        """
        height, width = depth.shape
        fitted = (*fingerprint(info), width, height)
        if self._calibration is None or fitted != self._calibrated_for:
            self._calibration = calibrate(info, width, height, self._rectified)
            self._calibrated_for = fitted
            self._on_calibration(self._calibration)
        return self._calibration.rectify(depth), self._calibration.camera
