"""The UTD-MHAD reader: on a tiny dataset made here, and on the real one where it is to be had."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from depth_pose_ros.core.skeleton import INDEX, JOINTS
from depth_pose_training.data import evenly_spaced
from depth_pose_training.data.datasets import DatasetError, LabelledFrame, LabelledPerson, UtdMhad
from depth_pose_training.data.datasets.base import read
from depth_pose_training.data.datasets.utd_mhad import CAMERA, KINECT_V1, Recording, skeleton_at
from depth_pose_training.evaluation.utd_registration import row_offsets

REAL = Path(__file__).parents[3] / "../shared/data/utd_mhad"
needs_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"UTD-MHAD is not at {REAL}")
FRAMES = 6


@pytest.fixture
def root(tmp_path):
    """Two recordings of a blob and a skeleton that moves 0.1 m along x in a frame, as shipped.

    In the mirrored image everything right lies at positive x.
    """
    rng = np.random.default_rng(0)
    rest = np.concatenate((rng.uniform(-0.5, 0.5, (20, 2)), np.full((20, 1), 3.0)), axis=1)
    skeleton = rest[:, :, None] + np.array((0.1, 0, 0))[None, :, None] * np.arange(FRAMES)
    depth = np.zeros((240, 320, FRAMES), dtype=np.uint16)
    depth[100:140, 200:220, :] = 2500 + np.arange(FRAMES)
    (tmp_path / "Depth").mkdir()
    (tmp_path / "Skeleton").mkdir()
    lags = ["seq,frames,best_skeleton_lag,score"]
    flags = ["seq,frame,n_joints_on_fg,n_joints_depth_consistent,per_joint_flags_20"]
    for name, lag in (("a3_s1_t1", -1.5), ("a10_s7_t2", -1.0)):
        savemat(tmp_path / f"Depth/{name}_depth.mat", {"d_depth": depth})
        savemat(tmp_path / f"Skeleton/{name}_skeleton.mat", {"d_skel": skeleton})
        lags.append(f"{name},{FRAMES},{lag},0.9")
        for t in range(FRAMES):
            bits = "1" * 20 if t % 2 else "1" * 17 + "000"
            flags.append(f"{name},{t},20,{bits.count('1')},{bits}")
    (tmp_path / "seq_lag.csv").write_text("\n".join(lags) + "\n")
    (tmp_path / "frame_consistency.csv").write_text("\n".join(flags) + "\n")
    return tmp_path


def tracked(root, name, joint):
    """(3, T) of a tracker's joint as shipped."""
    from scipy.io import loadmat

    return loadmat(str(root / f"Skeleton/{name}_skeleton.mat"))["d_skel"][KINECT_V1[joint]]


def test_frames_are_unmirrored_and_metric(root):
    frame = UtdMhad(root, [1], min_consistent=0)[2]
    assert frame.depth.dtype == np.float32
    assert frame.camera == CAMERA
    columns = np.flatnonzero(frame.depth.any(0))
    assert (columns[0], columns[-1]) == (319 - 219, 319 - 200)
    assert frame.depth.max() == pytest.approx(2.502)


def test_skeleton_is_lagged_mirrored_back_and_in_the_optical_frame(root):
    frame = UtdMhad(root, [1], min_consistent=0)[4]
    assert frame.key == "a3_s1_t1/4"
    for name in JOINTS:
        if name == "Neck":
            continue
        x, y, z = tracked(root, "a3_s1_t1", name)
        joint = frame.target.joints[INDEX[name]]
        assert joint == pytest.approx((-(x[2] + x[3]) / 2, -y[4], z[4]))  # time 4 - 1.5
        # The mirrored image's pixel, flipped, and moved onto the people.
        u = 285.63 * (x[2] + x[3]) / 2 / z[4] + 160
        v = 120 - 285.63 * y[4] / z[4]
        assert frame.target.pixels[INDEX[name]] == pytest.approx((319 - u + 1.7, v))


