"""Deferred signals and the Fast DDS profile."""

import os
import signal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from depth_pose_ros.demo.processes import SIGNALS, deferred_signals, fastdds_profile

NEW, OLD = "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"


@pytest.mark.parametrize(("distribution", "name"), [("", NEW), ("humble", OLD), ("lyrical", NEW)])
def test_segment_size_fits_a_full_hd_depth_image(tmp_path, monkeypatch, distribution, name):
    for variable in (NEW, OLD):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ROS_DISTRO", distribution)
    variables = fastdds_profile(tmp_path)
    assert list(variables) == [name]
    space = {"dds": "http://www.eprosima.com"}
    size = ElementTree.parse(Path(variables[name])).find(".//dds:segment_size", space)
    assert size is not None and int(size.text or 0) > 2 * 1920 * 1080 * 2


def test_user_profile_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv(OLD, "mine.xml")
    assert fastdds_profile(tmp_path) == {}


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_is_deferred_until_checked(number):
    before = signal.signal(number, signal.default_int_handler)
    try:
        reached = False
        with pytest.raises(KeyboardInterrupt), deferred_signals() as check:
            check()
            os.kill(os.getpid(), number)
            reached = True
            check()
        assert reached
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_pending_signal_is_raised_at_the_end():
    with pytest.raises(KeyboardInterrupt), deferred_signals():
        os.kill(os.getpid(), signal.SIGINT)


def test_errors_are_not_suppressed():
    with pytest.raises(ValueError, match="mine"), deferred_signals():
        raise ValueError("mine")
