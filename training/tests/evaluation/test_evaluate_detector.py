"""Detection metrics: matching of several people, false positives, recall by distance."""

from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest

from depth_pose_ros.core.detection import Detection
from depth_pose_training.data.people import torso_centre
from depth_pose_training.evaluation import detection
from depth_pose_training.evaluation.predictions import predict
from depth_pose_training.evaluation.summary import people_table, summarize
from training_helpers.scenes import FixedPoses, scene


def counts(p):
    return p.counted.tolist(), p.matched.tolist(), p.false.tolist()


def test_estimates_of_several_people_are_matched_by_position():
    frame, body = scene([0.0, 1.2])
    p = predict({"": FixedPoses(body, 1.25, 0.02, 3.0)}, [frame])[""]
    assert counts(p) == ([2], [2], [1])
    error = np.linalg.norm(p.joints[0] - frame.target.joints, axis=1)
    assert error == pytest.approx(0.02, abs=1e-5)
    p = predict({"": FixedPoses(body, 1.25)}, [frame])[""]
    assert counts(p) == ([2], [1], [0])
    assert not p.found.any()


def test_hardly_visible_people_are_neither_missed_nor_false_positives():
    frame, body = scene([0.0, 1.2], counted=[False])
    assert counts(predict({"": FixedPoses(body, 0.0, 1.2)}, [frame])[""]) == ([1], [1], [0])
    assert counts(predict({"": FixedPoses(body, 0.0)}, [frame])[""]) == ([1], [1], [0])


def test_second_estimate_of_a_person_is_a_false_positive():
    frame, body = scene([0.0])
    assert counts(predict({"": FixedPoses(body, 0.0, 0.1)}, [frame])[""]) == ([1], [1], [1])


def test_empty_rooms_count_only_false_positives():
    frame, body = scene([])
    p = predict({"": FixedPoses(body, 0.0)}, [frame, frame])[""]
    assert counts(p) == ([0, 0], [0, 0], [1, 1])
    summary = summarize(p, "Neck")
    assert summary["found"] is None
    assert summary["not_found"] == []
    assert summary["people"]["false_per_frame"] == 1
    assert summary["people"]["recall"] is None
    assert "false/frame" in people_table({"full": summary})


def test_recall_by_distance(tmp_path):
    near, _ = scene([0.0])
    crowd, _ = scene([0.0, 1.2])
    empty, _ = scene([])

    def detector(frame):
        """Detects the labelled person only, and gives a false positive in empty rooms."""
        known = frame.target.valid.any()
        centre = torso_centre(frame.target.joints) - (0, 0, 0.1) if known else np.array((0, 0, 2.0))
        return [Detection(centre, 0.9)]

    found = detection.summarize(
        detection.count(detection.detect_frames(detector, [near, near, crowd, empty]))
    )
    assert found["one person"]["2.5 to 3.0 m"] == {"people": 2, "found": 1.0}
    assert found["one person"]["1.0 to 1.5 m"] == {"people": 0, "found": None}
    person = replace(near.target, joints=near.target.joints - np.float32([0, 0, 2.0]))
    close = replace(near, people=(person,))
    at_hand = detection.summarize(detection.count(detection.detect_frames(detector, [close])))
    assert at_hand["one person"]["nearer than 1.0 m"] == {"people": 1, "found": 1.0}
    assert at_hand["one person"]["1.0 to 4.5 m"]["people"] == 0
    assert found["all people"] == {"people": 4, "found": 0.75}
    assert found["empty rooms"] == {"rooms": 1, "with false positives": 1.0}
    assert found["false per frame"] == 0.25
    assert found["error_mm"] == pytest.approx(100)
    missed = detection.detect_frames(lambda _: [], [near, empty])
    blind = detection.summarize(detection.count(missed))
    assert blind["one person"]["1.0 to 4.5 m"] == {"people": 1, "found": 0.0}
    assert blind["empty rooms"]["with false positives"] == 0
    assert "2.5 to 3.0 m" in detection.table(found)
    detection.plot(found, tmp_path / "plot.png")
    assert cv2.imread(str(tmp_path / "plot.png")) is not None


def test_poses_are_detections_at_several_minimum_scores():
    frame, body = scene([0.0, 1.2])
    empty, _ = scene([])
    estimator = FixedPoses(body, 0.02, 1.25, 3.0)  # scores 1, 0.9, 0.8
    frames = detection.detect_frames(
        partial(detection.estimator_detections, estimator), [frame, empty]
    )
    counts = {score: detection.count(frames, score) for score in (0.0, 0.85, 0.95)}
    assert [(c.found.tolist(), c.false.tolist()) for c in counts.values()] == [
        ([2, 0], [1, 3]), ([2, 0], [0, 2]), ([1, 0], [0, 1])
    ]  # fmt: skip
    lines = detection.sweep_table(frames, [0.0, 0.95]).replace("|", "").splitlines()
    assert lines[2].split() == ["0", "-", "100.0", "%", "100.0", "%", "2.000"]
    assert lines[3].split() == ["0.95", "-", "50.0", "%", "100.0", "%", "0.500"]
