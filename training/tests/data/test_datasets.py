"""Datasets on files made to their layouts."""

import builtins
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_pose_ros.core import crops
from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.skeleton import INDEX, JOINTS, NUM_JOINTS
from depth_pose_training.commands import to_shards
from depth_pose_training.configs.cli import parse
from depth_pose_training.data import datasets, shards
from depth_pose_training.data.datasets import DatasetError, convert, k2hgd, registry
from depth_pose_training.data.datasets.itop import CAMERA, ITOP
from depth_pose_training.data.shards import CropSample, FrameSample
from depth_pose_training.data.synthetic import poses
from training_helpers.stick_figures import figures, mean_figure

VIEW = Camera(100.0, 100.0, 60.0, 50.0, 120, 100)


def k2hgd_files(root: Path, count: int = 3) -> np.ndarray:
    """8-bit images and comma-separated pixels, in the dataset's order of joints."""
    rng = np.random.default_rng(0)
    (root / "depth_images").mkdir(parents=True)
    theirs = rng.integers(20, 200, (count, NUM_JOINTS, 2))
    lines = []
    for i, points in enumerate(theirs):
        image = np.full((212, 256, 3), 10 * (i + 1), np.uint8)
        cv2.imwrite(str(root / f"depth_images/{i:08d}.png"), image)
        lines.append(",".join((f"{i:08d}.png", *map(str, points.ravel()))))
    (root / "test_annos.txt").write_text("\n".join(lines) + "\n")
    return theirs


def test_k2hgd_reads_the_published_layout(tmp_path: Path) -> None:
    theirs = k2hgd_files(tmp_path)
    frames = datasets.open("k2hgd", tmp_path, scale=0.03)
    assert len(frames) == 3
    frame = frames[1]
    assert frame.depth.shape == (212, 256)
    np.testing.assert_allclose(frame.depth, 0.6)
    np.testing.assert_array_equal(frame.target.pixels[INDEX["RightShoulder"]], theirs[1, 3])
    np.testing.assert_array_equal(frame.target.pixels[INDEX["LeftHand"]], theirs[1, 18])
    assert frame.target.valid.all()
    assert np.isnan(frame.target.joints).all()
    assert frame.key == "00000001"


def test_k2hgd_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"test_annos\.txt is missing"):
        datasets.open("k2hgd", tmp_path)
    k2hgd_files(tmp_path)
    with pytest.raises(DatasetError, match=r"8-bit.*scale"):
        datasets.open("k2hgd", tmp_path)[0]
    with pytest.raises(DatasetError, match="train_annos"):
        datasets.open("k2hgd", tmp_path, split="train")
    (tmp_path / "depth_images/00000000.png").unlink()
    with pytest.raises(DatasetError, match=r"00000000\.png is missing"):
        datasets.open("k2hgd", tmp_path, scale=1.0)[0]
    cv2.imwrite(str(tmp_path / "depth_images/00000000.png"), np.zeros((4, 5), np.uint16))
    with pytest.raises(DatasetError, match="5 x 4 pixels"):
        datasets.open("k2hgd", tmp_path)[0]
    for text, message in (("a.png 1 2 3", "line 1: .* 3 numbers"), ("", "empty")):
        (tmp_path / "test_annos.txt").write_text(text)
        with pytest.raises(DatasetError, match=message):
            datasets.open("k2hgd", tmp_path)


