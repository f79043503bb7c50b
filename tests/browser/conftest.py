"""Fixtures of the tests in a real browser: Chromium, a watched page, other tabs and windows.

Every page is watched: an error in its console, an uncaught exception, a violation of its content security policy or a
request to another host fails the test that opened it."""

import pytest
from chromium import find_chromium, launch, missing
from page_watch import PageWatch

from fastai_charrnn.page.engine import engine_source

_timeout = 30_000  # milliseconds: much longer than a page needs, for machines with other work


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium, which lives as long as the tests of a module.

    Playwright keeps an event loop running in its thread. Until it stops, `asyncio.run` fails, also in other tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[dev]")
    with playwright.sync_playwright() as started:
        path = find_chromium(started)
        if path is None:
            pytest.skip(missing)
        chromium = launch(started, path)
        playwright.expect.set_options(timeout=_timeout)
        yield chromium
        chromium.close()


@pytest.fixture
def open_window(browser):
    """A function that opens a watched page in a window of its own.

    Its arguments are those of Playwright's `new_context`, such as `color_scheme="dark"`."""
    watches = []

    def open_one(**options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(_timeout)
        watches.append(PageWatch(context))
        return context.new_page()

    yield open_one
    for watch in watches:
        watch.context.close()
    assert [problem for watch in watches for problem in watch.problems] == []


@pytest.fixture
def page(open_window):
    "A watched page, 1280 pixels wide."
    return open_window()


@pytest.fixture(scope="module")
def run_js(browser):
    "A function that evaluates JavaScript in a page with the engine."
    page = browser.new_page()
    page.add_script_tag(content=engine_source())
    yield page.evaluate
    page.close()


def pytest_collection_modifyitems(items):
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
