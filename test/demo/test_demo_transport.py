"""Fast DDS's profile for large images."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from depth_pose_ros.demo.transport import large_images

NEW, OLD = "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"


@pytest.mark.parametrize(("distribution", "name"), [("", NEW), ("humble", OLD), ("lyrical", NEW)])
def test_the_profile_has_room_for_a_full_hd_depth_image(tmp_path, monkeypatch, distribution, name):
    for variable in (NEW, OLD):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ROS_DISTRO", distribution)
    variables = large_images(tmp_path)
    assert list(variables) == [name]
    space = {"dds": "http://www.eprosima.com"}
    size = ElementTree.parse(Path(variables[name])).find(".//dds:segment_size", space)
    assert size is not None and int(size.text or 0) > 2 * 1920 * 1080 * 2


def test_the_users_own_profile_stays(tmp_path, monkeypatch):
    monkeypatch.setenv(OLD, "mine.xml")
    assert large_images(tmp_path) == {}
