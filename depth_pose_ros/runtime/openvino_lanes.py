"""Several people side by side, each on one thread; one person alone on all."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_pose_ros.network.fcn import FcnOutput
from depth_pose_ros.network.model import PoseNetwork, Programs, Stage
from depth_pose_ros.network.readout import PoseOutput
from depth_pose_ros.runtime.openvino_layers import as_output
from depth_pose_ros.runtime.openvino_models import MetricNetwork, PhasedTower, convert
from depth_pose_ros.runtime.openvino_program import Program
from depth_pose_ros.runtime.openvino_programme import marginals_model
from depth_pose_ros.skeleton import INDEX, NUM_JOINTS

#: MatchNet's work in two halves of the body: each needs the tower only where it is.
_UPPER = tuple(
    INDEX[name]
    for name in (
        "Head",
        "Neck",
        "UpperSpine",
        "MiddleSpine",
        "RightShoulder",
        "RightElbow",
        "LeftShoulder",
        "LeftElbow",
        "RightWrist",
        "LeftWrist",
    )
)
_LOWER = tuple(i for i in range(NUM_JOINTS) if i not in _UPPER)
_HALVES = (_UPPER, _LOWER)
_MULTIPLE = 16  # pixels: fewer sizes of regions, each of which OpenVINO has to prepare once


class SideBySide:
    """For small layers: sharing one that takes some hundred microseconds costs what it saves.

    Args:
        network: float32 on the CPU, with one tower for all parts.
        threads: processor threads.
        fcn: the FCN.
    """

    def __init__(self, network: PoseNetwork, threads: int, fcn: ov.Model) -> None:
        self.network = network
        self._lanes = threads
        net, config = network.matchnet, network.config
        self._fcn = _Both(fcn, threads)
        self._tower = Program(convert(PhasedTower(net.tower), (1, 1, -1, -1)), 1, threads)
        self._index = [torch.tensor(parts) for parts in _HALVES]
        self._metric = []
        for parts in _HALVES:
            with torch.no_grad():
                metric = MetricNetwork(net, network.match_weight, list(parts))
            shape = (len(parts), config.proposals, net.patch_weight.shape[1])
            self._metric.append(Program(convert(metric, shape), 1, threads))
        tree = marginals_model(network)
        self._tree = None if tree is None else _Both(tree, threads)
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

        def complete(i: int, maps: list[Tensor], programs: Programs | None) -> None:
            lowest = None if least is None else least[i : i + 1]
            people[i] = self._complete(maps, programs, crops[i], frames[i], stage, lowest)

        if len(crops) == 1 or self._pool is None:
            for i in range(len(crops)):
                maps = self._fcn.alone(crops[i : i + 1, None])
                complete(i, maps, self.programs)
        else:
            following = count()

            def work(lane: int) -> None:
                programs = self._programs(lane)
                while (i := next(following)) < len(crops):
                    maps = self._fcn.lanes.on(lane, crops[i : i + 1, None])
                    complete(i, maps, programs)

            self._all(work, min(self._lanes, len(crops)))
        return PoseOutput(*(torch.cat(parts) for parts in zip(*people, strict=True)))

    def fcn(self, crops: Tensor) -> FcnOutput:
        """See :class:`depth_pose_ros.runtime.runtime.Runtime`."""
        return as_output(self._fcn.alone(crops.numpy()), self.network)

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
        maps: list[Tensor],
        programs: Programs | None,
        crop: NDArray[np.float32],
        frame: NDArray[np.float32],
        stage: Stage,
        least: NDArray[np.float32] | None,
    ) -> PoseOutput:
        image, place = torch.from_numpy(crop)[None, None], torch.from_numpy(frame)[None]
        lowest = None if least is None else torch.from_numpy(least)
        return self.network.complete(
            as_output(maps, self.network), image, place, stage, programs, lowest
        )

    def _programs(self, lane: int | None = None) -> Programs:
        """For a person on one lane, or for one who has them all."""
        if lane is None:
            appearance = partial(self._appearance, 0) if self._pool is None else self._in_halves
        else:
            appearance = partial(self._appearance, lane)
        return Programs(appearance, None if self._tree is None else partial(self._marginals, lane))

    def _appearance(self, lane: int, crops: Tensor, pixels: Tensor) -> Tensor:
        result = torch.empty(pixels.shape[:3])
        self._fill(lane, (0, 1), crops, pixels, result)
        return result

    def _in_halves(self, crops: Tensor, pixels: Tensor) -> Tensor:
        result = torch.empty(pixels.shape[:3])

        def work(lane: int) -> None:
            self._fill(lane, (lane,), crops, pixels, result)

        self._all(work, len(_HALVES))
        return result

    @torch.inference_mode()
    def _fill(
        self, lane: int, halves: Sequence[int], crops: Tensor, pixels: Tensor, result: Tensor
    ) -> None:
        """The appearance of some halves' proposals, with one evaluation of the tower."""
        index = torch.cat([self._index[half] for half in halves])

        def dense(regions: Tensor) -> Tensor:
            return self._tower.on(lane, regions.numpy())[0][None]

        features = self.network.matchnet.gather_features(crops, pixels[:, index], dense, _MULTIPLE)
        for half, own in zip(
            halves, features[0].split([len(_HALVES[h]) for h in halves]), strict=True
        ):
            result[0, self._index[half]] = self._metric[half].on(lane, own.numpy())[0]

    def _marginals(
        self, lane: int | None, unary: Tensor, anchors: Tensor, children: Tensor
    ) -> Tensor:
        assert self._tree is not None
        arrays = [t[0].numpy() for t in (unary, anchors, children)]
        run = self._tree.alone if lane is None else partial(self._tree.lanes.on, lane)
        return run(*arrays)[0][None]


class _Both:
    """A model on all threads, and on as many lanes of one thread."""

    def __init__(self, model: ov.Model, threads: int) -> None:
        self.alone = Program(model, threads)
        self.lanes = Program(model, 1, threads) if threads > 1 else self.alone
