"""What the pages in docs/ quote is in the code, and their links lead somewhere."""

import ast
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
PICTURES = sorted((ROOT / "docs" / "pictures").glob("*"))
TROUBLE = (ROOT / "docs" / "troubleshooting.md").read_text()
VARYING = "\0"  #: what stands for a part of a message that differs from case to case


def templates() -> set[str]:
    """All texts of the code, f-strings with VARYING for their values."""
    files = [p for d in ("depth_pose_ros", "launch", "scripts") for p in (ROOT / d).rglob("*.py")]
    found = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.add("".join(_part(value) for value in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(_general(node.value))
    return found


def _part(value: ast.expr) -> str:
    known = {"PROJECT": "depth_pose_ros", "DEPTH_TOPIC": "depth/image"}
    known |= {"CAMERA_INFO_TOPIC": "depth/camera_info", "NODE_NAME": "depth_pose_node"}
    known |= {"ENVIRONMENT": "DEPTH_POSE_MODELS"}
    if isinstance(value, ast.Constant):
        return _general(str(value.value))
    assert isinstance(value, ast.FormattedValue)
    name = value.value.id if isinstance(value.value, ast.Name) else ""
    return known.get(name, VARYING)


def _general(text: str) -> str:
    """A quoted message, or a text that itself has <place holders>, as a template."""
    return re.sub(r"<[^<>\n]*>", VARYING, text)


def quoted() -> list[str]:
    """The messages of the page: code that a list item or a second cell of its table begins with."""
    listed = re.findall(r"^- `([^`]+)`", TROUBLE, re.MULTILINE)
    return listed + re.findall(r"^\| (?:OK|WARN|ERROR|STALE) \| `([^`]+)`", TROUBLE, re.MULTILINE)


def said(message: str, known: set[str]) -> bool:
    """Whether the code can say a message: one template, or one put into the end of another."""
    text = _squeezed(_general(message))
    whole = not text.endswith("...")
    text = text.removesuffix("...").rstrip()
    texts = {_squeezed(t) for t in known}

    def fits(template: str, wanted: str) -> bool:
        return template == wanted if whole else template.startswith(wanted)

    if any(fits(t, text) for t in texts):
        return True
    outers = [t[:-1] for t in texts if t.endswith(VARYING) and re.match(r"[A-Z]\w{4}", t)]
    for outer in outers:
        begins = re.match(re.escape(outer).replace(VARYING, rf"(?:{VARYING}|\w+)"), text)
        if begins is not None and any(fits(t, text[begins.end() :]) for t in texts):
            return True
    return False


def _squeezed(text: str) -> str:
    """Quotation marks that repr() adds are the place holder's; one space is as good as two."""
    return re.sub(r"\s+", " ", text.replace(f"'{VARYING}'", VARYING)).strip()


def test_every_message_that_is_explained_is_said_by_the_code():
    known = templates()
    messages = quoted()
    assert len(messages) > 50
    lost = [message for message in messages if not said(message, known)]
    assert not lost, "docs/troubleshooting.md quotes what no code says:\n" + "\n".join(lost)


def test_a_message_that_was_changed_is_noticed():
    known = templates()
    assert said("Depth image ignored: the image is empty (<n> x <n> pixels): check...", known)
    assert not said("Depth image ignored: the image is empty (<n> x <n>): check...", known)
    assert not said("Depth image discarded: the image is empty (<n> x <n> pixels)...", known)
    assert not said("The depth image has no valid pixel", known)


def test_every_error_and_warning_that_the_node_logs_is_explained():
    said_by_node = {_squeezed(text) for text in _logged()}
    assert len(said_by_node) > 8
    explained = [_squeezed(_general(m).removesuffix("...")) for m in quoted()]
    lacking = {
        text
        for text in said_by_node
        if not any(e.startswith(text.rstrip(VARYING)) or text.startswith(e) for e in explained)
    }
    assert not lacking, f"docs/troubleshooting.md lacks {sorted(lacking)}"


def _logged() -> Iterator[str]:
    for name in ("node", "inputs"):
        tree = ast.parse((ROOT / "depth_pose_ros" / f"{name}.py").read_text())
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            if call.func.attr in {"error", "warning", "_report"} and call.args:
                text = call.args[0]
                if isinstance(text, ast.JoinedStr):
                    yield "".join(_part(value) for value in text.values)
                elif isinstance(text, ast.Constant):
                    yield _general(str(text.value))
        for node in ast.walk(tree):
            if isinstance(node, ast.Return) and isinstance(node.value, ast.JoinedStr):
                yield "".join(_part(value) for value in node.value.values)


def anchors(page: Path) -> set[str]:
    """What GitHub lets one jump to: headings in small letters, words joined by hyphens."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name} links to {target}"


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_is_shown_and_small(picture):
    assert any(f"{picture.parent.name}/{picture.name}" in page.read_text() for page in PAGES)
    assert picture.stat().st_size < 1_000_000


def test_mounting_tells_what_the_generator_does():
    config = yaml.safe_load((ROOT / "training" / "configs" / "synthetic.yaml").read_text())
    cameras, page = config["cameras"], (ROOT / "docs" / "mounting.md").read_text()
    trained = {row[0]: row[1] for row in re.findall(r"^\| (\w+) \| ([^|]+) \|", page, re.MULTILINE)}
    low, high = cameras["height"]
    assert trained["height"].startswith(f"{low} to {high} m")
    down, up = (round(abs(math.degrees(angle))) for angle in cameras["pitch"])
    assert f"more than {down}° down or {up}° up" in trained["tilt"]
    aimed, level = (round(math.degrees(cameras[k])) for k in ("aim_sigma", "level_sigma"))
    assert (
        f"{100 * cameras['aimed']:.0f} % aimed at a person, give or take {aimed}°"
        in (trained["tilt"])
    )
    assert f"level, give or take {level}°" in trained["tilt"]
    assert trained["roll"].startswith(f"{math.degrees(cameras['roll_sigma']):.0f}°")
    (far_low, far_high), (low, high) = cameras["distance"], cameras["near_distance"]
    near = f"{100 * cameras['near']:.0f} % at {low:g} to {high:g} m"
    assert trained["distance"].startswith(f"{far_low:g} to {far_high:g} m")
    assert near in trained["distance"]
