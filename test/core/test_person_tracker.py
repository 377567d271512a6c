"""Numbers of people, tracked and not."""

from depth_pose_ros.core.tracking import TrackerOptions
from depth_pose_ros.core.tracking.person_tracker import PersonTracker
from helpers.poses import CAMERA, standing


def numbers(identities, xs, stamp, settings):
    poses = [standing(x=x) for x in xs]
    people = identities.people(poses, stamp, CAMERA, settings)
    return {round(float(p.pose.joints[0, 0]), 1): p.number for p in people}


def test_a_number_stays_when_somebody_comes():
    identities, settings = PersonTracker(), TrackerOptions()
    assert numbers(identities, [0.5], 0.0, settings) == {0.5: 0}
    assert numbers(identities, [-0.5, 0.5], 0.1, settings) == {-0.5: 1, 0.5: 0}


def test_without_tracking_they_go_from_left_to_right():
    identities = PersonTracker()
    assert numbers(identities, [0.5], 0.0, None) == {0.5: 0}
    assert numbers(identities, [0.5, -0.5], 0.1, None) == {-0.5: 0, 0.5: 1}


def test_tracking_that_is_switched_on_again_begins_anew():
    identities, settings = PersonTracker(), TrackerOptions()
    numbers(identities, [0.5, -0.5], 0.0, settings)
    numbers(identities, [0.5], 0.1, None)
    assert numbers(identities, [-0.5], 0.2, settings) == {-0.5: 0}
    identities.reset()
    assert numbers(identities, [1.0], 0.3, settings) == {1.0: 0}
