"""Ending on Ctrl-C; test_node_process.py has it with real processes."""

import signal
import sys

import pytest

from depth_pose_ros.ros.stop_signal import StopSignal


class HalfBuilt:
    def __del__(self) -> None:
        raise AttributeError("never finished")


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> StopSignal:
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(sys, "unraisablehook", lambda error: print(error.exc_value))
    return StopSignal()


def test_the_first_signal_interrupts_the_start_and_none_the_spinning(stop: StopSignal) -> None:
    with pytest.raises(KeyboardInterrupt):
        stop(signal.SIGINT, None)
    assert stop.came
    stop(signal.SIGINT, None)
    later = StopSignal()
    later.spinning = True
    later(signal.SIGTERM, None)
    assert later.came


def test_destructors_are_heard_until_a_signal_came(
    stop: StopSignal, capsys: pytest.CaptureFixture[str]
) -> None:
    HalfBuilt()
    assert "never finished" in capsys.readouterr().out
    stop.came = True
    HalfBuilt()
    assert capsys.readouterr().out == ""
