"""Camera presets, the RViz configuration and the launch files."""

import ast
import importlib.util
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CAMERAS = yaml.safe_load((ROOT / "launch" / "cameras.yaml").read_text())
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))


def test_documented_cameras_have_presets():
    assert {path.stem for path in (ROOT / "config").glob("*.yaml")} == set(CAMERAS)
    assert set(CAMERAS) >= {
        "kinect2_sd",
        "kinect2_qhd",
        "azure_kinect",
        "realsense",
        "orbbec",
        "openni2",
    }


@pytest.mark.parametrize("name", CAMERAS)
def test_camera_has_topics_a_frame_and_a_parameter_file(name):
    camera = CAMERAS[name]
    assert set(camera) == {"depth_topic", "camera_info_topic", "frame"}
    depth, info = camera["depth_topic"], camera["camera_info_topic"]
    assert depth.startswith("/") and info == f"{depth.rpartition('/')[0]}/camera_info"
    assert camera["frame"] and not camera["frame"].startswith("/")
    parameters = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
    assert parameters == {"/**": {"ros__parameters": {"rectified": "rect" in depth}}}


@pytest.mark.parametrize("name", CAMERAS)
def test_node_takes_the_parameter_file_of_a_camera(ros, name):
    pytest.importorskip("rclpy", reason="needs ROS 2: `make setup` installs it")
    from depth_pose_ros.ros.node import DepthPoseNode

    path = ROOT / "config" / f"{name}.yaml"
    node = ros.add(DepthPoseNode(cli_args=["--ros-args", "--params-file", str(path)]))
    assert node.get_parameter("rectified").value == ("rect" in CAMERAS[name]["depth_topic"])


def test_rviz_configuration_shows_depth_skeletons_and_tf():
    view = yaml.safe_load((ROOT / "config" / "depth_pose.rviz").read_text())
    displays = {d["Class"].split("/")[1]: d for d in view["Visualization Manager"]["Displays"]}
    assert {"DepthCloud", "MarkerArray", "TF"} <= {k for k, d in displays.items() if d["Enabled"]}
    assert displays["DepthCloud"]["Depth Map Topic"] == "/depth/image"
    assert displays["MarkerArray"]["Topic"]["Value"] == "/depth_pose_node/markers"
    assert displays["PointCloud2"]["Topic"]["Value"] == "/depth_pose_node/joints"
    assert displays["Image"]["Topic"]["Value"] == "/depth_pose_node/overlay"
    assert set(displays["MarkerArray"]["Namespaces"]) == {"joints", "bones", "labels"}


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_launch_file_defines_its_description(path):
    """Also checked without the package launch, which PyPI lacks."""
    functions = [n.name for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)]
    assert "generate_launch_description" in functions


