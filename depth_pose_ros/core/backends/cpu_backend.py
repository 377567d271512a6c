"""Inference on the CPU: the base class of its backends, and the torch backend."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from depth_pose_ros.core.backends.backend import Floats
from depth_pose_ros.core.backends.native import binding
from depth_pose_ros.core.backends.workers import Workers
from depth_pose_ros.core.models.decode import PoseOutput
from depth_pose_ros.core.models.detector import DetectorOutput, PersonDetector
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.flip import flip_average
from depth_pose_ros.core.models.pose_network import PoseNetwork, Stage

#: Crop (1, 1, H, W) -> maps, valid until its next call.
Fcn = Callable[[Tensor], FcnOutput]


class CpuBackend:
    """One person on all threads; several people in parallel, on one thread each.

    Args:
        network: float32 on the CPU.
        threads: number of CPU threads.
        fcn: the FCN on all threads.
        fcns: the FCN on one thread, once per thread; empty: people one after the other.
        flip_test: average the FCN's output with that of the flipped crop.

    Attributes:
        pipeline: the compiled code for all stages after the FCN; None: torch runs them.
    """

    def __init__(
        self,
        network: PoseNetwork,
        threads: int,
        fcn: Fcn,
        fcns: Sequence[Fcn] = (),
        flip_test: bool = False,
    ) -> None:
        self.network = network
        self._fcn, self._fcns = fcn, fcns
        self._flip_test = flip_test
        self._workers = Workers(threads)
        library = binding.library()
        self.pipeline = (
            None if library is None else binding.NativePipeline(network, library, self._workers)
        )

    def fcn(self, crops: Tensor) -> FcnOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Backend`."""
        return self._run_fcn(self._fcn, crops)

    def poses(
        self, crops: Floats, frames: Floats, stage: Stage, min_scores: Floats | None = None
    ) -> PoseOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Backend`."""

        @torch.inference_mode()
        def pose(fcn: Fcn, i: int, parallel: bool) -> PoseOutput:
            image = torch.from_numpy(crops[i : i + 1, None])
            maps = self._run_fcn(fcn, image)
            if stage == "full" and self.pipeline is not None:
                min_score = None if min_scores is None else float(min_scores[i])
                return self.pipeline(maps, crops[i], frames[i], min_score, parallel)
            frame = torch.from_numpy(frames[i : i + 1])
            minimum = None if min_scores is None else torch.from_numpy(min_scores[i : i + 1])
            return self.network.forward_maps(maps, image, frame, stage, minimum)

        people = range(len(crops))
        if len(crops) > 1 and self._fcns:
            results = self._workers.map(lambda w, i: pose(self._fcns[w], i, False), people)
        else:
            # Also without batches in torch: one person's activations stay in the cache.
            results = [pose(self._fcn, i, True) for i in people]
        return PoseOutput(*(torch.cat(parts) for parts in zip(*results, strict=True)))

    @torch.inference_mode()
    def _run_fcn(self, fcn: Fcn, crops: Tensor) -> FcnOutput:
        return flip_average(fcn, crops, self.network.fcn.stride) if self._flip_test else fcn(crops)


class TorchBackend(CpuBackend):
    """Runs the modules as they are.

    Args:
        pose, detector: moved to the CPU.
        threads: number of CPU threads.
        flip_test: average the FCN's output with that of the flipped crop.
    """

    def __init__(
        self, pose: PoseNetwork, detector: PersonDetector, threads: int, flip_test: bool = False
    ) -> None:
        super().__init__(pose.eval().cpu(), threads, lambda x: pose.fcn(x), (), flip_test)
        self._detector = detector.eval().cpu()

    @torch.inference_mode()
    def detect(self, depth: Floats) -> DetectorOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Backend`."""
        output: DetectorOutput = self._detector(torch.from_numpy(depth)[None])
        return output
