"""Parts of scenes: walls, seats, clothes; nothing intersects."""

from itertools import combinations

import numpy as np
import pytest

from depth_pose_ros.core.skeleton import INDEX
from depth_pose_training.data.synthetic import poses, props, room
from depth_pose_training.data.synthetic.bodies import PARTS, BodyModel, collapse_edges
from depth_pose_training.data.synthetic.clothes import ClothingSampler, vertex_normals
from depth_pose_training.data.synthetic.config import ClothesConfig, parse
from depth_pose_training.data.synthetic.render import Mesh, Plane, Renderer, Viewpoint
from depth_pose_training.data.synthetic.retarget import Details
from depth_pose_training.data.synthetic.scene import sample_views
from depth_pose_training.data.synthetic.sensor import multipath


@pytest.fixture(scope="module")
def bodies() -> BodyModel:
    return BodyModel()


def test_multipath_affects_only_concave_corners() -> None:
    x, y = np.meshgrid((np.arange(256) - 128) / 180, (np.arange(208) - 104) / 180)
    viewpoint = Viewpoint(np.array((0.0, 0.0, 1.2)), -0.3, 0.0)
    floor, wall = Plane(np.array((0.0, 0.0, 1.0)), 0.0), Plane(np.array((0.0, 1.0, 0.0)), 3.0)
    z, _ = Renderer([]).cast(viewpoint, x, y, [floor, wall])
    corner = int(np.argmax(z[:, 128]))  # the wall seen from above is farthest where it ends
    added = np.mean([multipath(z, 1 / 180, 0.3, np.random.default_rng(i)) for i in range(4)], 0)
    assert 0.02 < added[corner, 128] < 0.15
    assert added[corner, 128] > 5 * added[20, 128]
    flat = np.full((104, 128), 2.5, np.float32)
    assert multipath(flat, 1 / 90, 0.3, np.random.default_rng(0)).max() == 0


def test_planes_hide_and_are_hidden() -> None:
    viewpoint = Viewpoint(np.array((0.0, 0.0, 1.0)), 0.0, 0.0, yaw=np.pi / 2)  # looks along -x
    scene = Renderer([room.box((0.2, 0.2, 0.2), (-2, 0, 1)), room.box((1, 1, 1), (-9, 0, 1))])
    x = np.array([[0.0, 0.3]])
    z, mesh = scene.cast(viewpoint, x, np.zeros_like(x), [Plane(np.array((-1.0, 0.0, 0.0)), 4.0)])
    np.testing.assert_allclose(z, [[1.9, 4.0]], atol=1e-5)
    assert mesh.tolist() == [[0, 2]]


def test_skipped_rays_do_not_change_the_result() -> None:
    """Skipping them changes nothing."""
    rng = np.random.default_rng(1)
    pieces = [room.move(room.random_furniture(rng), (x, 3 + x, 0)) for x in (-1, 0.3, 2)]
    viewpoint = Viewpoint(np.array((0.1, 0.0, 1.1)), -0.2, 0.1, 0.2)
    x, y = np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-0.8, 0.8, 50))
    around = room.box((0.01, 0.01, 0.01), (0, -1, 1.1))  # behind the camera
    behind = Mesh(np.concatenate((around.vertices, around.vertices + (0, 2, 9))).astype(np.float32),
                  around.faces)  # fmt: skip
    some, which = Renderer(pieces).cast(viewpoint, x, y)
    every, _ = Renderer([*pieces, behind]).cast(viewpoint, x, y)  # its box makes all rays count
    np.testing.assert_array_equal(some, every)
    assert (which >= 0).any() and (which < 0).any()


def test_collapsed_edges_preserve_the_shape() -> None:
    ball = room.lathe([(np.sin(a), -np.cos(a)) for a in np.linspace(0, np.pi, 40)], sides=60)
    kept, faces = collapse_edges(ball.vertices, ball.faces, 0.1)
    assert len(faces) < len(ball.faces) / 2
    assert faces.max() == len(kept) - 1
    small = Mesh(ball.vertices[kept], faces)
    viewpoint = Viewpoint(np.array((0.0, -4.0, 0.0)), 0.0, 0.0)
    x, y = np.meshgrid(np.linspace(-0.15, 0.15, 30), np.linspace(-0.15, 0.15, 30))
    (a, _), (b, _) = (Renderer([m]).cast(viewpoint, x, y) for m in (ball, small))
    assert np.abs(a - b).max() < 0.03