def load(name: str):
    """A launch file as a module."""
    pytest.importorskip("launch_ros", reason="needs ROS's launch and launch_ros (not on PyPI)")
    spec = importlib.util.spec_from_file_location(name, ROOT / "launch" / f"{name}.launch.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def started(**given: str):
    """The nodes of depth_pose.launch.py, with names, remappings and parameters evaluated."""
    module = load("depth_pose")
    from launch import LaunchContext

    context = LaunchContext()
    for argument in module.arguments():
        argument.execute(context)
    context.launch_configurations.update(given)
    nodes = module.start(context)
    for node in nodes:
        node._perform_substitutions(context)
    return nodes


def remappings(node) -> dict[str, str]:
    return dict(node.expanded_remapping_rules)


@pytest.mark.parametrize("name", CAMERAS)
def test_each_camera_is_remapped_to_its_topics(name):
    (node,) = started(camera=name)
    assert remappings(node) == {
        "depth/image": CAMERAS[name]["depth_topic"],
        "depth/camera_info": CAMERAS[name]["camera_info_topic"],
    }
    assert node.node_name == "/depth_pose_node"


def test_camera_info_topic_defaults_to_the_namespace_of_the_depth_topic():
    (node,) = started(depth_topic="/my/depth/image", namespace="robot1")
    assert remappings(node) == {
        "depth/image": "/my/depth/image",
        "depth/camera_info": "/my/depth/camera_info",
    }
    assert node.node_name == "/robot1/depth_pose_node"
    (node,) = started(depth_topic="/my/depth/image", camera_info_topic="/other/camera_info")
    assert remappings(node)["depth/camera_info"] == "/other/camera_info"


def test_only_given_arguments_are_set():
    module = load("depth_pose")
    given = dict.fromkeys((a.name for a in module.arguments()), "")
    nothing = module.explicit_parameters({**given, "autostart": "true", "use_sim_time": "false"})
    assert nothing == {"autostart": True, "use_sim_time": False}
    explicit = module.explicit_parameters(
        {
            **given,
            **{"autostart": "false", "use_sim_time": "true", "rectified": "false"},
            **{"model": "7", "target_frame": "map", "id_prefix": "front"},
        }
    )
    assert {"target_frame", "id_prefix"} <= set(explicit)
    assert (explicit["autostart"], explicit["use_sim_time"]) == (False, True)
    assert explicit["rectified"] is False
    assert explicit["model"].value_type is str


def test_rviz_is_remapped_to_the_topics_of_camera_and_node():
    node, _, rviz = started(rviz="true", camera="realsense", namespace="/robot1/")
    assert remappings(rviz) == {
        "/depth/image": remappings(node)["depth/image"],
        "/depth/camera_info": remappings(node)["depth/camera_info"],
        "/depth_pose_node/markers": "/robot1/depth_pose_node/markers",
        "/depth_pose_node/joints": "/robot1/depth_pose_node/joints",
        "/depth_pose_node/overlay": "/robot1/depth_pose_node/overlay",
    }


def test_several_cameras_have_their_own_namespaces_and_ids(tmp_path):
    several, one = load("several"), load("depth_pose")
    front, rear = several.read(several.EXAMPLE)
    assert (front["namespace"], front["id_prefix"]) == ("front", "front")
    assert (rear["namespace"], rear["id_prefix"]) == ("rear", "rear")
    known = {argument.name for argument in one.arguments()}
    for given in (front, rear):
        assert set(given) <= known
        (node,) = started(**given)
        assert node.node_name == f"/{given['namespace']}/depth_pose_node"
        assert remappings(node)["depth/image"] == given["depth_topic"]
    file = tmp_path / "cameras.yaml"
    file.write_text("left: {camera: openni2, rectified: false, id_prefix: a}")
    assert several.read(file) == [
        {"namespace": "left", "id_prefix": "a", "camera": "openni2", "rectified": "false"}
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "contains no camera"),
        ("0: {}", "letters and digits"),
        ("front: realsense", "arguments"),
    ],
)
def test_invalid_file_of_cameras_is_an_error(tmp_path, content, message):
    file = tmp_path / "cameras.yaml"
    file.write_text(content)
    with pytest.raises(ValueError, match=message):
        load("several").read(file)


def test_demo_passes_its_arguments_to_the_node():
    from_file = load("demo").generate_launch_description()
    names = [argument.name for argument in from_file.get_launch_arguments()]
    assert {"source", "rviz", "model", "device", "params_file", "log_level"} <= set(names)


def test_documentation_lists_topics_frame_and_remappings_of_each_camera():
    page = (ROOT / "docs" / "cameras.md").read_text()
    for name, camera in CAMERAS.items():
        depth, info, frame = camera["depth_topic"], camera["camera_info_topic"], camera["frame"]
        (row,) = (line for line in page.splitlines() if f"`{name}.yaml`" in line)
        assert row.startswith(f"| `{name}`")
        assert f"| `{depth}` | `{info}` | `{frame}` |" in row
        assert f"| `{name}` | `-r depth/image:={depth} -r depth/camera_info:={info}` |" in page
