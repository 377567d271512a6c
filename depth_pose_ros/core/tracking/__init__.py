"""People over time: lasting ids, joints that neither jitter nor lag.

Knows poses, not images and not ROS::

    tracker = Tracker()
    for stamp, poses in estimates:
        for person in tracker.update(poses, stamp):
            print(person.id, person.pose.joints)
"""

from depth_pose_ros.core.tracking.options import TrackerOptions
from depth_pose_ros.core.tracking.tracker import TrackedPose, Tracker

__all__ = ["TrackedPose", "Tracker", "TrackerOptions"]
