"""All benchmarks: ``python -m benchmarks --help``.

Each runs in a process of its own, without the threads and memory of the others.
"""

import argparse
import importlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from benchmarks import report
from benchmarks.settings import ROOT, NotMeasured, Settings
from depth_pose_ros.core.backends.backend import BackendName

NAMES = ("machine", "stages", "estimate", "chain", "peers", "node_load")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 where a benchmark failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short runs, to check that it works")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--backend", choices=get_args(BackendName), default="auto")
    parser.add_argument("--model", help="weights by name or path (default: the shipped ones)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json")
    parser.add_argument("--worker", choices=NAMES, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    settings = Settings(args.quick, args.threads, args.backend, args.model, args.device)
    if args.worker:
        print(json.dumps(work(args.worker, settings)))
        return 0
    results: dict[str, Any] = {"settings": asdict(settings)}
    for name in args.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        results[name] = in_process(name, sys.argv[1:] if argv is None else argv)
    document = {**report.goals(results), "reasons": report.reasons(results), "details": results}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(document, indent=1) + "\n")
    print(report.table(results), f"\n{args.out}")
    return int(any("failed" in value for value in results.values()))


def work(name: str, settings: Settings) -> dict[str, Any]:
    """One benchmark, in this process."""
    try:
        found: dict[str, Any] = importlib.import_module(f"benchmarks.{name}").run(settings)
    except NotMeasured as error:
        return {"reason": str(error)}
    return found


def in_process(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """One benchmark in a new process; its failure is reported and does not end the others."""
    command = [sys.executable, "-m", "benchmarks", *arguments, "--worker", name]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        return {"reason": done.stderr.strip().splitlines()[-1], "failed": True}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    sys.exit(main())
