"""Several people side by side, each on one thread; one person alone on all."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_pose_ros.native import NativeMatchNet, steps
from depth_pose_ros.network.fcn import FcnOutput
from depth_pose_ros.network.mirror import look_twice, merged, mirrored
from depth_pose_ros.network.model import PoseNetwork, Programs, Stage
from depth_pose_ros.network.readout import PoseOutput
from depth_pose_ros.runtime.halves import HALVES
from depth_pose_ros.runtime.openvino_layers import as_output
from depth_pose_ros.runtime.openvino_matchnet import OpenVinoMatchNet
from depth_pose_ros.runtime.openvino_program import Both
from depth_pose_ros.runtime.openvino_programme import make_tree


class SideBySide:
    """For small layers: sharing one that takes some hundred microseconds costs what it saves.

    Args:
        network: float32 on the CPU, with one tower for all parts.
        threads: processor threads.
        fcn: the FCN.
        mirror: whether it looks at every crop a second time, in the mirror.
    """

    def __init__(
        self, network: PoseNetwork, threads: int, fcn: ov.Model, mirror: bool = False
    ) -> None:
        self.network = network
        self._mirror = mirror
        self._lanes = threads
        self._fcn = Both(fcn, threads)
        self._native = steps(network, threads)
        match = None if self._native is None else self._native.match
        self._match = OpenVinoMatchNet(network, threads) if match is None else match
        self._tree = make_tree(network, threads, self._native)
        self._pool: ThreadPoolExecutor | None = None
        if threads > 1:
            # Torch keeps the number of threads by thread.
            self._pool = ThreadPoolExecutor(
                threads - 1, "pose", initializer=partial(torch.set_num_threads, 1)
            )
        self.programs: Programs | None = self._programs()

    def poses(
        self,
        crops: NDArray[np.float32],
        frames: NDArray[np.float32],
        stage: Stage,
        least: NDArray[np.float32] | None = None,
    ) -> PoseOutput:
        """See :class:`depth_pose_ros.runtime.runtime.Runtime`."""
        people: list[PoseOutput | None] = [None] * len(crops)

        def complete(i: int, lane: int | None, programs: Programs | None) -> None:
            maps = self._look(lane, crops[i : i + 1, None])
            lowest = None if least is None else least[i : i + 1]
            people[i] = self._complete(maps, programs, crops[i], frames[i], stage, lowest)

        if len(crops) == 1 or self._pool is None:
            for i in range(len(crops)):
                complete(i, None, self.programs)
        else:
            following = count()

            def work(lane: int) -> None:
                programs = self._programs(lane)
                while (i := next(following)) < len(crops):
                    complete(i, lane, programs)

            self._all(work, min(self._lanes, len(crops)))
        return PoseOutput(*(torch.cat(parts) for parts in zip(*people, strict=True)))

    def fcn(self, crops: Tensor) -> FcnOutput:
        """See :class:`depth_pose_ros.runtime.runtime.Runtime`."""
        return self._look(None, crops.numpy())

    @torch.inference_mode()
    def _look(self, lane: int | None, crop: NDArray[np.float32]) -> FcnOutput:
        """The FCN's maps of a crop (1, 1, H, W), on one lane or on all threads."""
        if not self._mirror:
            maps = self._fcn.alone(crop) if lane is None else self._fcn.lanes.on(lane, crop)
            return as_output(maps, self.network)
        image, stride, lanes = torch.from_numpy(crop), self.network.fcn.stride, self._fcn.lanes
        if lane is None and self._pool is not None:
            for i, one in enumerate((image, mirrored(image, stride))):
                lanes.start(i, [one.numpy()])
            return merged(*(as_output(lanes.finish(i), self.network) for i in (0, 1)))
        return look_twice(
            lambda one: as_output(lanes.on(lane or 0, one.numpy()), self.network), image, stride
        )

    def _all(self, work: Callable[[int], None], lanes: int) -> None:
        """``work(lane)`` for every lane, the last one here."""
        assert self._pool is not None
        others = [self._pool.submit(work, lane) for lane in range(lanes - 1)]
        work(lanes - 1)
        for other in others:
            other.result()

    @torch.inference_mode()
    def _complete(
        self,
        output: FcnOutput,
        programs: Programs | None,
        crop: NDArray[np.float32],
        frame: NDArray[np.float32],
        stage: Stage,
        least: NDArray[np.float32] | None,
    ) -> PoseOutput:
        image, place = torch.from_numpy(crop)[None, None], torch.from_numpy(frame)[None]
        lowest = None if least is None else torch.from_numpy(least)
        return self.network.complete(output, image, place, stage, programs, lowest)

    def _programs(self, lane: int | None = None) -> Programs:
        """For a person on one lane, or for one who has them all."""
        if lane is None:
            appearance = partial(self._appearance, 0) if self._pool is None else self._in_halves
        else:
            appearance = partial(self._appearance, lane)
        skeleton = None
        if self._native is not None and self._native.skeleton is not None:
            shared = self._windows_in_halves if lane is None and self._pool is not None else None
            skeleton = partial(self._native.skeleton, lane or 0, appearance=shared)
        weigh = None if self._tree is None else partial(self._tree, lane)
        return Programs(appearance, weigh, skeleton)

    def _windows_in_halves(
        self,
        crop: NDArray[np.float32],
        starts: NDArray[np.int64],
        result: NDArray[np.float32],
    ) -> None:
        match = self._match
        assert isinstance(match, NativeMatchNet)
        self._all(
            lambda lane: match.fill_windows(lane, HALVES[lane], crop, starts, result), len(HALVES)
        )

    def _appearance(self, lane: int, crops: Tensor, pixels: Tensor) -> Tensor:
        result = torch.empty(pixels.shape[:3])
        self._match.fill(lane, (*HALVES[0], *HALVES[1]), crops[0, 0], pixels[0], result[0])
        return result

    def _in_halves(self, crops: Tensor, pixels: Tensor) -> Tensor:
        result = torch.empty(pixels.shape[:3])

        def work(lane: int) -> None:
            self._match.fill(lane, HALVES[lane], crops[0, 0], pixels[0], result[0])

        self._all(work, len(HALVES))
        return result
