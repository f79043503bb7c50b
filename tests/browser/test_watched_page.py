"""The page of a training in a browser: while it is trained, after a reload, on a phone, after its end."""

import pytest
from fastai.basics import Callback
from page_driver import SEA
from playwright.sync_api import expect

from fastai_charrnn.all import CharDataLoaders, char_learner
from fastai_charrnn.serve.watch import WatchCallback


class Looking(Callback):
    "Calls a function in the middle of a training, after its second epoch."

    def __init__(self, look):
        self.look = look

    def after_epoch(self):
        if self.epoch == 1:
            self.look()


@pytest.fixture
def watch(capsys):
    cb = WatchCallback(port=0, sample_seconds=0.01)
    yield cb
    cb.stop()


def _train(watch, look=None):
    dls = CharDataLoaders.from_text(SEA, bs=64, device="cpu")
    learn = char_learner(dls, n_hid=16, seed=0, cbs=[watch, *([Looking(look)] if look else [])])
    with learn.no_bar(), learn.no_logging():
        learn.fit(3, 1e-2)
    return learn


def test_a_training_is_shown_while_it_runs_and_survives_a_reload(watch, page):
    page.goto(watch.url)
    expect(page.get_by_text("The training has not begun.")).to_be_visible()
    rows = page.get_by_role("table").locator("tbody tr")

    def look():
        for _ in range(2):
            expect(page.get_by_role("status").filter(has_text="is being trained")).to_be_visible()
            expect(rows).to_have_count(1)
            expect(page.get_by_role("progressbar")).to_be_visible()
            expect(page.get_by_role("region", name="Samples").get_by_role("listitem").first).to_be_visible()
            page.reload()

    learn = _train(watch, look)
    expect(page.get_by_text("The training has ended.")).to_be_visible()
    expect(rows).to_have_count(3)
    loss = learn.training_log.rows[-1]["valid_loss"]
    expect(page.get_by_role("region", name="Loss")).to_contain_text(f"The last validation loss is {loss:.3f} nats")
    expect(page.get_by_role("region", name="Loss")).to_contain_text("n-grams of up to")
    assert page.title() == "100 % \u00b7 Training"
    chart = page.get_by_role("img", name="Losses over epochs")
    assert len(chart.locator(".dot").all()) == 3
    assert len(chart.locator(".train").get_attribute("points").split()) > 2


def test_the_page_stays_when_the_process_has_ended(browser, watch):
    # not watched: the console tells that the server cannot be reached
    tab = browser.new_page()
    tab.goto(watch.url)
    _train(watch)
    watch.stop()
    expect(tab.get_by_text("Its process has ended too")).to_be_visible()
    expect(tab.get_by_text("The training has ended.")).to_be_visible()
    assert tab.get_by_role("table").locator("tbody tr").count() == 3
    tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_a_phone_and_nothing_scrolls_sideways(watch, open_window, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = open_window(viewport=dict(width=390, height=844), color_scheme=scheme)
    _train(watch)
    page.goto(watch.url)
    expect(page.get_by_text("The training has ended.")).to_be_visible()
    levels = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    results = axe.Axe().run(page, options={"runOnly": {"type": "tag", "values": levels}})
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in results.response["violations"]] == []
    assert len(results.response["passes"]) > 5
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
