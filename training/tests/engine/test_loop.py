"""The loop all networks are trained by: kills, many processes, and what it keeps."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from depth_pose_training.data.batches import Batch, CropDataset
from depth_pose_training.data.loader import CropLoader, LoaderError
from depth_pose_training.engine import loop, tensorboard
from depth_pose_training.engine.checkpoints import CheckpointError, Files, read, write_whole
from depth_pose_training.engine.distributed import (
    SINGLE_PROCESS,
    Distributed,
    DistributedError,
    Precision,
)
from depth_pose_training.engine.loop import LoopConfig, Task
from depth_pose_training.learning import pictures, train_fcn
from training_helpers import distributed_program
from training_helpers.stick_figures import write_figures

TESTS = Path(__file__).parents[1]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_figures(tmp_path_factory.mktemp("figures"), 12)


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Batch))


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(TESTS), *sys.path])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def test_two_processes_get_what_one_gets(folder: Path, tmp_path: Path) -> None:
    """Without batch normalization, which is the one thing that distributed.py excepts."""
    distributed_program.run(folder, tmp_path / "one")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2",
               "--master-port=0", "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0",
               str(TESTS / "training_helpers" / "distributed_program.py"),
               str(folder), str(tmp_path / "two")]  # fmt: skip
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    start = distributed_program.PlainFcn().state_dict()
    for name in ("fcn.pt", "matchnet.pt"):
        one, two = (read(tmp_path / distributed / name) for distributed in ("one", "two"))
        assert one["step"] == two["step"] == 4
        assert one["place"] == two["place"]
        for key, value in one["model"].items():
            assert torch.allclose(value, two["model"][key], atol=1e-5), (name, key)
    one = read(tmp_path / "one/fcn.pt")["model"]
    assert all((one[k] - v).abs().max() > 1e-4 for k, v in start.items())  # it did learn
    logs = [
        (tmp_path / distributed / "fcn.jsonl").read_text().splitlines()
        for distributed in ("one", "two")
    ]
    losses = [[json.loads(line)["loss"] for line in log] for log in logs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)  # process 0 alone wrote it, once


def test_a_batch_shared_is_the_same_batch(folder: Path) -> None:
    data = CropDataset(folder)
    whole = CropLoader(data, 4, seed=3, distributed=SINGLE_PROCESS)
    halves = [CropLoader(data, 4, 3, Distributed(rank, 2, CPU)) for rank in (0, 1)]
    streams = [s.start(None, 0) for s in (whole, *halves)]
    for (all_rows, _), (first, _), (second, _) in islice(zip(*streams, strict=True), 5):
        assert torch.equal(all_rows.crops, torch.cat((first.crops, second.crops)))
        assert torch.equal(all_rows.pixels, torch.cat((first.pixels, second.pixels)))
    with pytest.raises(DistributedError, match="cannot be shared by 2"):
        CropLoader(data, 3, 0, Distributed(0, 2, CPU))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_stream_goes_on_from_its_place(folder: Path, workers: int) -> None:
    stream = CropLoader(CropDataset(folder), 5, seed=0, distributed=SINGLE_PROCESS, workers=workers)
    batches = list(islice(stream.start(None, 0), 5))
    places = [place for _, place in batches]
    assert [(p["epoch"], p["batch"]) for p in places] == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1)]
    for done in (1, 2):
        again = list(islice(stream.start(places[done - 1], done), 5 - done))
        assert all(same(a, b) for (a, _), (b, _) in zip(again, batches[done:], strict=True))


def test_new_shards_end_the_cut_off_epoch(folder: Path, tmp_path: Path) -> None:
    write_figures(tmp_path, 4)
    stream = CropLoader(CropDataset(tmp_path), 2, seed=0, distributed=SINGLE_PROCESS)
    (_, place), = islice(stream.start(None, 0), 1)  # fmt: skip
    (tmp_path / "shard_00001.npz").write_bytes((folder / "shard_00000.npz").read_bytes())
    (_, after), = islice(stream.start(place, 1), 1)  # fmt: skip
    assert after == {"epoch": 1, "batch": 1, "crops": 16}


def test_too_few_crops_are_refused(folder: Path) -> None:
    with pytest.raises(LoaderError, match="12 crops are too few for a batch of 13"):
        next(CropLoader(CropDataset(folder), 13, 0, SINGLE_PROCESS).start(None, 0))


def fcn_command(folder: Path, out: Path) -> list[str]:
    return ["--data", str(folder), "--validation", str(folder), "--out", str(out), "--batch", "2",
            "--threads", "1", "--steps", "12", "--checkpoint-every", "2", "--seed", "1",
            "--device", "cpu"]  # fmt: skip


def test_a_killed_run_loses_at_most_an_interval_and_ends_the_same(
    folder: Path, tmp_path: Path
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(
        [sys.executable, "-m", "depth_pose_training", "train_fcn", *fcn_command(folder, killed)],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    log = killed / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") >= 3):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = int(json.loads(log.read_text().splitlines()[2])["step"])
    assert reached - 2 <= read(killed / "checkpoint.pt")["step"] < 12

    train_fcn.main(fcn_command(folder, killed))
    train_fcn.main(fcn_command(folder, whole))
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == list(range(2, 13, 2))
    expected, found = (read(f / "checkpoint.pt")["model"] for f in (whole, killed))
    assert all(torch.allclose(expected[k].float(), found[k].float(), atol=1e-5) for k in expected)


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(()))


def fit_line(
    tmp_path: Path, steps: int, loss=None, optimizer: str = "sgd", precision: Precision = "fp32"
) -> Line:
    class Points:
        def start(self, place, step):
            while True:
                step += 1
                yield _Point(torch.tensor(float(step))), {"batch": step}

    model = Line()
    kind = torch.optim.SGD if optimizer == "sgd" else torch.optim.AdamW
    task = Task(
        model, model, kind(model.parameters(), 0.1),
        loss or (lambda module, batch, step: (module.slope - batch.x).square()), dict,
    )  # fmt: skip
    files = Files(tmp_path / "line.pt", tmp_path / "line.jsonl")
    loop.fit(
        task,
        Points(),
        LoopConfig(steps, 2, 0.1, precision),
        files,
        SINGLE_PROCESS,
        tensorboard.TensorBoardLogger(None),
    )
    return model


class _Point(Batch):
    """A batch of one number."""

    def __init__(self, x: Tensor, *unused: Tensor) -> None:
        object.__setattr__(self, "x", x)
        for f in fields(Batch):
            object.__setattr__(self, f.name, x)


def test_a_scaled_loss_takes_the_same_steps_and_its_scale_is_kept(tmp_path: Path) -> None:
    whole = fit_line(tmp_path / "fp32", 4)
    fit_line(tmp_path / "fp16", 2, precision="fp16")
    assert read(tmp_path / "fp16/line.pt")["scaler"]["scale"] > 1
    scaled = fit_line(tmp_path / "fp16", 2, precision="fp16")
    expected = fit_line(tmp_path / "two", 2)
    assert scaled.slope.item() == pytest.approx(expected.slope.item(), rel=1e-4)
    assert whole.slope.item() != expected.slope.item()


def test_leftovers_of_a_kill_do_not_matter(tmp_path: Path) -> None:
    fit_line(tmp_path, 4)
    (tmp_path / "line.pt.part").write_bytes(b"half a file")
    with (tmp_path / "line.jsonl").open("a") as log:
        log.write('{"step": 6, "loss": 1.0}\n{"step": 8, "lo')
    fit_line(tmp_path, 6)
    steps = [json.loads(s)["step"] for s in (tmp_path / "line.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 6]
    assert read(tmp_path / "line.pt")["place"] == {"batch": 6}


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    fit_line(tmp_path, 2)
    with pytest.raises(loop.TrainingError, match="lower rate"):
        fit_line(tmp_path, 4, loss=lambda module, batch, step: module.slope * float("nan"))
    assert read(tmp_path / "line.pt")["step"] == 2


def test_foreign_checkpoints_are_refused(tmp_path: Path) -> None:
    fit_line(tmp_path, 2)
    with pytest.raises(CheckpointError, match="another optimizer"):
        fit_line(tmp_path, 4, optimizer="adamw")
    write_whole(tmp_path / "line.pt", {"model": {}, "optimizer": {}, "step": 1})
    with pytest.raises(CheckpointError, match="does not fit"):
        fit_line(tmp_path, 4)
    (tmp_path / "line.pt").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        fit_line(tmp_path, 4)


def test_weights_alone_are_where_a_new_run_starts(tmp_path: Path) -> None:
    write_whole(tmp_path / "line.pt", {"model": {"slope": torch.tensor(5.0)}})
    model = fit_line(tmp_path, 1)
    assert read(tmp_path / "line.pt")["step"] == 1
    assert 4 < model.slope.item() < 5


def test_pictures_show_the_truth_above_the_estimate(folder: Path) -> None:
    batch = CropDataset(folder).batch(np.arange(2))
    picture = pictures.skeletons(batch, batch.pixels)
    height = picture.shape[0] // 2 - 2
    assert np.array_equal(picture[:height], picture[-height:])
    # Drawn where the joints are: with another estimate only the lower half differs.
    other = pictures.skeletons(batch, batch.pixels + 9)
    assert np.array_equal(other[:height], picture[:height])
    assert not np.array_equal(other[-height:], picture[-height:])
    u, v = (2 * batch.pixels[0, 0].numpy() + 0.5).round().astype(int)
    assert picture[v, u].max() > picture[v, u].min()  # colored, on grey


def test_tensorboard_gets_numbers_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.summary.writer import event_file_writer

    # Files of one second are read in the order of their numbers as texts: no 9 and 10 here.
    numbers = event_file_writer.AtomicCounter(0)
    monkeypatch.setattr(event_file_writer, "_global_uid", numbers)
    first = tensorboard.TensorBoardLogger(tmp_path)
    first.scalars(2, {"step": 2, "loss": 1.5, "name": "x"})
    first.scalars(4, {"step": 4, "loss": 9.0})
    resumed = tensorboard.TensorBoardLogger(tmp_path)  # from the checkpoint of step 2
    resumed.forget_after(2)
    resumed.scalars(4, {"step": 4, "loss": 1.0})
    image = np.zeros((4, 6, 3), np.uint8)
    image[..., 2] = 255  # red, in BGR
    resumed.picture(4, lambda: image)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(2, 1.5), (4, 1.0)]
    assert events.Tags()["scalars"] == ["loss"]
    data = np.frombuffer(events.Images("validation")[0].encoded_image_string, np.uint8)
    assert (cv2.imdecode(data, cv2.IMREAD_COLOR) == image).all()
