"""Synthetic people: poses, bodies, rendering, sensors, samples and shards."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from depth_pose_ros.core import crops
from depth_pose_ros.core.skeleton import EDGES, INDEX, JOINTS
from depth_pose_training.data import shards
from depth_pose_training.data.synthetic import poses, room, samples
from depth_pose_training.data.synthetic.bodies import BodyModel
from depth_pose_training.data.synthetic.config import GeneratorConfig, NoiseConfig
from depth_pose_training.data.synthetic.mocap import load_clips, split
from depth_pose_training.data.synthetic.render import Mesh, Renderer, Viewpoint
from depth_pose_training.data.synthetic.retarget import Details
from depth_pose_training.data.synthetic.samples import HIDDEN, OUTSIDE, VISIBLE, Generator
from depth_pose_training.data.synthetic.sensor import SENSORS, Sensor, measure

PERFECT = NoiseConfig(
    strength=(0, 0), edge_dropout=(0, 0), grazing_dropout=(0, 0), blotches=0, speckle=(0,),
    flying=0, multipath=0, shadow=0, median=0,
)  # fmt: skip

LIMBS = [
    (f"{side}{a}", f"{side}{b}")
    for side in ("Left", "Right")
    for a, b in (("Shoulder", "Elbow"), ("Elbow", "Wrist"), ("Hip", "Knee"), ("Knee", "Foot"))
]


@pytest.fixture(scope="module")
def bodies() -> BodyModel:
    return BodyModel()


@pytest.fixture(scope="module")
def generator() -> Generator:
    rng = np.random.default_rng(0)
    clip = np.stack([poses.sample(rng, "standing")[0] for _ in range(4)]).astype(np.float32)
    return Generator([clip], pool=4)


def test_limbs_point_where_the_figure_says(bodies: BodyModel) -> None:
    rng = np.random.default_rng(3)
    figures = np.stack([poses.sample(rng, mode)[0] for mode in poses.MODES for _ in range(3)])
    posed = bodies.pose(
        figures, bodies.sample_shapes(len(figures), rng), Details.relaxed(len(figures))
    )
    angles = []
    for figure, body in zip(figures, posed, strict=True):
        for a, b in LIMBS:
            want = figure[INDEX[b]] - figure[INDEX[a]]
            got = body.joints[INDEX[b]] - body.joints[INDEX[a]]
            cos = want @ got / np.linalg.norm(want) / np.linalg.norm(got)
            angles.append(np.degrees(np.arccos(np.clip(cos, -1, 1))))
    # Blended first segments (shoulder, hip) may miss a little; nothing points elsewhere.
    assert np.median(angles) < 3
    assert np.max(angles) < 25


def test_joints_lie_inside_the_body_and_left_is_left(bodies: BodyModel) -> None:
    rng = np.random.default_rng(4)
    standing = np.stack([poses.sample(rng, "standing")[0] for _ in range(4)])
    shapes = bodies.sample_shapes(4, rng)
    for body in bodies.pose(standing, shapes, Details.sample(4, rng)):
        assert 1.25 < body.stature < 2.1
        low, high = body.vertices.min(0), body.vertices.max(0)
        assert ((body.joints > low) & (body.joints < high)).all()
        assert body.joints[INDEX["LeftShoulder"], 0] > body.joints[INDEX["RightShoulder"], 0]
        hips = body.joints[[INDEX["LeftHip"], INDEX["RightHip"]]]
        assert body.joints[INDEX["Head"], 2] > hips[:, 2].max() + 0.4


@pytest.mark.parametrize("mode", list(poses.MODES))
def test_sampled_figures_keep_their_lengths(mode: str) -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        figure, name = poses.sample(rng, mode)
        assert name == mode
        assert np.isfinite(figure).all()
        for side in ("Left", "Right"):
            thigh = figure[INDEX[f"{side}Knee"]] - figure[INDEX[f"{side}Hip"]]
            assert np.linalg.norm(thigh) == pytest.approx(0.42, abs=1e-6)


def test_sitting_people_have_bent_hips_and_knees() -> None:
    rng = np.random.default_rng(6)
    for _ in range(20):
        figure, _ = poses.sample(rng, "sitting")
        knee = figure[INDEX["LeftKnee"]] - figure[INDEX["LeftHip"]]
        assert knee[2] > -0.35  # a hanging thigh would be -0.42


def test_rays_hit_meshes_at_their_projection() -> None:
    viewpoint = Viewpoint(np.array((0.2, -0.1, 1.1)), pitch=-0.3, roll=0.1)
    target = np.array((0.5, 2.5, 0.6))
    scene = Renderer([room.box((20, 0.1, 20), (0, 6, 0)), room.box((0.1,) * 3, target)])
    x, y, z = viewpoint.to_optical(target)
    depth, mesh = scene.cast(viewpoint, np.array([[x / z]]), np.array([[y / z]]))
    assert mesh[0, 0] == 1
    assert depth[0, 0] == pytest.approx(z, abs=0.09)
    nothing, none = scene.cast(viewpoint, np.array([[0.0]]), np.array([[-5.0]]))
    assert nothing[0, 0] >= 0
    assert none.shape == (1, 1)


def test_a_wall_has_the_same_depth_everywhere() -> None:
    wall = Mesh(
        np.array([(-9, 3, -9), (9, 3, -9), (9, 3, 9), (-9, 3, 9)], np.float32),
        np.array([(0, 1, 2), (0, 2, 3)], np.int32),
    )
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, 9), np.linspace(-0.4, 0.4, 7))
    depth, _ = Renderer([wall]).cast(Viewpoint(np.zeros(3), 0.0, 0.0), x, y)
    np.testing.assert_allclose(depth, 3.0, rtol=1e-5)


@pytest.mark.parametrize("kind", ["tof", "structured"])
def test_sensors_keep_holes_and_return_millimetres(kind: str) -> None:
    true = np.full((80, 90), 2.5, np.float32)
    true[:, 45:] = 4.0
    true[:10] = 0
    errors = {}
    for seed in range(12):
        seen = measure(true, kind, 1 / 365, np.random.default_rng(seed))
        assert (seen[:8] == 0).all()
        np.testing.assert_allclose(seen * 1000, np.round(seen * 1000), atol=1e-3)
        for z, columns in ((2.5, slice(5, 40)), (4.0, slice(55, 85))):
            there = seen[15:, columns]
            errors.setdefault(z, []).append(np.abs(there[there > 0] - z).mean())
    assert np.mean(errors[2.5]) < np.mean(errors[4.0]) < 0.03


def test_the_same_seed_gives_the_same_samples(generator: Generator) -> None:
    first, second = (next(iter(generator.stream((5, 1)))) for _ in range(2))
    np.testing.assert_array_equal(first[1].depth, second[1].depth)
    for a, b in zip(first[0], second[0], strict=True):
        np.testing.assert_array_equal(a.depth, b.depth)
        np.testing.assert_array_equal(a.joints, b.joints)


def test_visible_joints_lie_below_the_measured_surface(generator: Generator) -> None:
    checked = right = 0
    for made, view in (s for s, _ in zip(generator.stream(7), range(12), strict=False)):
        for crop in made:
            frame = crops.CropFrame(*(float(v) for v in crop.frame))
            pixels = np.round(frame.from_space(crop.joints)).astype(int)
            for k in np.flatnonzero(crop.visible == VISIBLE):
                x, y = pixels[k]
                if not (2 <= x < crops.WIDTH - 2 and 2 <= y < crops.HEIGHT - 2):
                    continue
                near = crop.depth[y - 2 : y + 3, x - 2 : x + 3].astype(float)
                near = near[near != crops.MISSING] / 1000 + frame.z_ref
                if len(near) == 0:
                    continue
                below = crop.joints[k, 2] - near
                checked += 1
                # Noise may leave of a joint's pixels only one that shows a limb beside it.
                right += below.max() > -0.05 and below.min() < 0.35
        uv = view.camera.project(view.joints) if len(view.joints) else np.zeros((0, 19, 2))
        # Judged on the full image: leave its coarse copy's edge a pixel.
        outside = (uv < -1).any(-1) | (uv[..., 0] > view.camera.width)
        assert (view.visible[outside] == OUTSIDE).all()
        assert np.isin(view.visible, (VISIBLE, HIDDEN, OUTSIDE)).all()
    assert checked > 50
    assert right >= 0.98 * checked


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_a_rendered_crop_equals_one_cut_from_the_image(
    generator: Generator, sensor: Sensor
) -> None:
    scene = next(s for s, _ in generator.scenes(3) if s.people)
    scene = replace(scene, sensor=sensor)
    camera, rng = sensor.camera, np.random.default_rng(0)
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    whole, _ = scene.cast((u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy)
    whole[whole > 12] = 0
    frame = crops.frame_around(scene.people[0].joints[INDEX["MiddleSpine"]] + (0.1, 0.2, 0))
    made = samples._crop_depth(scene, frame, None, GeneratorConfig(noise=PERFECT), rng)
    cut = crops.cut(whole, camera, frame)
    ours = crops.from_millimetres(crops.relative_millimetres(made, frame))
    # Structured light counts in steps; a pixel half way between two may be either.
    assert (np.abs(ours - cut) < 0.05).mean() > 0.995


def test_shards_round_trip_and_refuse_other_files(generator: Generator, tmp_path: Path) -> None:
    made, views = [], []
    for some, view in generator.stream(9):
        made += some
        views.append(view)
        if len(made) >= 3:
            break
    path = tmp_path / "shard_00000.npz"
    shards.write(path, shards.pack(made, views))
    back = shards.read(path)
    np.testing.assert_array_equal(back.depth[1], made[1].depth)
    np.testing.assert_array_equal(back.joints[2], made[2].joints)
    h, w = views[0].depth.shape
    np.testing.assert_allclose(back.view_depth[0, :h, :w] / 1000, views[0].depth, atol=6e-4)
    assert back.view_people.tolist() == [len(v.joints) for v in views]
    assert shards.list_shards(tmp_path) == [path]
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="not a shard"):
        shards.read(tmp_path / "other.npz")
    with pytest.raises(FileNotFoundError, match="generate"):
        shards.list_shards(tmp_path / "empty")


def test_motion_files_are_read_by_name_and_split_by_clip(tmp_path: Path) -> None:
    names = ["head", "neck", "spine_mid", "r_shoulder", "r_elbow", "r_wrist", "l_shoulder",
             "l_elbow", "l_wrist", "r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle",
             "spine_shoulder", "spine_base", "r_hand", "l_hand"]  # fmt: skip
    pos = np.zeros((20, 19, 3), np.float32)
    pos[:, names.index("head")] = (0.1, 1.7, 0.2)  # y up
    start = np.arange(0, 21, 2)
    path = tmp_path / "motion.npz"
    np.savez(path, pos=pos, joints=names, start=start)
    clips = load_clips(path)
    assert [len(c) for c in clips] == [2] * 10
    np.testing.assert_allclose(clips[0][0, INDEX["Head"]], (0.1, -0.2, 1.7), atol=1e-6)
    assert len(split(clips, validation=True)) == 2
    assert len(split(clips, validation=False)) == 8
    np.savez(path, pos=pos[:, 1:], joints=names[1:], start=start)
    with pytest.raises(ValueError, match="head"):
        load_clips(path)


def test_the_skeleton_is_connected_as_the_body_is(bodies: BodyModel) -> None:
    rng = np.random.default_rng(8)
    body = bodies.pose(poses.sample(rng, "standing")[0][None], bodies.sample_shapes(1, rng),
                       Details.relaxed(1))[0]  # fmt: skip
    for edge in EDGES:
        length = np.linalg.norm(body.joints[edge.child] - body.joints[edge.parent])
        assert 0.02 < length < 0.6, (JOINTS[edge.parent], JOINTS[edge.child])
