"""The results: numbers for the project's goals, and a table."""

from typing import Any

Results = dict[str, Any]


def goals(results: Results) -> Results:
    """The numbers that the project's goals refer to; None if not measured."""
    default, paper = (_get(results, "chain", name) for name in ("default", "paper"))
    return {
        "estimate_over_mediapipe": _ratio(
            _get(results, "estimate", "estimate", "p50"),
            _get(results, "estimate", "mediapipe", "tracked", "p50"),
        ),
        "paper_chain_over_fcn": _get(paper, "chain_over_fcn"),
        "matchnet_dp_over_paper_fcn": _get(paper, "matchnet_dp_over_fcn"),
        "matchnet_dense_speedup": _get(default, "dense_speedup"),
        "extra_person_ratio": _get(results, "estimate", "extra_person_ratio"),
        "node_rate_hz": _get(results, "node_load", "rate_hz"),
        "node_latency_ms_p50": _get(results, "node_load", "latency_ms", "p50"),
        "node_latency_ms_p99": _get(results, "node_load", "latency_ms", "p99"),
        "rss_mb": _get(results, "node_load", "rss_mb"),
        "first_skeleton_s": _get(results, "node_load", "first_skeleton_s"),
    }


def reasons(results: Results) -> dict[str, str]:
    """Why something was not measured, by name."""
    found: dict[str, str] = {}
    for name, value in results.items():
        if isinstance(value, dict):
            inner = reasons(value)
            found |= {f"{name} / {key}": reason for key, reason in inner.items()}
        elif name == "reason":
            found[""] = value
    return {key.removesuffix(" / "): reason for key, reason in found.items()}


def table(results: Results) -> str:
    """All times, then the goals' numbers."""
    lines = [f"{'milliseconds':<52}{'p50':>10}{'p95':>10}{'p99':>10}{'runs':>7}"]
    _add(lines, "", results)
    lines += ["", *(f"{name:<52}{_shown(value):>10}" for name, value in goals(results).items())]
    lines += [f"not measured: {name}: {reason}" for name, reason in reasons(results).items()]
    machine = results.get("machine", {})
    if "matrix_gflops" in machine:
        floor = ", ".join(f"{ms} ms ({name})" for name, ms in machine["fcn_floor_ms"].items())
        lines.append(
            f"{machine['processor']}, {machine['cores']} cores, {machine['matrix_gflops']} Gflop/s "
            f"in matrix products; at that rate the FCNs' arithmetic takes {floor}"
        )
    return "\n".join(lines)


def _add(lines: list[str], name: str, value: Any) -> None:
    if not isinstance(value, dict):
        return
    if {"p50", "p95", "p99"} <= set(value):
        cells = "".join(f"{value[p]:>10.2f}" for p in ("p50", "p95", "p99"))
        lines.append(f"{name:<52}{cells}{value.get('runs', ''):>7}")
        return
    for key, inner in value.items():
        _add(lines, f"{name} / {key}" if name else key, inner)


def _get(value: Any, *path: str) -> Any:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _ratio(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else round(a / b, 4)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
