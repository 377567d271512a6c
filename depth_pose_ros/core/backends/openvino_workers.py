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

from depth_pose_ros.core.backends.body_halves import HALVES
from depth_pose_ros.core.backends.native import NativeMatchNet, steps
from depth_pose_ros.core.backends.openvino_compiled import Both
from depth_pose_ros.core.backends.openvino_layers import as_output
from depth_pose_ros.core.backends.openvino_matchnet import OpenVinoMatchNet
from depth_pose_ros.core.backends.openvino_tree import make_tree
from depth_pose_ros.core.models.decode import PoseOutput
from depth_pose_ros.core.models.fcn import FcnOutput
from depth_pose_ros.core.models.flip import flip_average, merged, mirrored
from depth_pose_ros.core.models.pose_network import KernelOverrides, PoseNetwork, Stage


class PerPersonParallel:
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
        self.programs: KernelOverrides | None = self._programs()

    def poses(
        self,
        crops: NDArray[np.float32],
        frames: NDArray[np.float32],
        stage: Stage,
        least: NDArray[np.float32] | None = None,
    ) -> PoseOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Runtime`."""
        people: list[PoseOutput | None] = [None] * len(crops)

        def complete(i: int, worker: int | None, programs: KernelOverrides | None) -> None:
            maps = self._look(worker, crops[i : i + 1, None])
            lowest = None if least is None else least[i : i + 1]
            people[i] = self._complete(maps, programs, crops[i], frames[i], stage, lowest)

        if len(crops) == 1 or self._pool is None:
            for i in range(len(crops)):
                complete(i, None, self.programs)
        else:
            following = count()

            def work(worker: int) -> None:
                programs = self._programs(worker)
                while (i := next(following)) < len(crops):
                    complete(i, worker, programs)

            self._all(work, min(self._lanes, len(crops)))
        return PoseOutput(*(torch.cat(parts) for parts in zip(*people, strict=True)))

    def fcn(self, crops: Tensor) -> FcnOutput:
        """See :class:`depth_pose_ros.core.backends.backend.Runtime`."""
        return self._look(None, crops.numpy())

    @torch.inference_mode()
    def _look(self, worker: int | None, crop: NDArray[np.float32]) -> FcnOutput:
        """The FCN's maps of a crop (1, 1, H, W), on one worker or on all threads."""
        if not self._mirror:
            maps = self._fcn.alone(crop) if worker is None else self._fcn.workers.on(worker, crop)
            return as_output(maps, self.network)
        image, stride, workers = torch.from_numpy(crop), self.network.fcn.stride, self._fcn.workers
        if worker is None and self._pool is not None:
            for i, one in enumerate((image, mirrored(image, stride))):
                workers.start(i, [one.numpy()])
            return merged(*(as_output(workers.finish(i), self.network) for i in (0, 1)))
        return flip_average(
            lambda one: as_output(workers.on(worker or 0, one.numpy()), self.network), image, stride
        )

    def _all(self, work: Callable[[int], None], workers: int) -> None:
        """``work(worker)`` for every worker, the last one here."""
        assert self._pool is not None
        others = [self._pool.submit(work, worker) for worker in range(workers - 1)]
        work(workers - 1)
        for other in others:
            other.result()

    @torch.inference_mode()
    def _complete(
        self,
        output: FcnOutput,
        programs: KernelOverrides | None,
        crop: NDArray[np.float32],
        frame: NDArray[np.float32],
        stage: Stage,
        least: NDArray[np.float32] | None,
    ) -> PoseOutput:
        image, place = torch.from_numpy(crop)[None, None], torch.from_numpy(frame)[None]
        lowest = None if least is None else torch.from_numpy(least)
        return self.network.complete(output, image, place, stage, programs, lowest)

    def _programs(self, worker: int | None = None) -> KernelOverrides:
        """For a person on one worker, or for one who has them all."""
        if worker is None:
            appearance = partial(self._appearance, 0) if self._pool is None else self._in_halves
        else:
            appearance = partial(self._appearance, worker)
        skeleton = None
        if self._native is not None and self._native.skeleton is not None:
            shared = self._windows_in_halves if worker is None and self._pool is not None else None
            skeleton = partial(self._native.skeleton, worker or 0, appearance=shared)
        weigh = None if self._tree is None else partial(self._tree, worker)
        return KernelOverrides(appearance, weigh, skeleton)

    def _windows_in_halves(
        self,
        crop: NDArray[np.float32],
        starts: NDArray[np.int64],
        result: NDArray[np.float32],
    ) -> None:
        match = self._match
        assert isinstance(match, NativeMatchNet)
        self._all(
            lambda worker: match.fill_windows(worker, HALVES[worker], crop, starts, result),
            len(HALVES),
        )

    def _appearance(self, worker: int, crops: Tensor, pixels: Tensor) -> Tensor:
        result = torch.empty(pixels.shape[:3])
        self._match.fill(worker, (*HALVES[0], *HALVES[1]), crops[0, 0], pixels[0], result[0])
        return result

    def _in_halves(self, crops: Tensor, pixels: Tensor) -> Tensor:
        result = torch.empty(pixels.shape[:3])

        def work(worker: int) -> None:
            self._match.fill(worker, HALVES[worker], crops[0, 0], pixels[0], result[0])

        self._all(work, len(HALVES))
        return result