def test_clothes_offset_the_surface(bodies: BodyModel) -> None:
    rng = np.random.default_rng(2)
    body = bodies.pose(poses.sample(rng, "standing")[0][None], bodies.sample_shapes(1, rng),
                       Details.relaxed(1))[0]  # fmt: skip
    naked = ClothingSampler(bodies, ClothesConfig(probability=0, skirt=0, hair=0)).sample(body, rng)
    np.testing.assert_array_equal(naked.vertices, body.vertices)
    dressed = ClothingSampler(
        bodies, ClothesConfig(probability=1, thickness=(0.03, 0.03), skirt=0, hair=0)
    )
    moved = np.linalg.norm(dressed.sample(body, rng).vertices - body.vertices, axis=1)
    trunk = bodies.parts[:, list(PARTS).index("trunk")] > 0.9
    assert 0.015 < moved[trunk].mean() < 0.045
    assert moved[bodies.parts[:, list(PARTS).index("head")] > 0.99].max() < 1e-6
    haired = (
        ClothingSampler(bodies, ClothesConfig(probability=0, skirt=0, hair=1))
        .sample(body, rng)
        .vertices
    )
    grown = np.linalg.norm(haired - body.vertices, axis=1) > 1e-6
    assert grown.any()
    assert body.vertices[grown, 2].min() > body.joints[INDEX["UpperSpine"], 2] - 0.15
    skirted = ClothingSampler(bodies, ClothesConfig(probability=0, skirt=1, hair=0)).sample(
        body, rng
    )
    assert len(skirted.faces) > len(bodies.faces)
    below = skirted.vertices[len(body.vertices) :]
    assert np.linalg.norm(below[:, :2] - body.joints[INDEX["DownSpine"], :2], axis=1).max() < 0.6


def test_normals_point_outwards() -> None:
    ball = room.lathe([(np.sin(a), -np.cos(a)) for a in np.linspace(0.01, 3.13, 20)], sides=30)
    normals = vertex_normals(ball.vertices, ball.faces)
    assert ((normals * ball.vertices).sum(1) > 0.95).all()


def test_people_and_things_do_not_share_space(bodies: BodyModel) -> None:
    """People do not intersect furniture, each other or walls."""
    crowd = parse({"people": {"number": [0, 0, 0, 1]}, "objects": {"held": 0, "backpack": 0,
                   "both_hands": 0}, "room": {"furniture": 6, "back_wall": 1}})  # fmt: skip
    clothing = ClothingSampler(bodies, crowd.clothes)
    rng = np.random.default_rng(3)
    places = 0
    for _ in range(6):
        modes = ["sitting", "standing", "lying"]
        figures = np.stack([poses.sample(rng, m)[0] for m in modes])
        posed = bodies.pose(figures, bodies.sample_shapes(3, rng), Details.sample(3, rng))
        made = sample_views(list(zip(posed, modes, strict=True)), clothing, crowd, rng)
        assert 1 <= len(made) <= crowd.cameras.views
        for scene in made:
            places += len(scene.people)
            for person in scene.people:
                back = scene.viewpoint.rotation @ person.joints.T
                world = back.T + scene.viewpoint.position
                assert world[:, 2].min() > -0.01
                for plane in scene.planes:
                    side = np.sign(scene.viewpoint.position @ plane.normal - plane.offset)
                    assert (side * (world @ plane.normal - plane.offset) > -0.01).all()
            for a, b in combinations(scene.people, 2):
                assert np.linalg.norm(a.joints - b.joints, axis=1).min() > 0.05
    assert places > 12


@pytest.mark.parametrize("seed", range(6))
def test_seats_do_not_cut_the_body(bodies: BodyModel, seed: int) -> None:
    rng = np.random.default_rng(seed)
    figure = poses.sample(rng, "sitting")[0]
    body = bodies.pose(figure[None], bodies.sample_shapes(1, rng), Details.relaxed(1))[0]
    seat = props.seat(body.vertices, bodies.parts, body.joints, 0.0, rng)
    if seat is None:
        return
    hips = body.joints[[INDEX["LeftHip"], INDEX["RightHip"]]].mean(0)
    top = seat.vertices[np.abs(seat.vertices[:, 1] - hips[1]) < 0.6, 2]
    assert top.max() > hips[2] - 0.2
    # Rays up from the floor meet the seat before the person over the thighs, and no ray meets
    # the person more than the cushion's depth above the seat's top there.
    shins = body.vertices[bodies.parts[:, list(PARTS).index("shin")] > 0.9]
    for box in np.split(seat.vertices, len(seat.vertices) // 8):
        low, high = box.min(0) + 0.02, box.max(0) - 0.02
        assert not ((shins > low) & (shins < high)).all(1).any()


@pytest.mark.parametrize("seed", range(4))
def test_a_trunk_far_above_the_thighs_needs_no_seat_behind(seed: int) -> None:
    rng = np.random.default_rng(seed)
    thighs = rng.uniform((-0.15, -0.4, 0.4), (0.15, 0.0, 0.6), (50, 3))
    trunk = rng.uniform((-0.15, -0.1, 0.7), (0.15, 0.1, 1.2), (50, 3))
    parts = np.zeros((100, len(PARTS)))
    parts[:50, list(PARTS).index("thigh")] = 1
    parts[50:, list(PARTS).index("trunk")] = 1
    joints = np.zeros((19, 3))
    joints[[INDEX["LeftHip"], INDEX["RightHip"]], 2] = 0.75
    joints[[INDEX["LeftKnee"], INDEX["RightKnee"]]] = (0.0, -0.4, 0.45)
    seat = props.seat(np.concatenate((thighs, trunk)), parts, joints, 0.0, rng)
    assert seat is None or np.isfinite(seat.vertices).all()
