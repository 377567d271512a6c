"""docs/ and the README: messages of the node, links and pictures."""

import math
import re
from pathlib import Path

import pytest
import yaml

from depth_pose_ros.ros import log_messages

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
PICTURES = sorted((ROOT / "docs" / "pictures").glob("*"))
TROUBLESHOOTING = (ROOT / "docs" / "troubleshooting.md").read_text()
PLACEHOLDER = r"\{[^{}]*\}|<[^<>]*>"  #: {name} in templates, <name> in the page


def is_quoted(template: str, page: str = TROUBLESHOOTING) -> bool:
    """Whether a page quotes a message: completely, or up to "..."."""
    pattern = ".+".join(map(re.escape, re.split(PLACEHOLDER, template)))
    text = re.sub(PLACEHOLDER, "*", template)
    for quote in re.findall(r"`([^`\n]+)`", page):
        if template[0].islower():  # a reason, quoted after "Depth image ignored: " or the like
            quote = quote.partition(": ")[2]
        beginning = re.sub(PLACEHOLDER, "*", quote.removesuffix("..."))
        if re.fullmatch(pattern, quote):
            return True
        if quote.endswith("...") and len(beginning) > 15 and text.startswith(beginning):
            return True
    return False


@pytest.mark.parametrize(
    "name", [n for n, t in log_messages.TEMPLATES.items() if t not in log_messages.INFORMATION]
)
def test_troubleshooting_explains_every_error_and_warning(name):
    assert is_quoted(log_messages.TEMPLATES[name]), "docs/troubleshooting.md lacks this message"


def test_changed_quote_is_detected():
    page = "`Size <n> x <n>: check...` and `Wrong: no <name> for it`"
    assert is_quoted("Size {a} x {b}: check the camera driver", page)
    assert is_quoted("no {frame} for it", page)
    assert not is_quoted("Size {a} times {b}: check the camera driver", page)
    assert not is_quoted("no {frame} for them", page)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of headings: lower case, words joined by hyphens."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_are_valid(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name} links to {target}"


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_picture_is_used_and_small(picture):
    assert any(f"{picture.parent.name}/{picture.name}" in page.read_text() for page in PAGES)
    assert picture.stat().st_size < 1_000_000


def test_mounting_page_agrees_with_the_generator():
    config = yaml.safe_load((ROOT / "training" / "configs" / "generator.yaml").read_text())
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
