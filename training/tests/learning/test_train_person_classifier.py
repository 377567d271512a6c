"""Whether a crop holds a person: candidates, learning, and what becomes of it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from depth_pose_ros.core import detection, weights
from depth_pose_ros.core.backends.backend import has_openvino
from depth_pose_ros.core.camera import Camera
from depth_pose_ros.core.crops import HEIGHT, WIDTH
from depth_pose_ros.core.models.detector import DetectorConfig, PersonDetector
from depth_pose_ros.core.models.fcn import CompactFcn
from depth_pose_ros.core.models.person_classifier import PersonClassifier
from depth_pose_ros.core.models.pose_network import PoseNetwork
from depth_pose_training.data import shards
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.data.datasets import LabelledFrame, LabelledPerson
from depth_pose_training.engine.checkpoints import read, write_whole
from depth_pose_training.errors import UserError
from depth_pose_training.learning import export_weights, run_folder, train_person_classifier
from depth_pose_training.learning.train_person_classifier import (
    Examples,
    fit,
    labels,
    loss,
    person_crops,
    report,
    shift_threshold,
)
from training_helpers.marked_shard import make_shard
from training_helpers.stick_figures import TINY, write_figures


def frame(*places: tuple[float, float, float] | None, asked: tuple[bool, ...]) -> LabelledFrame:
    """People whose joints are all at one place; the first one's are None where nobody is."""
    people = tuple(
        LabelledPerson(np.tile(p, (19, 1)), np.zeros((19, 2)), np.ones(19, bool), counted)
        for p, counted in zip(places, asked, strict=True)
        if p is not None
    )
    camera = Camera(100, 100, 50, 40, 100, 80)
    return LabelledFrame(np.zeros((80, 100), np.float32), camera, people, "synthetic")


def test_a_find_is_a_person_nobody_or_not_said() -> None:
    found = np.array([(0.1, 0, 2), (0.3, 0, 2), (1.2, 0, 2), (3.0, 0, 2)])
    some = frame((0.0, 0.0, 2.0), (1.0, 0.0, 2.0), asked=(True, False))
    # Twice the same person; a person too hidden to count; no person.
    np.testing.assert_array_equal(labels(found, some), [1, 1, np.nan, 0])
    np.testing.assert_array_equal(labels(found, frame(None, asked=(False,))), [0, 0, 0, 0])
    assert labels(np.empty((0, 3)), some).shape == (0,)


def test_the_loss_is_of_the_score_that_the_estimator_makes() -> None:
    head = PersonClassifier(4).eval()
    batch = Examples(torch.randn(5, 4), torch.randn(5), torch.tensor([0.0, 1, 1, 0, 1]))
    with torch.no_grad():
        pose = head(batch.context).sigmoid()
        scores = [
            detection.combine_scores(float(f), float(p))
            for f, p in zip(batch.detection.sigmoid(), pose, strict=True)
        ]
        expected = torch.nn.functional.binary_cross_entropy(torch.tensor(scores), batch.person)
        torch.testing.assert_close(loss(head, batch), expected, atol=1e-5, rtol=1e-5)


def test_the_head_learns_what_the_finder_does_not_know() -> None:
    torch.manual_seed(0)
    context = torch.randn(600, 12) * 3 + 1
    person = (context[:, 2] > 1).float()
    data = Examples(context, torch.zeros(600), person)
    head = PersonClassifier(12)
    fit(head, data, 20, 1e-2)
    assert report(head, data)["right"] > 0.95
    torch.testing.assert_close(head.mean, context.mean(0))


def test_a_lower_score_becomes_one_half() -> None:
    head = PersonClassifier(12).eval()
    context = torch.randn(1, 12)
    before = float(head(context).detach().sigmoid())
    find = 0.3
    shift_threshold(head, detection.combine_scores(find, before))
    assert detection.combine_scores(find, float(head(context).detach().sigmoid())) == pytest.approx(
        0.5
    )


