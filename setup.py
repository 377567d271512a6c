"""Installs the ROS package: Python modules, executables and everything under share/."""

from pathlib import Path

from setuptools import setup

PACKAGE = "depth_pose_ros"
HERE = Path(__file__).resolve().parent


def shared_files() -> list[tuple[str, list[str]]]:
    """(destination, files) of everything that goes to share/, with paths relative to this file."""
    found: dict[str, list[str]] = {}
    for folder in ("launch", "config", "models"):
        for path in sorted((HERE / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                relative = path.relative_to(HERE)
                found.setdefault(f"share/{PACKAGE}/{relative.parent}", []).append(str(relative))
    return sorted(found.items())


setup(
    name=PACKAGE,
    version="0.1.0",
    description="Body tracking from a depth camera: 3-D skeletons as markers, TF and a point cloud",
    license="Apache-2.0",
    maintainer="depth_pose_ros maintainers",
    maintainer_email="maintainers@depth-pose-ros.example",
    python_requires=">=3.10",
    packages=[
        PACKAGE,
        *(f"{PACKAGE}.{part}" for part in ("network", "runtime", "tracking", "demo")),
    ],
    package_data={f"{PACKAGE}.demo": ["*.bin"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *shared_files(),
    ],
    zip_safe=False,
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    entry_points={
        "console_scripts": [
            "depth_pose_node = depth_pose_ros.main:main",
            "depth_pose_demo = depth_pose_ros.demo.__main__:main",
            "depth_pose_player = depth_pose_ros.demo.player:main",
        ],
    },
)
