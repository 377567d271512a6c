"""Crops from shards, in memory or mapped, in one process or by workers."""

import os
import pickle
from dataclasses import fields
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from depth_pose_ros.core import crops
from depth_pose_training.data import shards
from depth_pose_training.data.batches import BackgroundCrops, Batch, CropDataset
from depth_pose_training.data.loader import CropLoader
from depth_pose_training.engine.distributed import SINGLE_PROCESS, Distributed
from training_helpers.stick_figures import figures

Rows = NDArray[np.int64]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shards")
    for i, count in enumerate((4, 3)):
        shards.write(made / f"shard_{i:05d}.npz", figures(count, seed=i))
    return made


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Batch))


def test_a_mapped_shard_equals_the_one_in_memory(folder: Path) -> None:
    path = folder / "shard_00000.npz"
    for name, array in vars(shards.read(path)).items():
        mapped = getattr(shards.read(path, mapped=True), name)
        np.testing.assert_array_equal(mapped, array)
        assert mapped.dtype == array.dtype
    assert isinstance(shards.read(path, mapped=True).depth, np.memmap)


def test_compressed_shards_are_not_mapped(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "shard_00000.npz"
    np.savez_compressed(path, **vars(figures(1)))
    assert len(shards.read(path).depth) == 1
    with pytest.raises(ValueError, match="compressed"):
        shards.read(path, mapped=True)


def test_mapped_crops_are_the_same_crops(folder: Path) -> None:
    whole, mapped = CropDataset(folder), CropDataset(folder, mapped=True)
    assert len(mapped) == len(whole) == 7
    assert mapped.modes().tolist() == whole.modes().tolist()
    index = np.array([5, 0, 6])
    assert same(mapped.batch(index), whole.batch(index))
    augmented = [s.batch(index, np.random.default_rng(3)) for s in (mapped, whole)]
    assert same(*augmented)
    np.testing.assert_array_equal(whole.batch(index).crops, mapped.batch(index).crops)


def test_backgrounds_are_reproducible(folder: Path, tmp_path: Path) -> None:
    room = figures(3, seed=9)
    room.depth[:] = 300
    shards.write(tmp_path / "shard_00000.npz", room)
    plain, placed = CropDataset(folder), BackgroundCrops(folder, tmp_path)
    index = np.arange(7)
    bare, batch = plain.batch(index), placed.batch(index)
    assert same(batch, BackgroundCrops(folder, tmp_path).batch(index))
    assert same(
        placed.batch(index[3:4]), Batch(*(getattr(batch, f.name)[3:4] for f in fields(Batch)))
    )
    there = bare.crops < 1
    torch.testing.assert_close(batch.crops[there], bare.crops[there])
    behind = batch.crops[~there] * crops.DEPTH_RANGE
    assert ((behind >= 0.75) | (batch.crops[~there] == 1)).all()
    assert behind.min() < 1.2
    assert torch.equal(batch.joints, bare.joints)


def test_a_folder_named_twice_counts_twice(folder: Path) -> None:
    once, twice = CropDataset(folder, mapped=True), CropDataset(folder, folder, mapped=True)
    assert len(twice) == 2 * len(once)
    index = np.arange(len(once))
    assert same(twice.batch(index), twice.batch(index + len(once)))
    twice.rescan()
    assert len(pickle.loads(pickle.dumps(twice))) == len(twice) == 2 * len(once)


def test_crops_are_spread_evenly(folder: Path) -> None:
    data = CropDataset(folder)
    every = list(range(len(data)))
    for limit in (None, len(data), len(data) + 1):
        assert data.evenly_spaced(limit).tolist() == every
    for limit in range(1, len(data)):
        chosen = data.evenly_spaced(limit)
        assert len(chosen) == limit and chosen[0] == 0
        assert chosen[-1] == (len(data) - 1 if limit > 1 else 0)
        assert limit < 3 or np.ptp(np.diff(chosen)) <= 1
    with pytest.raises(ValueError, match="at least 1, got 0"):
        data.evenly_spaced(0)


def test_mapped_crops_are_pickled_as_paths(folder: Path) -> None:
    mapped = CropDataset(folder, mapped=True)
    sent = pickle.dumps(mapped)
    assert len(sent) < 5000
    assert same(pickle.loads(sent).batch(np.array([6])), mapped.batch(np.array([6])))


def test_the_same_seed_gives_the_same_samples_whatever_the_workers(folder: Path) -> None:
    def batches(workers: int, mapped: bool, seed: int = 4) -> list[Batch]:
        data = CropDataset(folder, mapped=mapped)
        stream = CropLoader(data, 3, seed, Distributed(0, 1, torch.device("cpu")), workers)
        return [
            batch for batch, _ in islice(stream.start({"epoch": 0, "batch": 0, "crops": 7}, 0), 5)
        ]

    reference = batches(0, mapped=False)
    for workers in (0, 2):
        for a, b in zip(reference, batches(workers, mapped=True), strict=True):
            assert same(a, b)
    assert not same(reference[0], batches(0, mapped=True, seed=5)[0])


def test_prefetch_reads_ahead(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def fadvise(file: int, start: int, size: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        asked.append(os.pread(file, size, start))

    monkeypatch.setattr(os, "posix_fadvise", fadvise)
    data = CropDataset(folder, mapped=True)
    rows = np.array([6, 0, 3])
    data.prefetch(rows)
    assert asked == [data.crop(int(i))[0].tobytes() for i in rows]
    CropDataset(folder).prefetch(rows)  # in memory already
    assert len(asked) == 3


def test_loader_prefetches_the_next_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefetched: set[int] = set()
    taken: list[set[int]] = []
    data = CropDataset(folder, mapped=True)
    batch = data.batch

    def take(indices: Rows, rng: np.random.Generator | None = None) -> Batch:
        taken.append({int(i) for i in indices})
        if len(taken) > 2:  # there was nothing before the first two
            assert taken[-1] <= prefetched
        return batch(indices, rng)

    monkeypatch.setattr(data, "prefetch", lambda rows: prefetched.update(int(i) for i in rows))
    monkeypatch.setattr(data, "batch", take)
    for _ in islice(CropLoader(data, 2, 0, SINGLE_PROCESS).start(None, 0), 2):
        pass
    assert len(taken) >= 4
