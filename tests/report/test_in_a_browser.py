"""Pages in Chromium: no errors, nothing wider than the screen, accessible, and buttons that work.

Skipped where playwright, axe or Chromium is missing: pip install 'lossforge[browser]', and Chromium
from the system or by `playwright install chromium`.
"""

import shutil
import time

import pytest

from report.runs_of_every_kind import KINDS

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser():
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    with sync_api.sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except sync_api.Error as error:
            pytest.skip(f"Chromium cannot be started: {str(error).splitlines()[0]}")
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, runs):
    """A function that opens the page of a kind of run; what goes wrong in it fails the test."""
    pages, errors = [], []

    def visit(kind: str, *, width: int = 1440, scheme: str = "light", **options):
        page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **options
        )
        page.on("console", lambda message: errors.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto((runs / kind / "report.html").as_uri())
        pages.append(page)
        return page

    requests: list[str] = []
    yield visit
    for page in pages:
        page.close()
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1440])
@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_accessible_and_fits(visit, kind, width, scheme):
    page = visit(kind, width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.Axe().run(page)
    told = [
        f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found.response["violations"]
    ]
    assert told == []


def test_the_theme_can_be_changed(visit):
    page = visit("train")

    def paper() -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light = paper()
    page.get_by_role("button", name="Dark").click()
    assert paper() != light
    page.get_by_role("button", name="Light").click()
    assert paper() == light


@pytest.mark.parametrize(
    ("what", "told"), [("PyTorch", "def loss("), ("LaTeX", "%"), ("SymPy", "import sympy")]
)
def test_the_loss_is_copied(visit, browser, what, told):
    page = visit("search", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name=f"Copy {what}").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert told in page.evaluate("navigator.clipboard.readText()")


def test_the_slider_shows_the_loss_at_every_step(visit):
    page = visit("adaptive")
    path = page.locator("path.moving").first
    first = path.get_attribute("d")
    page.get_by_role("slider").press("End")
    assert path.get_attribute("d") != first
    last = page.locator(".player").get_attribute("data-times").split()[-1]
    assert page.locator("output").inner_text() == f"step {last}"
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").wait_for()
    page.get_by_role("button", name="Play").wait_for(timeout=10_000)


def test_dots_tell_their_formulas(visit):
    page = visit("search")
    dot = page.locator("#pareto-front circle.s0").first
    dot.hover()
    tip = page.locator("#tip")
    assert tip.is_visible()
    assert "size" in tip.inner_text()


def test_a_page_opens_in_under_a_second(visit):
    visit("train").close()
    began = time.monotonic()
    visit("search")
    assert time.monotonic() - began < 1


def test_paper_shows_no_buttons(visit):
    page = visit("search", scheme="dark")
    page.emulate_media(media="print")
    assert not page.locator("#theme").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
