"""Installs the ROS package: Python modules, executables and everything under share/."""

import platform
from pathlib import Path

from setuptools import Extension, find_packages, setup

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


def compiled() -> list[Extension]:
    """The compiled code, once per instruction set.

    Optional: without a C++ compiler the package installs, and torch does the work more slowly.
    """
    instruction_sets: dict[str, list[str]] = {"generic": []}
    if platform.machine() in ("x86_64", "AMD64"):
        avx512 = ["-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq"]
        instruction_sets["avx512"] = [*avx512, "-mfma", "-mprefer-vector-width=512"]
        instruction_sets["avx2"] = ["-mavx2", "-mfma"]
    # The parts of -ffast-math that change no result here and leave the process's rounding mode.
    flags = ["-O3", "-std=c++17", "-fno-exceptions", "-fno-rtti", "-fno-math-errno"]
    flags += ["-ffinite-math-only", "-fno-signed-zeros", "-fno-trapping-math", "-Wno-psabi"]
    folder = f"{PACKAGE}/core/backends/native"
    return [
        Extension(
            f"{PACKAGE}.core.backends.native._{name}",
            [f"{folder}/{source}.cpp" for source in ("proposals", "matchnet", "tree_inference")],
            depends=[f"{folder}/vectors.h"],
            extra_compile_args=[*flags, *options],
            language="c++",
            optional=True,
        )
        for name, options in instruction_sets.items()
    ]


setup(
    name=PACKAGE,
    version="0.1.0",
    description="Body tracking from a depth camera: 3-D skeletons as markers, TF and a point cloud",
    license="Apache-2.0",
    maintainer="depth_pose_ros maintainers",
    maintainer_email="maintainers@depth-pose-ros.example",
    python_requires=">=3.10",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={f"{PACKAGE}.demo.sources": ["*.bin"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *shared_files(),
    ],
    ext_modules=compiled(),
    zip_safe=False,
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    entry_points={
        "console_scripts": [
            "depth_pose_node = depth_pose_ros.ros.main:main",
            "depth_pose_demo = depth_pose_ros.demo.__main__:main",
            "depth_pose_player = depth_pose_ros.demo.player:main",
        ],
    },
)