def test_there_is_no_neck(root):
    frame = UtdMhad(root, [1])[0]
    assert np.isnan(frame.target.joints[INDEX["Neck"]]).all()
    assert frame.target.valid.sum() == 18
    assert not frame.target.valid[INDEX["Neck"]]
    assert set(KINECT_V1) == set(JOINTS) - {"Neck"}


def test_inconsistent_frames_and_joints_are_left_out(root):
    assert len(UtdMhad(root, min_consistent=0)) == 2 * FRAMES
    assert [f.key for f in UtdMhad(root, [7])] == [f"a10_s7_t2/{t}" for t in (1, 3, 5)]
    doubtful = UtdMhad(root, [1], min_consistent=17, trust="consistent")[0]
    assert [JOINTS[k] for k in np.flatnonzero(~doubtful.target.valid)] == [
        "Neck",
        "RightKnee",
        "RightFoot",
    ]
    assert np.isfinite(doubtful.target.joints[INDEX["RightKnee"]]).all()


def test_order_stride_and_spread(root):
    keys = [frame.key for frame in UtdMhad(root, min_consistent=0, stride=5)]
    assert keys == ["a3_s1_t1/0", "a3_s1_t1/5", "a10_s7_t2/4"]
    frames = UtdMhad(root, min_consistent=0)
    assert list(evenly_spaced(frames, 3)) == [0, 6, 11]
    assert [f.key for f in read(frames, 2)] == ["a3_s1_t1/0", "a10_s7_t2/5"]
    assert len(evenly_spaced(frames, None)) == len(evenly_spaced(frames, 99)) == 12
    with pytest.raises(ValueError, match="at least 1"):
        evenly_spaced(frames, 0)


def test_skeleton_is_held_at_the_ends():
    skeleton = np.arange(4.0) * np.ones((20, 3, 1))
    assert skeleton_at(skeleton, -1.75)[0, 0] == 0
    assert skeleton_at(skeleton, 1.25)[0, 0] == 1.25
    assert skeleton_at(skeleton, 3.0)[0, 0] == 3
    assert skeleton_at(skeleton, 9.0)[0, 0] == 3


def test_wrong_input_is_named(root, tmp_path_factory):
    with pytest.raises(DatasetError, match=r"subjects there: \[1, 7\]"):
        UtdMhad(root, [2])
    with pytest.raises(DatasetError, match=r"seq_lag\.csv is missing"):
        UtdMhad(tmp_path_factory.mktemp("empty"))
    with pytest.raises(ValueError, match="stride"):
        UtdMhad(root, stride=0)
    with pytest.raises(ValueError, match="trust"):
        UtdMhad(root, trust="most")
    with pytest.raises(DatasetError, match="not the name of a UTD-MHAD recording"):
        Recording.parse("s1_a3_t1")
    (root / "Depth/a3_s1_t1_depth.mat").write_bytes(b"not MATLAB")
    with pytest.raises(DatasetError, match="not a readable MATLAB file"):
        UtdMhad(root, [1])[0]
    savemat(root / "Depth/a3_s1_t1_depth.mat", {"d_depth": np.zeros((240, 320, 2))})
    with pytest.raises(DatasetError, match=r"a3_s1_t1: depth has the shape \(240, 320, 2\)"):
        UtdMhad(root, [1])[0]


def test_labelled_frame_refuses_what_does_not_fit(root):
    frame = UtdMhad(root, [1])[0]
    with pytest.raises(DatasetError, match="depth must have the shape"):
        LabelledFrame(frame.depth[:10], frame.camera, frame.people, "short")
    with pytest.raises(DatasetError, match="without a position is marked valid"):
        LabelledPerson(frame.target.joints, frame.target.pixels, np.ones(19, dtype=bool))
    with pytest.raises(DatasetError, match="joints must have the shape"):
        LabelledPerson(frame.joints, frame.target.pixels, frame.target.valid)


@needs_data
def test_usable_frames_of_the_real_data():
    counts = {s: len(UtdMhad(REAL, [s])) for s in (1, 3, 5, 7)}
    assert counts == {1: 6433, 3: 5385, 5: 6701, 7: 5680}


