"""Options of the tracker."""

from dataclasses import dataclass

from depth_pose_ros.core.options import Checked, option


@dataclass(frozen=True)
class TrackerOptions(Checked):
    """Options of :class:`depth_pose_ros.Tracker`; the node's parameters add ``tracking_`` in front.

    Raises:
        ValueError: a value out of its range; names the option.
    """

    max_age: float = option(
        1.5,
        "Time for which the id of a person who is no longer detected is kept, in seconds.",
        low=0.0,
        high=60.0,
    )
    predict_time: float = option(
        0.2,
        "Time for which a person who is no longer detected is published by prediction, in seconds.",
        low=0.0,
        high=60.0,
    )
    smoothing: float = option(
        1.0,
        "Strength of the joint filter: 0 is none, 1 is tuned on real recordings; more adds "
        "latency.",
        low=0.0,
        high=10.0,
    )
    confirm_score: float = option(
        0.8,
        "Minimum person score for a new person to be published at once; people with lower scores "
        "are published later, see tracking_confirm_time.",
        low=0.0,
        high=1.0,
    )
    confirm_time: float = option(
        0.5,
        "Time for which a new person with a mean score of min_person_score must be detected before "
        "being published, in seconds; less for higher scores, none at tracking_confirm_score.",
        low=0.0,
        high=10.0,
    )
    keep_score: float = option(
        0.3,
        "Minimum person score for a person who is already tracked; new people need "
        "min_person_score.",
        low=0.0,
        high=1.0,
    )
