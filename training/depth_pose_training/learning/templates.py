"""Step 2 of Algorithm 1, templates: what each part looks like, by K-means (Sect. 3.2 and 4).

``python -m depth_pose_training templates --help``.  All true patches of a part are clustered on
their raw depth pixels into T centres.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor
from tqdm import tqdm

from depth_pose_ros.core.models.matchnet import cut_patches
from depth_pose_ros.core.models.tower import patch_extent
from depth_pose_ros.core.skeleton import JOINTS, NUM_JOINTS
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.data.synthetic.samples import VISIBLE
from depth_pose_training.engine import step_options
from depth_pose_training.engine.checkpoints import write_whole
from depth_pose_training.errors import UserError
from depth_pose_training.learning import run_folder


def true_patches(
    data: CropDataset, extent: int, per_part: int, seed: int
) -> list[NDArray[np.float16]]:
    """Patches round the true pixels of the joints in sight, flipped and moved as in training.

    Args:
        data: training crops.
        extent: side of a patch (:func:`depth_pose_ros.core.models.tower.patch_extent`).
        per_part: how many at the most.
        seed: of the choice of crops.

    Returns:
        For every part (N, extent, extent) crop values, N <= per_part.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(data))
    found: list[list[NDArray[np.float16]]] = [[] for _ in range(NUM_JOINTS)]
    with tqdm(total=per_part, unit="patch") as bar:
        for start in range(0, len(order), 32):
            batch = data.batch(order[start : start + 32], rng)
            pixels = batch.pixels.round().long()[:, :, None]
            patches = cut_patches(batch.crops, pixels, extent)[:, :, 0].half().numpy()
            seen = ((batch.visible == VISIBLE) & (batch.weight > 0)).numpy()
            for k, part in enumerate(found):
                part.extend(patches[seen[:, k], k][: per_part - len(part)])
            fewest = min(len(part) for part in found)
            bar.update(fewest - bar.n)
            if fewest == per_part:
                break
    none = np.zeros((0, extent, extent), np.float16)
    return [np.stack(part) if part else none for part in found]


def cluster(
    patches: NDArray[np.float16], count: int, patch: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """K-means on the nominal pixels; templates are the clusters' mean patches, halo and all.

    Args:
        patches: (N, P, P) of one part.
        count: T.
        patch: side of the nominal patch in the middle of the P x P one.
        seed: of the first centres.

    Returns:
        (T, P, P) templates, the largest cluster's first; (T,) sizes.

    Raises:
        UserError: fewer patches than clusters.
    """
    if len(patches) < count:
        raise UserError(f"{len(patches)} patches cannot make {count} templates: use more crops")
    # The box of `patch` pixels round the middle one starts patch / 2 before it.
    first = patches.shape[1] // 2 - patch // 2
    nominal = patches[:, first : first + patch, first : first + patch].reshape(len(patches), -1)
    means = KMeans(count, n_init=4, random_state=seed).fit(nominal.astype(np.float32))
    sizes = np.bincount(means.labels_, minlength=count)
    order = np.argsort(-sizes, kind="stable")
    full = patches.astype(np.float32)
    return np.stack([full[means.labels_ == t].mean(0) for t in order]), sizes[order]


def make_templates(
    data: CropDataset, count: int, patch: int, per_part: int, seed: int
) -> tuple[Tensor, Tensor]:
    """(19, T, P, P) templates of all parts and their (19, T) clusters' sizes.

    Raises:
        UserError: a part is too seldom in sight.
    """
    templates, sizes = [], []
    found = true_patches(data, patch_extent(patch), per_part, seed)
    for name, patches in tqdm(zip(JOINTS, found, strict=True), total=NUM_JOINTS, unit="part"):
        try:
            centres, size = cluster(patches, count, patch, seed)
        except UserError as error:
            raise UserError(f"{name}: {error}") from error
        templates.append(centres)
        sizes.append(size)
    return torch.from_numpy(np.stack(templates)), torch.from_numpy(np.stack(sizes))


def arguments() -> argparse.ArgumentParser:
    """The step's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    run_folder.add_arguments(parser)
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="folders of training shards"
    )
    parser.add_argument("--per-part", type=int, default=3000, help="patches per part")
    return parser


def run(args: argparse.Namespace) -> None:
    """The step, by a command line's options."""
    config = run_folder.start(args, "templates")
    templates, sizes = make_templates(
        CropDataset(*args.data, mapped=True),
        config.templates,
        config.patch,
        args.per_part,
        args.seed,
    )
    write_whole(args.run / run_folder.TEMPLATES, {"templates": templates.half(), "sizes": sizes})
    report = {name: s.tolist() for name, s in zip(JOINTS, sizes, strict=True)}
    run_folder.log(args.run, "templates", {"sizes": report})
    print(json.dumps(report))


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    run(step_options.parse(arguments(), "templates", argv))
