"""Which of several run folders learned better: ``python -m depth_pose_training compare --help``.

All stages of each (the paper's ablation) on the same held-out crops, so that Algorithm 1's rounds
and joint fine-tuning can be told apart.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from depth_pose_training.configs.cli import option, parse
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.evaluation.labelled_crops import STAGES, evaluate
from depth_pose_training.learning import run_folder

_NEED = (run_folder.FCN, run_folder.JOINT_DEPTH_OFFSET, run_folder.MATCHNET, run_folder.INFERENCE)
#: Summaries of the errors by run folder and stage.
Results = dict[str, dict[str, dict[str, float]]]


def compare(runs: Sequence[Path], data: CropDataset, limit: int) -> Results:
    """All stages of every run folder on at most ``limit`` crops, evenly spread.

    Raises:
        RunError: a folder lacks a step.
    """
    chosen = data.evenly_spaced(limit)
    results: Results = {}
    for run in runs:
        network = run_folder.load_network(run, run_folder.kept_config(run), need=_NEED)
        errors, _ = evaluate(network, data, chosen)
        results[str(run)] = {stage: errors[stage].summary() for stage in STAGES}
    return results


def table(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """The numbers as text."""
    columns = list(next(iter(next(iter(results.values())).values())))
    wide = max(len(run) for run in results) + len(max(STAGES, key=len)) + 4
    lines = [" " * wide + "".join(f"{c:>13}" for c in columns)]
    for run, stages in results.items():
        for stage, numbers in stages.items():
            cells = "".join(f"{numbers[c]:>13.2f}" for c in columns)
            lines.append(f"{run + ', ' + stage:<{wide}}{cells}")
    return "\n".join(lines)


@dataclass(frozen=True)
class CompareOptions:
    """Options of the step."""

    runs: tuple[Path, ...] = option("complete run folders")
    data: Path = option("folder of held-out shards")
    limit: int = option("maximum number of crops, evenly spaced", 500)
    out: Path | None = option("JSON file for the results", None)
    threads: int = option("threads of the CPU", 2)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    args = parse(CompareOptions, argv, "compare")
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    results = compare(args.runs, CropDataset(args.data, mapped=True), args.limit)
    print(table(results))
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(results, indent=1) + "\n")