def with_int8_features(options: list[str], folder: Path, run: Path) -> None:
    """The same step by a compiled FCN."""
    from depth_pose_ros.core.backends import int8
    from depth_pose_ros.core.backends.openvino_models import FcnMaps, convert

    learned = read(run / run_folder.PERSON)["model"]
    fcn = weights.load(folder / "out.safetensors").fcn
    model = convert(FcnMaps(fcn), (1, 1, HEIGHT, WIDTH))
    int8.write(folder / "out.int8.xml", model, fcn)
    train_person_classifier.main([*options, "--int8", str(folder / "out.int8.xml")])
    first, again = map(json.loads, (run / "person.jsonl").read_text().splitlines())
    assert again["examples"] == first["examples"]
    mean = read(run / run_folder.PERSON)["model"]["mean"]
    torch.testing.assert_close(mean, learned["mean"], atol=0.02, rtol=0.02)
    int8.write(folder / "other.int8.xml", model, CompactFcn())
    with pytest.raises(UserError, match="other weights"):
        train_person_classifier.main([*options, "--int8", str(folder / "other.int8.xml")])


def test_the_command_and_the_weights_it_ends_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    shards.write(data / "shard_00000.npz", make_shard(4, 0))
    write_figures(tmp_path / "crops", 5, seed=1)
    torch.manual_seed(0)
    network = PoseNetwork(TINY)
    run.mkdir()
    (run / run_folder.CONFIG).write_text(TINY.to_json())
    write_whole(run / run_folder.FCN, {"model": network.fcn.state_dict()})
    write_whole(tmp_path / "detector.pt", {"model": PersonDetector(DetectorConfig()).state_dict()})
    find = detection.Detection(np.array((0.1, 0.0, 1.9)), 0.4)
    away = detection.Detection(np.array((1.5, 0.0, 3.9)), 0.3)
    monkeypatch.setattr(train_person_classifier, "detect", lambda *_: [find, away])
    options = ["--run", str(run), "--detector", str(tmp_path / "detector.pt"), "--data", str(data)]
    options += ["--validation", str(data), "--people", str(tmp_path / "crops"), "--threads", "1"]
    train_person_classifier.main(options)
    entry = json.loads((run / "person.jsonl").read_text())
    # Twice, once flipped: four frames with and without a person, and five crops.
    assert (entry["examples"], entry["people"]) == (2 * (4 * 2 + 5), 2 * (4 + 5))

    learned = read(run / run_folder.PERSON)["model"]
    made = run_folder.load_network(run, replace(TINY, person=True))
    assert made.person is not None
    for key, value in made.person.state_dict().items():
        assert torch.equal(value, learned[key])
    for name, content in (
        (run_folder.JOINT_DEPTH_OFFSET, {"joint_depth_offset": network.joint_depth_offset}),
        (run_folder.TEMPLATES, {"templates": network.matchnet.templates}),
        (run_folder.MATCHNET, {"model": network.matchnet.state_dict()}),
        (run_folder.INFERENCE, {"model": {}}),
    ):
        write_whole(run / name, content)
    export_weights.export(run, tmp_path / "detector.pt", tmp_path / "out.safetensors")
    assert weights.load(tmp_path / "out.safetensors").config.person

    if has_openvino():
        with_int8_features(options, tmp_path, run)

    monkeypatch.setattr(train_person_classifier, "detect", lambda *_: [])
    with pytest.raises(UserError, match="has no detection"):
        train_person_classifier.main(options)


def test_crops_of_people_are_seen_from_both_sides(tmp_path: Path) -> None:
    write_figures(tmp_path, 3, seed=2)
    fcn = CompactFcn().eval()
    data = CropDataset(tmp_path)
    seen = person_crops(fcn, data, 1.5)
    images = data.batch(np.arange(3)).crops
    with torch.no_grad():
        expected = torch.cat((fcn(images).context, fcn(images.flip(-1)).context))
    torch.testing.assert_close(seen.context, expected, atol=1e-4, rtol=1e-4)
    assert seen.detection.tolist() == [1.5] * 6 and seen.person.tolist() == [1.0] * 6