@pytest.mark.parametrize("word", ["nan", "0", "-1"])
def test_k2hgd_joints_without_label_are_not_valid(tmp_path: Path, word: str) -> None:
    depth = np.full((212, 256), 3, np.float32)
    lines = k2hgd.write_frame(tmp_path, 0, depth, mean_figure())
    elbow = k2hgd.K2HGD_ROWS["LeftElbow"]
    for name, line, n in zip(("annos", "joints_3d"), lines, (2, 3), strict=True):
        words = line.split()
        words[1 + elbow * n : 1 + (elbow + 1) * n] = [word] * n
        # A byte-order mark and "\r\n", as editors on Windows write them.
        text = "\ufeff" + " ".join(words) + "\r\n"
        (tmp_path / f"test_{name}.txt").write_bytes(text.encode())
    frame = datasets.open("k2hgd", tmp_path)[0]
    assert frame.key == "00000001"
    assert [JOINTS[k] for k in np.flatnonzero(~frame.target.valid)] == ["LeftElbow"]
    assert np.isnan(frame.target.joints[INDEX["LeftElbow"]]).all()
    sample = convert.crop_sample(frame, None, np.random.default_rng(0))
    assert sample is not None
    assert not sample.visible[INDEX["LeftElbow"]]
    assert not sample.joints[INDEX["LeftElbow"]].any()


def test_written_k2hgd_sets_are_read_back(tmp_path: Path) -> None:
    depth = np.random.default_rng(0).uniform(0.5, 8, (212, 256)).astype(np.float32)
    depth[:20] = 0
    lines = []
    for number in range(3):
        joints = mean_figure() + (0, 0, 0.5 * number)
        lines.append(k2hgd.write_frame(tmp_path, number, depth, joints))
    blocks = [k2hgd.block_path(tmp_path, i) for i in range(2)]
    k2hgd.write_block(blocks[0], lines[:2])
    k2hgd.write_block(blocks[1], lines[2:])
    k2hgd.join_blocks(tmp_path, "train", blocks)
    frames = datasets.open("k2hgd", tmp_path, split="train")
    assert [f.key for f in frames] == ["00000001", "00000002", "00000003"]
    frame = frames[1]
    np.testing.assert_allclose(frame.depth, depth, atol=5.1e-4)
    np.testing.assert_allclose(frame.target.joints, mean_figure() + (0, 0, 0.5), atol=1e-4)
    np.testing.assert_allclose(
        frame.target.pixels, k2hgd.CAMERA.project(frame.target.joints), atol=0.02
    )
    first = (tmp_path / "train_annos.txt").read_text().split()
    assert first[0] == "00000001.png"
    head = k2hgd.CAMERA.project(mean_figure()[INDEX["Head"]])
    assert [float(v) for v in first[1:3]] == pytest.approx(head, abs=0.01)
    (tmp_path / "train_joints_3d.txt").write_text(lines[0][1])
    with pytest.raises(DatasetError, match="list different images"):
        datasets.open("k2hgd", tmp_path, split="train")


def itop_files(root: Path, count: int = 4) -> np.ndarray:
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(1)
    joints = rng.uniform((-0.5, -0.8, 2), (0.5, 0.8, 3), (count, 15, 3)).astype(np.float16)
    with h5py.File(root / "ITOP_side_test_depth_map.h5", "w") as f:
        f["data"] = np.full((count, 240, 320), 2.5, np.float16)
        f["id"] = np.array([f"04_{i:05d}" for i in range(count)], "S8")
    with h5py.File(root / "ITOP_side_test_labels.h5", "w") as f:
        f["id"] = np.array([f"04_{i:05d}" for i in range(count)], "S8")
        f["is_valid"] = np.array([1, 0, 1, 1], np.uint8)[:count]
        f["real_world_coordinates"] = joints
        f["image_coordinates"] = np.zeros((count, 15, 2), np.int16)
    return joints.astype(np.float64)


def test_itop_reads_valid_frames(tmp_path: Path) -> None:
    theirs = itop_files(tmp_path)
    frames = datasets.open("itop", tmp_path, view="side")
    assert [f.key for f in frames] == ["04_00000", "04_00002", "04_00003"]
    frame = frames[1]
    assert frame.depth.dtype == np.float32
    assert (frame.depth == 2.5).all()
    x, y, z = theirs[2, ITOP["LeftKnee"]]
    knee = INDEX["LeftKnee"]
    np.testing.assert_allclose(frame.target.joints[knee], (x, -y, z))
    # The dataset's own rule.
    np.testing.assert_allclose(
        frame.target.pixels[knee], (x / (0.0035 * z) + 160, 120 - y / (0.0035 * z))
    )
    known = {JOINTS[k] for k in np.flatnonzero(frame.target.valid)}
    assert known == set(ITOP)
    assert (CAMERA.width, CAMERA.height) == (320, 240)


