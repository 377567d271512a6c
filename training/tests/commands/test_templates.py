"""Surface offsets and templates."""

from pathlib import Path

import numpy as np
import pytest
import torch

from depth_pose_ros.core.skeleton import JOINTS, NUM_JOINTS
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.learning import joint_depth_offset, run_folder, templates
from training_helpers.stick_figures import OFFSET, TINY, write_figures


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> CropDataset:
    return CropDataset(write_figures(tmp_path_factory.mktemp("data"), 40))


def test_surface_offsets_are_the_depth_of_joints_below_what_is_seen(data: CropDataset) -> None:
    offsets = joint_depth_offset.joint_depth_offsets(data, limit=100, seed=0)
    assert offsets.shape == (NUM_JOINTS,)
    assert torch.allclose(offsets, torch.tensor(OFFSET), atol=1e-3)


def test_joints_out_of_sight_have_no_depth_below_the_surface(data: CropDataset) -> None:
    batch = data.batch(np.arange(2))
    batch.visible[0, 3] = 0
    batch.crops[1] = 1.0  # nothing measured
    below = joint_depth_offset.depths_below(batch)
    assert below[0, 3].isnan()
    assert below[0, 4].isfinite()
    assert below[1].isnan().all()


def test_a_joint_never_in_sight_is_named(
    data: CropDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = torch.zeros(4, NUM_JOINTS)
    below[:, 7] = torch.nan
    monkeypatch.setattr(joint_depth_offset, "depths_below", lambda batch: below)
    with pytest.raises(ValueError, match=JOINTS[7]):
        joint_depth_offset.joint_depth_offsets(data, limit=4, seed=0)


def test_true_patches_are_centred_on_the_joints(data: CropDataset) -> None:
    patches = templates.true_patches(data, extent=33, per_part=10, seed=0)
    assert [p.shape for p in patches] == [(10, 33, 33)] * NUM_JOINTS
    knee = patches[JOINTS.index("RightKnee")].astype(np.float32)
    # A disc of radius 6 round the middle pixel, nothing (1.0) beyond.
    assert (knee[:, 16, 16] < 0.5).mean() >= 0.8  # training blocks some crops' parts out
    assert np.median(knee[:, 16, 28]) == 1.0


def test_clusters_find_what_differs_inside_the_nominal_patch() -> None:
    rng = np.random.default_rng(0)
    kind = np.repeat([0, 1, 2], [30, 20, 10])
    patches = rng.normal(0, 0.01, (60, 33, 33))
    patches[:, 10:20, 10:20] += 0.3 * kind[:, None, None]
    centres, sizes = templates.cluster(patches.astype(np.float16), 3, 16, seed=0)
    assert sizes.tolist() == [30, 20, 10]
    assert np.allclose(centres[:, 15, 15], [0.0, 0.3, 0.6], atol=0.01)


def test_what_lies_beyond_the_nominal_patch_does_not_matter_but_is_kept() -> None:
    rng = np.random.default_rng(1)
    kind = np.repeat([0, 1], 20)
    patches = rng.normal(0, 0.01, (40, 33, 33))
    patches[:, 8:24, 8:24] += 0.2 * kind[:, None, None]
    patches[:, :, :8] += rng.normal(0, 5, (40, 1, 1))
    centres, _ = templates.cluster(patches.astype(np.float16), 2, 16, seed=0)
    assert np.allclose(np.sort(centres[:, 16, 16]), [0.0, 0.2], atol=0.02)
    assert centres.shape == (2, 33, 33)


def test_too_few_patches_are_an_error_that_names_the_part(data: CropDataset) -> None:
    with pytest.raises(ValueError, match=r"Head: 2 patches cannot make 3 templates"):
        templates.make_templates(data, count=3, patch=16, per_part=2, seed=0)


def test_the_same_seed_gives_the_same_templates(data: CropDataset) -> None:
    first, second = (templates.make_templates(data, 3, 16, 12, seed=4)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_commands_write_what_the_network_loads(tmp_path: Path) -> None:
    folder, run = write_figures(tmp_path / "data", 30), tmp_path / "run"
    config = tmp_path / "tiny.json"
    config.write_text(TINY.to_json())
    common = ["--run", str(run), "--config", str(config), "--data", str(folder), "--threads", "1"]
    joint_depth_offset.main(common)
    templates.main([*common, "--per-part", "12"])
    network = run_folder.load_network(run, TINY, need=())
    assert torch.allclose(network.joint_depth_offset, torch.tensor(OFFSET), atol=1e-3)
    assert network.matchnet.templates.std(1).amax() > 0.05
    assert (run / "templates.jsonl").exists()
    assert run_folder.kept_config(run) == TINY


def test_a_run_folder_keeps_to_one_configuration(tmp_path: Path) -> None:
    folder = write_figures(tmp_path / "data", 4)
    common = ["--run", str(tmp_path / "run"), "--data", str(folder), "--threads", "1"]
    joint_depth_offset.main([*common, "--config", "compact"])
    written = (tmp_path / "run" / run_folder.CONFIG).stat()
    with pytest.raises(run_folder.RunError, match="another configuration"):
        joint_depth_offset.main([*common, "--config", "paper"])
    # Nor is it written again: another process of the same step may be reading it.
    joint_depth_offset.main(common)
    again = (tmp_path / "run" / run_folder.CONFIG).stat()
    assert (again.st_ino, again.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
