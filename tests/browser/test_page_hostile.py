"""Text of users and models is text: nothing of it is run, parsed or lost, wherever it appears."""

import pytest
from page_driver import HOSTILE, SEA, CharPage, assert_bars_are, small_learner
from playwright.sync_api import expect

from fastai_charrnn.page.pack import pack_model
from fastai_charrnn.page.to_page import write_page


@pytest.fixture(scope="module")
def learn():
    "A model whose vocabulary has every character of the hostile texts."
    return small_learner(SEA + "".join(HOSTILE) * 8, n_hid=8)


@pytest.fixture(scope="module")
def path(learn, tmp_path_factory):
    packed = pack_model(
        learn.model,
        learn.dls.vocab,
        seq_len=learn.dls.seq_len,
        mode=learn.dls.mode,
        name="".join(HOSTILE[:3]),
        facts=dict(trained_on=HOSTILE[0], arch=HOSTILE[1], split=HOSTILE[2]),
        units=[dict(unit=3, tracks=HOSTILE[1], score=0.5)],
        prompts=HOSTILE[:4],
    )
    return write_page(packed, tmp_path_factory.mktemp("hostile") / "page.html")


@pytest.fixture
def hostile(page, path):
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    return CharPage(page, path.as_uri())


def _assert_unharmed(page):
    "Nothing ran, and the elements are those of the page."
    assert page.tab.evaluate("window.hacked") is None
    assert page.tab.locator("img, iframe, object, embed, form, a[href^='javascript:']").count() == 0
    assert page.tab.locator("h1").count() == 1
    assert page.tab.locator("script").count() == page.tab.evaluate("window.nScripts")
    assert page.tab.evaluate("({}).polluted") is None


def test_names_prompts_and_characters_of_a_model_are_shown_as_they_are(hostile, learn):
    hostile.tab.evaluate("window.nScripts = document.scripts.length")
    assert "<img src=x" in hostile.tab.get_by_role("heading", level=1).text_content()
    hostile.tab.locator("button.prompt").nth(1).click()
    expect(hostile.text).to_have_value(HOSTILE[1])
    hostile.tab.get_by_role("button", name="Show all").click()
    assert hostile.buttons.count() == len(learn.dls.vocab) - 1
    hostile.continue_button.click()
    expect(hostile.status().filter(has_text="complete")).to_be_visible()
    assert "</script>" in hostile.units.get_by_role("combobox", name="Unit").locator("option").first.text_content()
    _assert_unharmed(hostile)


def test_hostile_text_that_is_typed_is_read_by_the_model(hostile, learn):
    hostile.tab.evaluate("window.nScripts = document.scripts.length")
    for text in HOSTILE:
        hostile.text.fill("")
        hostile.text.focus()
        hostile.tab.keyboard.insert_text(text)
        expect(hostile.surprise.get_by_text(f"mean of {len(text)} characters")).to_be_visible()
        assert hostile.text.input_value() == text
        shaded = hostile.surprise.locator(".c")
        expect(shaded).to_have_count(len(text))
        assert shaded.filter(visible=True).evaluate_all(
            "(spans) => spans.every((span) => !span.querySelector('img, h1'))"
        )
    _assert_unharmed(hostile)


def test_unknown_characters_are_told_and_left_out(page, tmp_path):
    learn = small_learner()
    sea = CharPage(page, learn.to_page(tmp_path / "sea.html", prompts=["She "]).as_uri())
    page.evaluate("window.nScripts = document.scripts.length")
    for text in ("She \U0001f600said \u00e9\u00e9 ", "<b>\U0001f468\u200d\U0001f469</b> said ", "\u202e\0\u2028She s"):
        sea.text.fill("")
        sea.text.focus()
        page.keyboard.insert_text(text)
        known = "".join(char for char in text if char in learn.dls.vocab.itos[1:])
        expect(sea.status().filter(has_text="not in the vocabulary")).to_be_visible()
        sea.settle()
        assert_bars_are(sea, learn, known)
        expect(sea.surprise.locator(".c.unknown")).to_have_count(len(text) - len(known))
    _assert_unharmed(sea)
    sea.text.fill("\u4e2d\u6587")
    expect(sea.status().filter(has_text="not in the vocabulary")).to_contain_text("\u4e2d")
    sea.settle()
    assert_bars_are(sea, learn, "")
