"""Compare run folders: all stages of each (the paper's ablation) on the same held-out crops.

Shows the effect of the rounds of Algorithm 1 and of end-to-end fine-tuning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from depth_pose_training.configs.cli import option, parse
from depth_pose_training.data.batches import CropDataset
from depth_pose_training.evaluation.labelled_crops import STAGES, evaluate
from depth_pose_training.evaluation.report import markdown_table, write_json
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


def table(results: Results) -> str:
    """The numbers as text, a row per run folder and stage."""
    rows = [
        [f"{run}, {stage}", *(f"{value:.2f}" for value in numbers.values())]
        for run, stages in results.items()
        for stage, numbers in stages.items()
    ]
    columns = next(iter(next(iter(results.values())).values()))
    return markdown_table(["run, stage", *columns], rows)


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
        write_json(args.out, results)
