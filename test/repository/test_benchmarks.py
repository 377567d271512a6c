"""The benchmarks' arithmetic; times are not tested."""

import pytest
import torch

from benchmarks import report
from benchmarks.chain import naive_appearance
from benchmarks.machine import multiply_adds
from benchmarks.timing import interleave, measure, ratio, summary
from depth_pose_ros.core.models.config import ModelConfig
from depth_pose_ros.core.models.fcn import PaperFcn
from depth_pose_ros.core.models.matchnet import MatchNet


def test_percentiles_are_in_milliseconds() -> None:
    found = summary([i / 1000 for i in range(1, 101)])
    assert found == {"p50": 50.5, "p95": 95.05, "p99": 99.01, "runs": 100}
    assert ratio({"p50": 3.0}, {"p50": 2.0}) == 1.5


def test_works_are_called_by_turns() -> None:
    calls: list[str] = []
    works = {name: lambda name=name: calls.append(name) for name in "ab"}
    assert set(interleave(works, 0.0, min_runs=3)) == {"a", "b"}
    assert calls == ["a", "a", "b", "b", *"ababab"]
    calls.clear()
    interleave(
        works, seconds=0.0, min_runs=1, before=dict.fromkeys("ab", lambda: calls.append("-"))
    )
    assert calls == ["a", "a", "b", "b", *"-a-b"]
    assert measure(lambda: None, 0.0, min_runs=4)["runs"] == 4


def test_paper_fcn_has_15_6_gmac() -> None:
    macs = multiply_adds(PaperFcn(), torch.zeros(1, 1, 216, 176))
    assert macs / 1e9 == pytest.approx(15.6, abs=0.15)  # with the 1 x 1 layer of depths


@pytest.mark.parametrize("shared", [True, False])
def test_naive_matchnet_equals_the_dense_one(shared: bool) -> None:
    torch.manual_seed(0)
    net = MatchNet(
        ModelConfig(templates=3, tower=(4, 6, 8, 8, 5), metric_units=(7, 6), shared_tower=shared)
    ).eval()
    net.templates.uniform_(-1, 1)
    torch.nn.init.normal_(net.match_weight)
    crops, weights = torch.rand(1, 1, 216, 176), torch.randn(19, 3)
    pixels = torch.randint(30, 170, (1, 19, 2, 2))
    with torch.inference_mode():
        plain = naive_appearance(net, crops, pixels, weights)
        assert plain.std() > 0.05
        assert torch.allclose(plain, net.weighted_matches(crops, pixels, weights), atol=1e-4)


def test_unmeasured_results_are_none_with_a_reason() -> None:
    results = {
        "peers": {"reason": "too slow"},
        "estimate": {
            "estimate": {"p50": 12.0, "p95": 13.0, "p99": 14.0, "runs": 9},
            "mediapipe": {"reason": "no wheel"},
        },
        "node_load": {"rate_hz": 29.9, "latency_ms": {"p50": 20.0, "p95": 30.0, "p99": 40.0}},
    }
    numbers = report.goals(results)
    assert set(numbers) == {
        "estimate_over_mediapipe", "paper_chain_over_fcn", "matchnet_dp_over_paper_fcn",
        "matchnet_dense_speedup", "extra_person_ratio", "node_rate_hz", "node_latency_ms_p50",
        "node_latency_ms_p99", "rss_mb", "first_skeleton_s",
    }  # fmt: skip
    assert numbers["estimate_over_mediapipe"] is None
    assert numbers["node_latency_ms_p99"] == 40.0
    assert report.reasons(results) == {"peers": "too slow", "estimate / mediapipe": "no wheel"}
    text = report.table(results)
    assert "not measured: estimate / mediapipe: no wheel" in text
    assert "estimate / estimate" in text
    assert "None" not in text and "Gflop/s" not in text
    rates = {"processor": "P", "cores": 2, "matrix_gflops": 200.0, "fcn_floor_ms": {"paper": 155.0}}
    assert "at that rate the FCNs' arithmetic takes 155.0 ms (paper)" in report.table(
        {"machine": rates}
    )
    results["estimate"]["mediapipe"] = {"tracked": {"p50": 10.0, "p95": 1.0, "p99": 1.0}}  # type: ignore[index,dict-item]
    assert report.goals(results)["estimate_over_mediapipe"] == 1.2


def test_alexnet_layers_fit_the_input_size() -> None:
    from benchmarks.peer_networks import AlexPose

    with torch.inference_mode():
        assert AlexPose(2).eval()(torch.zeros(1, 1, 220, 220)).shape == (1, 2)
