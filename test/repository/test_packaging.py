"""package.xml, setup.py and setup.cfg agree with the code."""

import ast
import configparser
import importlib.util
import re
import subprocess
import sys
from email.utils import parseaddr
from pathlib import Path
from xml.etree import ElementTree

import pytest

import depth_pose_ros

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "depth_pose_ros"

# rosdep keys that differ from the name of the Python module.
KEYS = {
    "PIL": "python3-pil",
    "cv2": "python3-opencv",
    "numpy": "python3-numpy",
    "tf2_ros": "tf2_ros_py",
    "torch": "python3-pytorch-pip",
    "yaml": "python3-yaml",
    "matplotlib": "python3-matplotlib",
    "scipy": "python3-scipy",
    "pytest": "python3-pytest",
    "hypothesis": "python3-hypothesis",
}
# Modules without a suitable rosdep key; package.xml explains how to install them.
WITHOUT_KEY = {"safetensors", "rosbags", "openvino"}


@pytest.fixture(scope="module")
def manifest() -> ElementTree.Element:
    return ElementTree.parse(ROOT / "package.xml").getroot()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, installed like colcon does."""
    base = tmp_path_factory.mktemp("prefix")
    build = tmp_path_factory.mktemp("build")
    subprocess.run(
        [
            *(sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(build)),
            *("build", "--build-base", str(build), "install", "--prefix", str(base)),
            *("--record", str(build / "log"), "--single-version-externally-managed"),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return base


def texts(manifest: ElementTree.Element, *tags: str) -> set[str]:
    return {e.text.strip() for tag in tags for e in manifest.iter(tag) if e.text}


def imported(folder: Path) -> set[str]:
    """Top-level names that the modules of a folder import, anywhere in the file."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names.add(node.module.split(".")[0])
    own = {p.stem for p in folder.rglob("*.py")} | {PACKAGE}
    return names - set(sys.stdlib_module_names) - own


def test_manifest_has_what_colcon_requires(manifest: ElementTree.Element) -> None:
    assert manifest.get("format") == "3"
    assert texts(manifest, "name") == {PACKAGE}
    assert texts(manifest, "build_type") == {"ament_python"}
    assert texts(manifest, "license") == {"Apache-2.0"}
    for maintainer in manifest.iter("maintainer"):
        # With an address that it cannot parse, colcon treats the package as plain Python.
        address = maintainer.get("email") or ""
        assert re.fullmatch(r"[-\w.%+]+@[-\w.%]+\.[a-zA-Z]{2,}", parseaddr(address)[1])
        assert maintainer.text


def test_versions_agree(manifest: ElementTree.Element) -> None:
    (version,) = texts(manifest, "version")
    assert depth_pose_ros.__version__ == version
    assert f'version="{version}"' in (ROOT / "setup.py").read_text()
    assert f'version = "{version}"' in (ROOT / "training" / "pyproject.toml").read_text()


def test_imports_of_package_are_declared(manifest: ElementTree.Element) -> None:
    declared = texts(manifest, "depend", "exec_depend")
    missing = {KEYS.get(name, name) for name in imported(ROOT / PACKAGE) - WITHOUT_KEY} - declared
    assert not missing


def test_imports_of_launch_files_are_declared(manifest: ElementTree.Element) -> None:
    declared = texts(manifest, "depend", "exec_depend")
    assert not {KEYS.get(name, name) for name in imported(ROOT / "launch")} - declared


def test_declared_dependencies_are_used(manifest: ElementTree.Element) -> None:
    used = {KEYS.get(n, n) for folder in (PACKAGE, "launch") for n in imported(ROOT / folder)}
    assert texts(manifest, "exec_depend") - used == {"ros2launch", "rviz2", "tf2_ros"}


def test_imports_of_tests_are_declared(manifest: ElementTree.Element) -> None:
    declared = texts(manifest, "depend", "exec_depend", "test_depend")
    missing = {KEYS.get(name, name) for name in imported(ROOT / "test") - WITHOUT_KEY} - declared
    missing -= {"benchmarks", "helpers"}  # folders of the repository
    assert not missing


def test_modules_without_rosdep_key_are_explained(manifest: ElementTree.Element) -> None:
    text = (ROOT / "package.xml").read_text()
    for name in WITHOUT_KEY & imported(ROOT / PACKAGE):
        assert re.search(rf"<!--[^>]*\b{name}\b", text), name


def test_executables_are_installed_for_ros2_run() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["develop"]["script_dir"] == f"$base/lib/{PACKAGE}"
    assert config["install"]["install_scripts"] == f"$base/lib/{PACKAGE}"


def test_installation_is_complete(installed: Path) -> None:
    for name in ("depth_pose_node", "depth_pose_demo"):
        assert (installed / "lib" / PACKAGE / name).is_file()
    assert (installed / "share/ament_index/resource_index/packages" / PACKAGE).is_file()
    share = installed / "share" / PACKAGE
    assert (share / "package.xml").read_bytes() == (ROOT / "package.xml").read_bytes()
    for folder in ("launch", "config", "models"):
        assert files(share / folder) == files(ROOT / folder)
    (site,) = installed.glob("**/*-packages")
    sources = {path for path in files(ROOT / PACKAGE) if path.suffix in (".cpp", ".h")}
    assert files(site / PACKAGE) == files(ROOT / PACKAGE) - sources


def files(folder: Path) -> set[Path]:
    """All files of a folder except compiled Python, relative to it."""
    found = {p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    return {p.relative_to(folder) for p in found}


@pytest.mark.parametrize("line", ["depth_pose_node", "depth_pose_demo"])
def test_entry_points_exist(line: str) -> None:
    match = re.search(rf"{line} = ([\w.]+):(\w+)", (ROOT / "setup.py").read_text())
    assert match
    spec = importlib.util.find_spec(match[1])
    assert spec and spec.origin
    functions = {
        n.name for n in ast.parse(Path(spec.origin).read_text()).body if hasattr(n, "name")
    }
    assert match[2] in functions
