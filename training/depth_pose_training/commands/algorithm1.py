"""Algorithm 1: FCN, proposals, templates, MatchNet, latent structural SVM, and round again.

``python -m depth_pose_training algorithm1 --help``.  Every round leaves a run folder of its own,
``round_1``, ``round_2`` and so on, that ``assemble`` and ``compare`` work with, and every step is
the command of its name, with the options of its section in ``--config-file``.  A stopped run goes
on where it stopped; under ``torchrun`` all processes train the networks, the first does the rest.

The first round learns everything.  Later ones start from its weights:

1. the FCN goes on by Eqn. 6 and, through the dynamic programme, by the structured loss at the
   present MatchNet and w (``finetune --parts fcn``), weighed by ``--feedback``.  The paper's
   Algorithm 1 prints Eqn. 6 alone: that is ``--feedback 0``;
2. MatchNet goes on by Eqn. 7 on the new proposals.  Templates stay: they are of true patches;
3. w is learned anew.

Rounds end when Eqn. 9's objective changes by less than ``--tolerance`` of itself, or at
``--rounds``.  Eqn. 2's score is logged beside it.
"""

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depth_pose_training.commands import (
    finetune,
    joint_depth_offset,
    learn_inference,
    templates,
    train_fcn,
    train_matchnet,
)
from depth_pose_training.configs import options
from depth_pose_training.engine.checkpoints import read, write_text, write_whole
from depth_pose_training.engine.distributed import Distributed, join
from depth_pose_training.learning import run_folder

LOG = "algorithm1.jsonl"
_DONE = "done.json"  # of a round: the steps that are


@dataclass(frozen=True)
class Step:
    """One step of a round.

    Attributes:
        name: in the round's list of what is done.
        run: does it.
        together: all processes take part; else the first alone.
    """

    name: str
    run: Callable[[], object]
    together: bool = False


class Rounds:
    """The steps of all rounds, with the options they share.

    Args:
        args: of :func:`arguments`.
        file: of options, with the steps' sections.
    """

    def __init__(self, args: argparse.Namespace, file: Path | None) -> None:
        self._args = args
        self._config = run_folder.named_config(args.config)
        self._common = ["--threads", str(args.threads), "--seed", str(args.seed)]
        self._common += ["--data", *(str(d) for d in args.data)]
        self._common += ["--config-file", str(file)] if file is not None else []
        self._network = ["--fcn", self._config.fcn, "--blocks", str(self._config.fcn_blocks)]
        self._network += ["--up-blocks", str(self._config.fcn_up_blocks)]
        self._network += ["--fine-blocks", str(self._config.fcn_fine_blocks)]
        self._held_out = ["--validation", str(args.validation), "--device", args.device]

    def folder(self, number: int) -> Path:
        """A round's run folder; rounds count from 1."""
        return Path(self._args.run) / f"round_{number}"

    def steps(self, number: int) -> list[Step]:
        """What a round does."""
        return self._first() if number == 1 else self._later(number)

    def _first(self) -> list[Step]:
        """Everything from nothing."""
        folder = self.folder(1)
        where = ["--run", str(folder)]
        fcn = ["--out", str(folder), *self._network, *self._held_out]
        return [
            self._step("fcn", train_fcn, fcn, together=True),
            self._step(
                "joint_depth_offset", joint_depth_offset, [*where, "--config", self._args.config]
            ),
            self._step("templates", templates, where),
            self._step("matchnet", train_matchnet, [*where, *self._held_out], together=True),
            self._step("inference", learn_inference, [*where, *self._held_out]),
        ]

    def _later(self, number: int) -> list[Step]:
        """What goes on from the round before."""
        before, folder, args = self.folder(number - 1), self.folder(number), self._args
        where = ["--run", str(folder), *self._held_out]
        slowly = ["--steps", str(args.fcn_steps), "--rate", str(args.fcn_rate)]
        slowly += ["--out", str(folder), *self._held_out]
        if args.feedback > 0:
            structured = ["--run", str(before), "--parts", "fcn", "--eqn7", "0"]
            structured += ["--structured", str(args.feedback)]
            fcn = self._step("fcn", finetune, [*slowly, *structured], together=True)
        else:
            printed = [*slowly, *self._network]
            fcn = self._step("fcn", train_fcn, printed, together=True)
        matchnet = ["--steps", str(args.matchnet_steps), "--rate", str(args.matchnet_rate)]
        return [
            Step("carry over", lambda: carry_over(before, folder)),
            fcn,
            self._step("matchnet", train_matchnet, [*where, *matchnet], together=True),
            self._step("inference", learn_inference, where),
        ]

    def _step(self, name: str, module: Any, argv: list[str], together: bool = False) -> Step:
        """A step by its own command line."""
        section = module.__name__.rsplit(".", 1)[-1]

        def run_it() -> None:
            parser = module.arguments()
            module.run(options.parse(parser, section, [*self._common, *argv]))

        return Step(name, run_it, together)


