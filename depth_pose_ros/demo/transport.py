"""Room for large images in Fast DDS's shared memory."""

import os
from pathlib import Path

#: Distributions whose Fast DDS still goes by its old name.
_FASTRTPS = ("humble", "iron", "jazzy")
_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")

_PROFILE = """\
<?xml version="1.0" encoding="UTF-8"?>
<dds xmlns="http://www.eprosima.com">
  <profiles>
    <transport_descriptors>
      <transport_descriptor>
        <transport_id>shared_memory</transport_id>
        <type>SHM</type>
        <segment_size>16777216</segment_size>
      </transport_descriptor>
      <transport_descriptor>
        <transport_id>udp</transport_id>
        <type>UDPv4</type>
      </transport_descriptor>
    </transport_descriptors>
    <participant profile_name="large_images" is_default_profile="true">
      <rtps>
        <userTransports>
          <transport_id>shared_memory</transport_id>
          <transport_id>udp</transport_id>
        </userTransports>
        <useBuiltinTransports>false</useBuiltinTransports>
      </rtps>
    </participant>
  </profiles>
</dds>
"""


def large_images(folder: Path) -> dict[str, str]:
    """Environment variables for a process that publishes images of more than half a megabyte.

    A publisher's shared memory is 512 kB by default; of images that do not fit into it (640 x 480
    and more), a best-effort subscriber on the same machine loses the most.  Other middlewares do
    not read these variables; a profile that the user has set stays.

    Args:
        folder: where the profile is written, ``fastdds.xml``.
    """
    if any(os.environ.get(name) for name in _VARIABLES):
        return {}
    path = folder / "fastdds.xml"
    path.write_text(_PROFILE)
    return {_VARIABLES[os.environ.get("ROS_DISTRO") in _FASTRTPS]: str(path.resolve())}
