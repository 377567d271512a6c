"""Stands in for ``cv_bridge`` where ROS comes from PyPI's wheels: see ``underlay/README.md``."""

from cv_bridge.core import CvBridge
from cv_bridge.encodings import CvBridgeError

__all__ = ["CvBridge", "CvBridgeError"]
