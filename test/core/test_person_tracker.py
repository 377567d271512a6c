"""Numbers of people, tracked and not."""

from depth_pose_ros.core.tracking import TrackerOptions
from depth_pose_ros.core.tracking.person_tracker import PersonTracker
from helpers.poses import CAMERA, standing


def numbers(tracker, xs, stamp, options):
    poses = [standing(x=x) for x in xs]
    people = tracker.people(poses, stamp, CAMERA, options)
    return {round(float(p.pose.joints[0, 0]), 1): p.number for p in people}


def test_number_is_kept_when_another_person_enters():
    tracker, options = PersonTracker(), TrackerOptions()
    assert numbers(tracker, [0.5], 0.0, options) == {0.5: 0}
    assert numbers(tracker, [-0.5, 0.5], 0.1, options) == {-0.5: 1, 0.5: 0}


def test_without_tracking_numbers_go_left_to_right():
    tracker = PersonTracker()
    assert numbers(tracker, [0.5], 0.0, None) == {0.5: 0}
    assert numbers(tracker, [0.5, -0.5], 0.1, None) == {-0.5: 0, 0.5: 1}


def test_tracking_restarts_when_enabled_again():
    tracker, options = PersonTracker(), TrackerOptions()
    numbers(tracker, [0.5, -0.5], 0.0, options)
    numbers(tracker, [0.5], 0.1, None)
    assert numbers(tracker, [-0.5], 0.2, options) == {-0.5: 0}
    tracker.reset()
    assert numbers(tracker, [1.0], 0.3, options) == {1.0: 0}
