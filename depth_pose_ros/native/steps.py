"""What of a network there is compiled code for."""

from typing import NamedTuple

from depth_pose_ros.native.loading import library
from depth_pose_ros.native.matchnet import NativeMatchNet, fits
from depth_pose_ros.native.programme import NativeProgramme
from depth_pose_ros.native.skeleton import NativeSkeleton, follows
from depth_pose_ros.network.model import PoseNetwork


class Steps(NamedTuple):
    """Compiled steps of one network.

    Attributes:
        tree: the programme.
        match: MatchNet, where the code is for its shape.
        skeleton: all that follows the FCN, where it is for all of its shapes.
    """

    tree: NativeProgramme
    match: NativeMatchNet | None
    skeleton: NativeSkeleton | None


def steps(network: PoseNetwork, lanes: int) -> Steps | None:
    """As much as there is; None without compiled code.

    Args:
        network: float32 on the CPU; its weights are copied.
        lanes: how many threads may call at once.
    """
    functions = library()
    if functions is None:
        return None
    tree = NativeProgramme(network, functions, lanes)
    if not fits(network.config):
        return Steps(tree, None, None)
    match = NativeMatchNet(network, functions, lanes)
    if not follows(network.config):
        return Steps(tree, match, None)
    return Steps(tree, match, NativeSkeleton(network, functions, match, tree, lanes))