def carry_over(before: Path, folder: Path) -> None:
    """What a round starts from: everything of the one before, of its networks the weights alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (run_folder.CONFIG, run_folder.JOINT_DEPTH_OFFSET, run_folder.TEMPLATES):
        shutil.copyfile(before / name, folder / name)
    for name in (run_folder.FCN, run_folder.MATCHNET):
        write_whole(folder / name, {"model": read(before / name)["model"]})


def run(args: argparse.Namespace, file: Path | None = None) -> Path:
    """All rounds; returns the folder of the one that is best on held-out crops."""
    distributed = join(args.device)
    if distributed.is_main_process:
        options.save(args.run, "algorithm1", args)
    rounds = Rounds(args, file)
    reports: list[dict[str, Any]] = []
    for number in range(1, args.rounds + 1):
        folder = rounds.folder(number)
        for step in rounds.steps(number):
            once(step, folder, distributed)
        reports.append({"round": number, **summary(folder)})
        if distributed.is_main_process:
            write_text(args.run / LOG, "".join(json.dumps(r) + "\n" for r in reports))
            print(json.dumps(reports[-1]), flush=True)
        if number > 1 and converged(reports, args.tolerance):
            break
    best = rounds.folder(max(reports, key=learn_inference.score)["round"])
    if distributed.is_main_process:
        print(f"best on held-out crops: {best}")
    return best


def converged(reports: Sequence[dict[str, Any]], tolerance: float) -> bool:
    """Whether the last round changed Eqn. 9's objective by less than that part of it."""
    before, now = (float(r["eqn_9"]) for r in reports[-2:])
    return abs(before - now) <= tolerance * abs(before)


def summary(folder: Path) -> dict[str, Any]:
    """What a round's steps logged last: losses, the objective, and how good it is."""
    inference = _entries(folder / "inference.jsonl")
    chosen = inference[-1]
    of_chosen = next(
        e for e in reversed(inference) if e.get("learner") == chosen["chosen"] and "full" in e
    )
    fcn = folder / (finetune.LOG if (folder / finetune.LOG).exists() else run_folder.FCN_LOG)
    matchnet = _entries(folder / run_folder.MATCHNET_LOG)[-1]
    return {
        "fcn_loss": _entries(fcn)[-1]["loss"],
        "matchnet_loss": matchnet["loss"],
        "proposals_within_5px": matchnet["nearest_within_5px"],
        "learner": chosen["chosen"],
        "eqn_2": chosen["eqn_2"],
        "eqn_9": chosen["eqn_9"],
        **of_chosen["full"],
    }


def once(step: Step, folder: Path, distributed: Distributed) -> None:
    """Run a step of a round unless it is done already."""
    path = folder / _DONE
    done: list[str] = distributed.broadcast(
        lambda: json.loads(path.read_text()) if path.exists() else []
    )
    if step.name in done:
        return
    if distributed.is_main_process:
        print(f"{folder.name}: {step.name}", flush=True)
    if step.together or distributed.is_main_process:
        step.run()
    if distributed.is_main_process:
        write_text(path, json.dumps([*done, step.name]))
    distributed.wait()


def _entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def arguments() -> argparse.ArgumentParser:
    """The command's own options."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--run", type=Path, required=True, help="folder of the rounds")
    add("--config", default="compact", help="compact, paper, or a JSON file")
    add("--data", type=Path, nargs="+", required=True, help="folders of training shards")
    add("--validation", type=Path, required=True, help="folder of held-out shards")
    add("--rounds", type=int, default=3, help="at the most")
    add("--tolerance", type=float, default=0.02, help="change of the objective that ends it")
    add("--feedback", type=float, default=1.0, help="weight of the structured loss for the FCN; "
        "0: Eqn. 6 alone, as printed")  # fmt: skip
    add("--fcn-steps", type=int, default=1000, help="of later rounds; the first one's are its own")
    add("--fcn-rate", type=float, default=1e-4, help="highest learning rate of later rounds")
    add("--matchnet-steps", type=int, default=500, help="of later rounds")
    add("--matchnet-rate", type=float, default=1e-3, help="highest learning rate of later rounds")
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=2)
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    run(options.parse(arguments(), "algorithm1", argv), options.file_of(argv))
