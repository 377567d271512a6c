"""The messages of hri_msgs that the node publishes, as plain classes: PyPI lacks the package."""

from dataclasses import dataclass, field

from std_msgs.msg import Header


@dataclass
class IdsList:
    header: Header = field(default_factory=Header)
    ids: list[str] = field(default_factory=list)


@dataclass
class NormalizedPointOfInterest2D:
    x: float = 0.0
    y: float = 0.0
    c: float = 0.0


@dataclass
class NormalizedRegionOfInterest2D:
    header: Header = field(default_factory=Header)
    xmin: float = 0.0
    ymin: float = 0.0
    xmax: float = 0.0
    ymax: float = 0.0
    c: float = 0.0


@dataclass
class Skeleton2D:
    """Constants and array length as in hri_msgs 2."""

    header: Header = field(default_factory=Header)
    skeleton: list[NormalizedPointOfInterest2D] = field(
        default_factory=lambda: [NormalizedPointOfInterest2D() for _ in range(18)]
    )

    NOSE = 0
    NECK = 1
    RIGHT_SHOULDER = 2
    RIGHT_ELBOW = 3
    RIGHT_WRIST = 4
    LEFT_SHOULDER = 5
    LEFT_ELBOW = 6
    LEFT_WRIST = 7
    RIGHT_HIP = 8
    RIGHT_KNEE = 9
    RIGHT_ANKLE = 10
    LEFT_HIP = 11
    LEFT_KNEE = 12
    LEFT_ANKLE = 13
    LEFT_EYE = 14
    RIGHT_EYE = 15
    LEFT_EAR = 16
    RIGHT_EAR = 17
