"""Algorithm 1: FCN, proposals, templates, MatchNet and latent structural SVM, in rounds.

Every round writes a run folder, ``round_1``, ``round_2`` and so on, for ``export_weights`` and
``compare``.  The steps take their options from their sections of the file given with ``--config``.
An interrupted run continues where it stopped.  With torchrun all processes train the networks and
the first one runs the other steps.

The first round trains everything.  Later rounds start from its weights:

1. the FCN is trained further with Eqn. 6 and, through the tree inference, with the structured loss
   at the current MatchNet and w (``finetune`` with parts: fcn), with weight ``--feedback``.  The
   paper's Algorithm 1 has Eqn. 6 alone: ``--feedback 0``;
2. MatchNet is trained further with Eqn. 7 on the new proposals.  The templates do not change: they
   are made of true patches;
3. w is learned again.

The rounds end when the objective of Eqn. 9 changes by less than the fraction ``--tolerance``, or
after ``--rounds``.  The score of Eqn. 2 is logged too.
"""

import json
import shutil
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depth_pose_training.configs import cli
from depth_pose_training.configs.cli import build, option
from depth_pose_training.configs.groups import CommonOptions, Device
from depth_pose_training.engine import step_options
from depth_pose_training.engine.checkpoints import read, write_text, write_whole
from depth_pose_training.engine.distributed import Distributed, join
from depth_pose_training.learning import (
    joint_depth_offset,
    run_folder,
    templates,
    train_fcn,
    train_matchnet,
)
from depth_pose_training.structured import finetune as finetuning
from depth_pose_training.structured.finetune import FinetuneOptions, finetune
from depth_pose_training.structured.learn_inference import (
    LearnInferenceOptions,
    learn_inference,
    score,
)

LOG = "algorithm1.jsonl"
_DONE = "done.json"  # list of the completed steps of a round


@dataclass(frozen=True)
class Algorithm1Options(CommonOptions):
    """Options of the step."""

    run: Path = option("folder of the rounds")
    model: str = option("compact, paper or a JSON file", "compact")
    data: tuple[Path, ...] = option("folders of training shards")
    validation: Path = option("folder of held-out shards")
    rounds: int = option("maximum number of rounds", 3)
    tolerance: float = option("relative change of the objective at which the rounds end", 0.02)
    feedback: float = option("weight of the structured loss of the FCN; 0: Eqn. 6 alone", 1.0)
    fcn_steps: int = option("training steps of the FCN in later rounds", 1000)
    fcn_rate: float = option("maximum learning rate of the FCN in later rounds", 1e-4)
    matchnet_steps: int = option("training steps of MatchNet in later rounds", 500)
    matchnet_rate: float = option("maximum learning rate of MatchNet in later rounds", 1e-3)
    device: Device = option("auto selects a GPU if there is one", "auto")


@dataclass(frozen=True)
class Step:
    """One step of a round.

    Attributes:
        name: in the list of completed steps.
        run: the function to call.
        distributed: all processes take part, else only the first.
    """

    name: str
    run: Callable[[], object]
    distributed: bool = False


class Rounds:
    """The steps of all rounds, with their common options.

    Args:
        options: of Algorithm 1.
        file: YAML file with the sections of the steps; None for the defaults.
    """

    def __init__(self, options: Algorithm1Options, file: Path | None) -> None:
        self._options = options
        self._file = file
        self._common: dict[str, Any] = {
            "data": options.data, "seed": options.seed, "threads": options.threads,
        }  # fmt: skip
        self._network_options = {
            **self._common, "validation": options.validation, "device": options.device,
        }  # fmt: skip

    def folder(self, number: int) -> Path:
        """Run folder of a round; rounds count from 1."""
        return self._options.run / f"round_{number}"

    def steps(self, number: int) -> list[Step]:
        """The steps of a round."""
        return self._first() if number == 1 else self._later(number)

    def _first(self) -> list[Step]:
        folder = self.folder(1)
        run = {"run": folder, "config": self._options.model, **self._common}
        return [
            Step("fcn", lambda: self._fcn(out=folder), distributed=True),
            Step("joint_depth_offset", lambda: self._argparse(joint_depth_offset, **run)),
            Step("templates", lambda: self._argparse(templates, **run)),
            Step("matchnet", lambda: self._matchnet(folder), distributed=True),
            Step("inference", lambda: self._inference(folder)),
        ]

    def _later(self, number: int) -> list[Step]:
        before, folder, options = self.folder(number - 1), self.folder(number), self._options
        again = {"out": folder, "steps": options.fcn_steps, "rate": options.fcn_rate}
        matchnet = {"steps": options.matchnet_steps, "rate": options.matchnet_rate}
        return [
            Step("carry over", lambda: carry_over(before, folder)),
            Step(
                "fcn",
                lambda: (
                    self._finetune(before, **again) if options.feedback > 0 else self._fcn(**again)
                ),
                distributed=True,
            ),
            Step("matchnet", lambda: self._matchnet(folder, **matchnet), distributed=True),
            Step("inference", lambda: self._inference(folder)),
        ]

    def _fcn(self, **values: Any) -> None:
        config = run_folder.named_config(self._options.model)
        network = {
            "fcn": config.fcn,
            "blocks": config.fcn_blocks,
            "up_blocks": config.fcn_up_blocks,
            "fine_blocks": config.fcn_fine_blocks,
        }
        self._argparse(train_fcn, **network, **self._network_options, **values)

    def _finetune(self, before: Path, **values: Any) -> None:
        structured = {"parts": ["fcn"], "eqn7": 0.0, "structured": self._options.feedback}
        values |= {"run": before, **structured, **self._network_options}
        finetune(build(FinetuneOptions, self._file, "finetune", **values))

    def _matchnet(self, folder: Path, **values: Any) -> None:
        self._argparse(train_matchnet, run=folder, **self._network_options, **values)

    def _inference(self, folder: Path) -> None:
        values = {"run": folder, **self._network_options}
        learn_inference(build(LearnInferenceOptions, self._file, "learn_inference", **values))

    def _argparse(self, module: Any, **values: Any) -> None:
        """Run a step whose options are defined by an argparse parser."""
        step, parser = module.__name__.rsplit(".", 1)[-1], module.arguments()
        if self._file is not None:
            step_options.apply(parser, step_options.read(self._file), step)
        defaults = {a.dest: a.default for a in parser._actions if a.dest != "help"}
        module.run(Namespace(**{**defaults, **values}))


