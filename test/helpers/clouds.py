"""Reads point clouds as their subscribers do."""

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField


def unpack(message: PointCloud2) -> np.ndarray:
    """Structured array of the points, by the message's field descriptions."""
    formats = {PointField.FLOAT32: "<f4", PointField.UINT32: "<u4"}
    dtype = np.dtype(
        {
            "names": [f.name for f in message.fields],
            "formats": [formats[f.datatype] for f in message.fields],
            "offsets": [f.offset for f in message.fields],
            "itemsize": message.point_step,
        }
    )
    assert all(f.count == 1 for f in message.fields)
    return np.frombuffer(message.data, dtype)


def positions(message: PointCloud2) -> np.ndarray:
    """(N, 3) metres."""
    points = unpack(message)
    return np.stack((points["x"], points["y"], points["z"]), axis=-1)