def test_itop_errors_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    h5py = pytest.importorskip("h5py")
    with pytest.raises(DatasetError, match=r"ITOP_side_test_labels\.h5 is missing"):
        datasets.open("itop", tmp_path)
    itop_files(tmp_path)
    with pytest.raises(DatasetError, match="view must be"):
        datasets.open("itop", tmp_path, view="back")
    with h5py.File(tmp_path / "ITOP_side_test_labels.h5", "a") as f:
        del f["is_valid"]
    with pytest.raises(DatasetError, match="contains no is_valid"):
        datasets.open("itop", tmp_path)
    (tmp_path / "ITOP_side_train_labels.h5").write_text("nothing")
    with pytest.raises(DatasetError, match="not a readable HDF5"):
        datasets.open("itop", tmp_path, split="train")
    real = builtins.__import__

    def without_h5py(name, *rest):
        if name == "h5py":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_h5py)
    with pytest.raises(DatasetError, match="pip install h5py"):
        datasets.open("itop", tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards whose whole frames have two people, one, and none."""
    made = tmp_path_factory.mktemp("shards")
    shard = figures(3)
    near, far = mean_figure(), mean_figure() + (0.3, 0, 1.5)
    views = []
    for people in ([far, near], [far], []):
        joints = np.array(people, np.float32).reshape(-1, NUM_JOINTS, 3)
        seen = np.ones((len(people), NUM_JOINTS), np.uint8)
        views.append(FrameSample(np.full((100, 120), 4, np.float32), VIEW, joints, seen))
    crop = CropSample(*(getattr(shard, f.name)[0] for f in fields(CropSample)))
    packed = vars(shards.pack([crop], views))
    whole = {k: v if k.startswith("view") else getattr(shard, k) for k, v in packed.items()}
    shards.write(made / "shard_00000.npz", shards.Shard(**whole))
    return made


def test_synthetic_frames_contain_all_people(folder: Path) -> None:
    frames = datasets.open("synthetic", folder)
    assert len(frames) == 3
    two, one, none = frames
    np.testing.assert_allclose(two.target.joints, mean_figure(), atol=1e-6)
    np.testing.assert_allclose(two.joints[1:], mean_figure()[None] + (0.3, 0, 1.5), atol=1e-6)
    assert two.counted.tolist() == [True, True]
    assert two.target.valid.all()
    np.testing.assert_allclose(two.target.pixels, VIEW.project(two.target.joints))
    assert len(one.people) == 1
    assert not none.target.valid.any()
    assert np.isnan(none.target.joints).all()
    assert [f.key for f in datasets.open("synthetic", folder, people=1)] == [one.key]
    with pytest.raises(DatasetError, match="no frames with 4 people"):
        datasets.open("synthetic", folder, people=4)
    with pytest.raises(DatasetError, match="no shards"):
        datasets.open("synthetic", folder / "elsewhere")


def test_synthetic_crops_have_their_own_cameras(folder: Path) -> None:
    frames = datasets.open("synthetic", folder, kind="crops")
    shard = shards.read(folder / "shard_00000.npz")
    assert len(frames) == 3
    frame = frames[2]
    crop = crops.CropFrame(*(float(v) for v in shard.frame[2]))
    np.testing.assert_allclose(frame.target.pixels, crop.from_space(shard.joints[2]), atol=1e-3)
    # Cut from that image around the same place it is the same crop.
    again = crops.cut(frame.depth, frame.camera, crop)
    np.testing.assert_allclose(again, crops.from_millimetres(shard.depth[2]), atol=1e-3)
    assert frame.key == "shard_00000/2/standing"


def test_rendered_frames_are_the_same_every_time(tmp_path: Path) -> None:
    names = list(range(NUM_JOINTS))
    rng = np.random.default_rng(0)
    figure = np.stack([poses.sample(rng, "standing")[0] for _ in names]).astype(np.float32)
    y_up = np.stack((figure[..., 0], figure[..., 2], -figure[..., 1]), -1)
    from depth_pose_training.data.synthetic.mocap import _NAMES

    motion = tmp_path / "motion.npz"
    np.savez(motion, pos=y_up, joints=[_NAMES[j] for j in JOINTS], start=[0, 10, 19])
    config = tmp_path / "config.yaml"
    config.write_text("people: {number: [0, 1]}\ncameras: {views: 1, sensors: {kinect_v2: 1}}\n")
    frames = datasets.open("synthetic", None, motion=[motion], count=2, seed=3, generator=config)
    assert len(frames) == 2
    first, second = frames
    assert first.depth.shape == (424, 512)
    assert not np.array_equal(first.depth, second.depth)
    np.testing.assert_array_equal(frames[0].depth, first.depth)
    with pytest.raises(IndexError):
        frames[2]


def test_unknown_datasets_and_options_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no dataset 'coco': there are utd_mhad"):
        datasets.open("coco", tmp_path)
    with pytest.raises(DatasetError, match="itop does not take subjects: it takes view"):
        datasets.open("itop", tmp_path, subjects=[1], scale=None)
    with pytest.raises(DatasetError, match="needs its folder"):
        datasets.open("itop", None)
    with pytest.raises(DatasetError, match=r"--root.*or --motion"):
        datasets.open("synthetic", None)
    with pytest.raises(DatasetError, match="stride"):
        datasets.open("utd_mhad", tmp_path, stride=0)


def test_given_options_are_chosen() -> None:
    options = parse(
        registry.DatasetOptions, ["--data", "itop", "--view", "top", "--stride", "3"], "x"
    )
    assert registry.chosen(options) == {"view": "top", "stride": 3}
    options = parse(registry.DatasetOptions, ["--subjects", "1", "3"], "evaluate")
    assert registry.chosen(options) == {"subjects": [1, 3]}


def test_missing_joints_are_completed() -> None:
    whole = mean_figure()[None]
    for missing in ("Neck", "UpperSpine", "DownSpine", "MiddleSpine", "LeftWrist", "RightWrist"):
        part = whole.copy()
        part[:, INDEX[missing]] = np.nan
        made = convert.complete(part)
        assert np.linalg.norm(made - whole, axis=-1).max() < 0.11, missing
        np.testing.assert_array_equal(made[np.isfinite(part)], whole[np.isfinite(part)])
    part[:, INDEX["Head"]] = np.nan
    assert np.isnan(convert.complete(part)[:, INDEX["Head"]]).all()


def test_any_dataset_becomes_shards(folder: Path, tmp_path: Path) -> None:
    """Crops of crops are the same people, elsewhere in the crop."""
    arguments = ["--data", "synthetic", "--root", str(folder), "--kind", "crops",
                 "--adapter", "none", "--out", str(tmp_path / "again"), "--size", "2"]  # fmt: skip
    to_shards.main(arguments)
    before = shards.read(folder / "shard_00000.npz")
    first, second = (shards.read(p) for p in shards.list_shards(tmp_path / "again"))
    np.testing.assert_allclose(first.joints, before.joints[:2], atol=1e-5)
    np.testing.assert_allclose(second.joints, before.joints[2:], atol=1e-5)
    frame = crops.CropFrame(*(float(v) for v in first.frame[0]))
    u, v = np.round(frame.from_space(first.joints[0])).astype(int).T
    inside = (u >= 0) & (u < crops.WIDTH) & (v >= 0) & (v < crops.HEIGHT)
    below = (
        first.joints[0, :, 2] - (first.depth[0, v[inside], u[inside]] / 1000 + frame.z_ref).mean()
    )
    assert np.abs(np.median(below) - 0.06) < 0.05
    with pytest.raises(DatasetError):
        to_shards.main([*arguments[:-4], "--data", "k2hgd", "--out", str(tmp_path)])