@needs_data
@pytest.mark.parametrize("subject", [1, 3, 5, 7])
@pytest.mark.parametrize("action", [1, 3])  # right hand swipes left; right hand waves
def test_right_hand_is_on_the_images_left_and_moves(subject, action):
    joints = np.array([f.target.joints for f in UtdMhad(REAL, [subject], [action], stride=2)])
    right, left = joints[:, INDEX["RightWrist"]], joints[:, INDEX["LeftWrist"]]
    assert right.std(0).sum() > 5 * left.std(0).sum()
    shoulders = joints[:, INDEX["RightShoulder"], 0] - joints[:, INDEX["LeftShoulder"], 0]
    assert (shoulders < -0.2).all()
    assert (joints[:, INDEX["Head"], 1] < joints[:, INDEX["RightFoot"], 1]).all()  # y points down


@needs_data
@pytest.mark.parametrize(("action", "sign"), [(1, 1), (2, -1)])
def test_right_hand_swipes_the_right_way(action, sign):
    """Action 1 swipes from the person's right to the left, which is the image's right; 2 back.

    The hand is higher on its way than when it returns, so its path in the image (x, y down) turns.
    """
    for subject in (1, 3, 5, 7):
        frames = UtdMhad(REAL, [subject], [action], min_consistent=0)
        recording = frames.frames[0][0]
        x, y = np.array(
            [
                f.target.joints[INDEX["RightHand"], :2]
                for f in frames
                if f.key.startswith(f"{recording}/")
            ]
        ).T
        area = 0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)
        assert sign * area > 0.05  # clockwise as seen, for y points down


@needs_data
def test_joints_lie_on_the_person():
    frames = UtdMhad(REAL, [7], min_consistent=20, stride=97)
    on_person, behind = [], []
    for frame in frames:
        known = frame.target.valid
        u, v = frame.target.pixels[known].round().astype(int).T
        surface = frame.depth[v, u]
        on_person.append(surface > 0)
        behind.append(np.where(surface > 0, frame.target.joints[known, 2] - surface, np.nan))
    assert np.mean(on_person) > 0.97
    offsets = dict(
        zip(
            [JOINTS[k] for k in np.flatnonzero(frame.target.valid)],
            np.nanmedian(behind, axis=0),
            strict=True,
        )
    )
    assert all(offset > 0 for offset in offsets.values())  # a joint is inside the body
    assert offsets["MiddleSpine"] == pytest.approx(0.149, abs=0.03)
    assert offsets["LeftHand"] < 0.05


def blob(columns, joint_at):
    """A frame with a head at 3 m in these columns, and its joint at a column."""
    depth = np.zeros((240, 320), np.float32)
    depth[90:110, columns] = 3.0
    joints = np.full((19, 3), np.nan)
    joints[INDEX["Head"]] = (
        (joint_at - CAMERA.cx) * 3 / CAMERA.fx,
        (100 - CAMERA.cy) * 3 / CAMERA.fy,
        3,
    )
    valid = np.isfinite(joints).all(-1)
    return LabelledFrame(
        depth, CAMERA, (LabelledPerson(joints, CAMERA.project(joints), valid),), "blob"
    )


def test_registration_is_seen_in_the_silhouette():
    offsets = list(row_offsets(blob(slice(150, 165), 155.3)))
    assert offsets == pytest.approx([157 - 155.3] * 7)
    assert not list(row_offsets(blob(slice(150, 155), 152.0)))  # too narrow for a head
    assert not list(row_offsets(blob(slice(100, 200), 152.0)))  # a wall
    assert not list(row_offsets(blob(slice(150, 165), 130.0)))  # beside it


@needs_data
def test_skeletons_lie_on_the_people():
    offsets = [o for frame in read(UtdMhad(REAL, [1, 3, 5]), 60) for o in row_offsets(frame)]
    assert len(offsets) > 200
    assert abs(np.median(offsets)) < 0.4
