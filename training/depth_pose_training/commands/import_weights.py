"""From one weights file back to a run folder: ``python -m depth_pose_training import_weights --help``.

The opposite of :mod:`depth_pose_training.commands.export_weights`.  Every step that is run on the folder goes on
from these weights, as a new run of its own.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from depth_pose_ros.core import weights
from depth_pose_ros.core.estimator import DETECTOR
from depth_pose_ros.core.models.detector import build_detector
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_training.configs import options
from depth_pose_training.engine.checkpoints import write_text, write_whole
from depth_pose_training.learning import run_folder
from depth_pose_training.learning.run_folder import RunError

#: Of the network's tensors, those that learn_inference makes.
_INFERENCE = ("match_weight", "heat_weight", "gamma", "temperature")


def unpack(file: Path, run: Path, detector: Path | None = None) -> None:
    """Write what :func:`depth_pose_training.commands.export_weights.assemble` put together, apart again.

    Args:
        file: written by it; half precision, so all but what rounding took.
        run: a new folder, for the pose network.
        detector: a new folder for the person detector, if it is wanted.

    Raises:
        RunError: one of the folders holds a run already.
        WeightsError: not such a file, or it lacks a network that is asked for.
    """
    wanted: dict[str, weights.Builder] = {weights.POSE: weights.build_pose}
    if detector is not None:
        wanted[DETECTOR] = build_detector
    for path in (run / run_folder.CONFIG, detector and detector / run_folder.FCN):
        if path is not None and path.exists():
            raise RunError(f"{path} exists: unpack into a new folder")
    modules = weights.load_modules(file, wanted)
    network = modules[weights.POSE]
    assert isinstance(network, PoseNetwork)
    _unpack(network, run)
    if detector is not None:
        write_whole(detector / run_folder.FCN, {"model": modules[DETECTOR].state_dict()})


def _unpack(network: PoseNetwork, run: Path) -> None:
    state = network.state_dict()
    learned = {name: state[name] for name in _INFERENCE if name in state}
    write_whole(run / run_folder.FCN, {"model": network.fcn.state_dict()})
    write_whole(
        run / run_folder.JOINT_DEPTH_OFFSET, {"joint_depth_offset": network.joint_depth_offset}
    )
    write_whole(run / run_folder.TEMPLATES, {"templates": network.matchnet.templates})
    write_whole(run / run_folder.MATCHNET, {"model": network.matchnet.state_dict()})
    write_whole(run / run_folder.INFERENCE, {"model": learned})
    if network.person is not None:
        write_whole(run / run_folder.PERSON, {"model": network.person.state_dict()})
    # Last, as it makes the folder a run.  The head's step comes last and adds the head itself.
    kept = replace(network.config, person=False)
    write_text(run / run_folder.CONFIG, kept.to_json() + "\n")


def arguments() -> argparse.ArgumentParser:
    """The step's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="a file, or a name as the node's parameter")
    parser.add_argument("--run", type=Path, required=True, help="new folder for the pose network")
    parser.add_argument("--detector", type=Path, help="new folder for the person detector")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    args = options.parse(arguments(), "import_weights", argv)
    unpack(weights.resolve(args.weights), args.run, args.detector)
    options.save(args.run, "import_weights", args)