def carry_over(before: Path, folder: Path) -> None:
    """Copy the files of the previous round; of the networks only the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (run_folder.CONFIG, run_folder.JOINT_DEPTH_OFFSET, run_folder.TEMPLATES):
        shutil.copyfile(before / name, folder / name)
    for name in (run_folder.FCN, run_folder.MATCHNET):
        write_whole(folder / name, {"model": read(before / name)["model"]})


def algorithm1(options: Algorithm1Options, file: Path | None = None) -> Path:
    """Run all rounds.

    Args:
        options: of Algorithm 1.
        file: YAML file with the sections of the steps; None for the defaults.

    Returns:
        The folder of the best round on held-out crops.
    """
    distributed = join(options.device)
    if distributed.is_main_process:
        cli.save(options.run, "algorithm1", options)
    rounds = Rounds(options, file)
    reports: list[dict[str, Any]] = []
    for number in range(1, options.rounds + 1):
        folder = rounds.folder(number)
        for step in rounds.steps(number):
            run_once(step, folder, distributed)
        reports.append({"round": number, **summary(folder)})
        if distributed.is_main_process:
            write_text(options.run / LOG, "".join(json.dumps(r) + "\n" for r in reports))
            print(json.dumps(reports[-1]), flush=True)
        if number > 1 and converged(reports, options.tolerance):
            break
    best = rounds.folder(max(reports, key=score)["round"])
    if distributed.is_main_process:
        print(f"best on held-out crops: {best}")
    return best


def converged(reports: Sequence[dict[str, Any]], tolerance: float) -> bool:
    """Whether the last round changed the objective of Eqn. 9 by less than this fraction."""
    before, now = (float(r["eqn_9"]) for r in reports[-2:])
    return abs(before - now) <= tolerance * abs(before)


def summary(folder: Path) -> dict[str, Any]:
    """Last logged losses, objective and quality of a round."""
    inference = _entries(folder / "inference.jsonl")
    chosen = inference[-1]
    best = next(
        e for e in reversed(inference) if e.get("learner") == chosen["chosen"] and "full" in e
    )
    fcn = folder / finetuning.LOG
    matchnet = _entries(folder / run_folder.MATCHNET_LOG)[-1]
    return {
        "fcn_loss": _entries(fcn if fcn.exists() else folder / run_folder.FCN_LOG)[-1]["loss"],
        "matchnet_loss": matchnet["loss"],
        "proposals_within_5px": matchnet["nearest_within_5px"],
        "learner": chosen["chosen"],
        "eqn_2": chosen["eqn_2"],
        "eqn_9": chosen["eqn_9"],
        **best["full"],
    }


def run_once(step: Step, folder: Path, distributed: Distributed) -> None:
    """Run a step of a round unless it is complete."""
    path = folder / _DONE
    done: list[str] = distributed.broadcast(
        lambda: json.loads(path.read_text()) if path.exists() else []
    )
    if step.name in done:
        return
    if distributed.is_main_process:
        print(f"{folder.name}: {step.name}", flush=True)
    if step.distributed or distributed.is_main_process:
        step.run()
    if distributed.is_main_process:
        write_text(path, json.dumps([*done, step.name]))
    distributed.wait()


def _entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
