"""Replaces ``cv_bridge`` with ROS from PyPI: see ``underlay/README.md``."""

from cv_bridge.core import CvBridge
from cv_bridge.encodings import CvBridgeError

__all__ = ["CvBridge", "CvBridgeError"]
