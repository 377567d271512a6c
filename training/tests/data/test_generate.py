"""Generated sets do not depend on processes, parts and interruptions, in both layouts."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from depth_pose_training.commands.generate import main
from depth_pose_training.configs.cli import OptionsError
from depth_pose_training.data import datasets, shards
from depth_pose_training.data.synthetic.generate import MANIFEST
from depth_pose_training.errors import UserError

CONFIG = "people: {mocap: 0, number: [0, 1]}\nroom: {furniture: 0}\n"
#: 7 images, in blocks of 3.
SET = ("--images", "7", "--size", "3", "--seed", "5")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def reference(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole set at once, by one process."""
    out = tmp_path_factory.mktemp("reference")
    main(["--out", str(out), "--generator", str(config), *SET])
    return out


def assert_same(a: Path, b: Path) -> None:
    names = [p.name for p in shards.list_shards(a)]
    assert names == [p.name for p in shards.list_shards(b)]
    for name in names:
        for field, array in vars(shards.read(a / name)).items():
            np.testing.assert_array_equal(getattr(shards.read(b / name), field), array)


def test_set_has_the_requested_number_of_images(reference: Path) -> None:
    assert [len(shards.read(p).depth) for p in shards.list_shards(reference)] == [3, 3, 1]
    manifest = json.loads((reference / MANIFEST).read_text())
    assert manifest["images"] == 7
    assert manifest["config"]["people"]["mocap"] == 0


def test_killed_run_resumes_to_the_same_set(config: Path, reference: Path, tmp_path: Path) -> None:
    """Two processes are killed after the first block; two parts render the rest."""
    command = [
        sys.executable,
        "-m",
        "depth_pose_training",
        "generate",
        "--out",
        str(tmp_path),
        "--generator",
        str(config),
    ]
    with subprocess.Popen(
        [*command, *SET, "--workers", "2"], start_new_session=True, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 200
        while not list(tmp_path.glob("shard_*.npz")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    there = {p: p.stat().st_mtime_ns for p in tmp_path.glob("shard_*.npz")}
    assert there
    for part in ("0/2", "1/2"):
        main(["--out", str(tmp_path), "--generator", str(config), *SET, "--part", part])
    assert_same(tmp_path, reference)
    assert all(p.stat().st_mtime_ns == t for p, t in there.items())


def test_a_folder_contains_one_set(config: Path, reference: Path) -> None:
    common = ["--out", str(reference), "--generator", str(config)]
    with pytest.raises(UserError, match="another seed"):
        main([*common, *SET[:-1], "6"])
    with pytest.raises(UserError, match="not full"):
        main([*common, "--images", "9", *SET[2:]])
    with pytest.raises(UserError, match="another motion"):
        main(["--out", str(reference), "--motion", "none.npz", *SET])
    with pytest.raises(UserError, match="--motion is needed"):
        main(["--out", str(reference)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--part", "2/2"], "part must be i/n"),
        (["--part", "half"], "part must be i/n"),
        (["--size", "0"], "size must be at least 1"),
        (["--images", "3", "--shards", "1"], "images or shards"),
    ],
)
def test_wrong_options_are_errors(tmp_path: Path, options: list[str], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        main(["--out", str(tmp_path), *options])


def test_set_in_k2hgd_layout_reads_back(config: Path, tmp_path: Path) -> None:
    arguments = ["--out", str(tmp_path), "--generator", str(config), "--layout", "k2hgd",
                 "--images", "3", "--size", "2", "--validation"]  # fmt: skip
    main([*arguments, "--part", "1/2"])
    assert not (tmp_path / "test_annos.txt").exists()  # only after all parts
    main(arguments)
    frames = datasets.open("k2hgd", tmp_path)
    assert len(frames) == 3
    for frame in frames:
        inside = frame.target.pixels
        inside = inside[(inside >= 0).all(1) & (inside < (256, 212)).all(1)]
        assert len(inside) >= 6
        u, v = np.round(inside).astype(int).clip(0, (255, 211)).T
        seen = frame.depth[v, u] > 0
        assert seen.mean() > 0.5
        assert np.isfinite(frame.target.joints).all()
