"""The page for everyone: by keyboard alone, on a phone, in light and dark, checked with axe-core."""

import pytest
from page_driver import CharPage, small_learner
from playwright.sync_api import expect

SIZES = {"desktop": dict(width=1280, height=800), "phone": dict(width=390, height=844)}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    units = [dict(unit=3, tracks="quotes", score=0.5)]
    # so wide that 10,000 characters take much longer than a key
    learn = small_learner(n_hid=512)
    return learn.to_page(tmp_path_factory.mktemp("page") / "sea.html", prompts=["She said "], units=units)


def _focused(page):
    "The accessible name or text of the element with the focus."
    name = "(element) => element.labels?.[0]?.textContent || element.ariaLabel || element.textContent"
    return page.tab.evaluate(f"({name})(document.activeElement)")


def _tab_to(page, name, key="Tab"):
    "Press Tab until an element whose name begins so has the focus."
    seen = []
    for _ in range(60):
        page.tab.keyboard.press(key)
        seen.append(_focused(page))
        if seen[-1].startswith(name):
            return
    pytest.fail(f"Tab does not reach {name!r}: {seen}")


def test_everything_works_by_keyboard_alone(page, path):
    sea = CharPage(page, path.as_uri())
    _tab_to(sea, "Text")
    page.keyboard.press("Control+a")
    page.keyboard.type("She sai")
    sea.settle()
    first = sea.bars()[0][0]
    _tab_to(sea, f"{first}, ")
    page.keyboard.press("Enter")
    expect(sea.text).to_have_value("She sai" + first)
    _tab_to(sea, "Temperature", "Shift+Tab" if _focused(sea) == "Continue" else "Tab")
    before = sea.slider("Temperature").input_value()
    page.keyboard.press("ArrowLeft")
    assert float(sea.slider("Temperature").input_value()) < float(before)
    _tab_to(sea, "Length")
    page.keyboard.press("Control+a")
    page.keyboard.type("10000")
    _tab_to(sea, "Continue")
    page.keyboard.press("Enter")
    expect(sea.stop_button).to_be_focused()
    page.keyboard.press("Enter")
    expect(sea.status().filter(has_text="Stopped")).to_be_visible()
    _tab_to(sea, "Text shaded by surprise")
    page.keyboard.press("ArrowLeft")
    expect(sea.surprise.get_by_text(": probability")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_of_level_a_or_aa(scheme, open_window, path):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = open_window(color_scheme=scheme)
    sea = CharPage(page, path.as_uri())
    sea.type("She said € that")
    sea.number("Length").fill("40")
    sea.continue_button.click()
    expect(sea.status().filter(has_text="complete")).to_be_visible()
    sea.surprise.locator(".shaded").focus()
    page.keyboard.press("ArrowLeft")
    expect(sea.surprise.get_by_text(": probability")).to_be_visible()
    levels = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    for size in SIZES.values():
        page.set_viewport_size(size)
        # transitions of colours would be measured half way
        page.wait_for_timeout(200)
        found = axe.Axe().run(page, options={"runOnly": {"type": "tag", "values": levels}}).response
        assert [(rule["id"], node["html"][:200]) for rule in found["violations"] for node in rule["nodes"]] == []
        assert len(found["passes"]) > 10
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    is_dark = sum(map(int, background[4:-1].split(", "))) < 3 * 128
    assert is_dark == (scheme == "dark")


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_shows_the_page_without_scrolling_sideways(width, open_window, path):
    page = open_window(viewport=dict(width=width, height=844), has_touch=True, is_mobile=True, device_scale_factor=2)
    sea = CharPage(page, path.as_uri())
    sea.text.fill("W" * 300 + " She said that")
    sea.number("Length").fill("300")
    sea.continue_button.tap()
    expect(sea.status().filter(has_text="complete")).to_be_visible()
    sizes = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert sizes[0] <= width, sizes
    small = page.locator("button:visible, input:visible:not([type=checkbox]), select:visible").evaluate_all(
        """(controls) => controls
            .map((control) => [control.ariaLabel || control.textContent || control.id, control.getBoundingClientRect()])
            .filter(([, box]) => box.height < 28 || box.width < 28)
            .map(([name, box]) => `${name}: ${box.width} x ${box.height}`)"""
    )
    assert small == []
    text_size = page.evaluate("parseFloat(getComputedStyle(document.querySelector('textarea')).fontSize)")
    # a phone zooms into fields of smaller letters
    assert text_size >= 16
