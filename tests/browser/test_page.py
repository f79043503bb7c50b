"""The page of a model in a browser: it shows what the model computes, from a file and from a server."""

import numpy as np
import pytest
from page_driver import SEA, CharPage, assert_bars_are, served, small_learner
from playwright.sync_api import expect


@pytest.fixture(scope="module")
def learn():
    return small_learner()


@pytest.fixture(scope="module")
def path(learn, tmp_path_factory):
    return learn.to_page(tmp_path_factory.mktemp("page") / "sea.html", prompts=["She said ", "He said"])


@pytest.fixture
def sea(page, path):
    "The page in a tab."
    return CharPage(page, path.as_uri())


def test_a_page_from_a_file_shows_the_probabilities_of_the_model(sea, learn):
    assert_bars_are(sea, learn, "She said ")
    for text in ("She s", "(it was not)! 12 bo", "", "H"):
        sea.type(text)
        assert_bars_are(sea, learn, text)


def test_a_page_from_a_server_without_webgl_and_webassembly_is_the_same(page, path, learn):
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null; delete window.WebAssembly;")
    with served(path.parent) as address:
        sea = CharPage(page, f"{address}/{path.name}")
        sea.type("the sea was c")
        assert_bars_are(sea, learn, "the sea was c")


def test_a_bar_that_is_clicked_adds_its_character_and_undo_removes_it(sea, learn):
    sea.type("She sai")
    first = sea.bars()[0][0]
    sea.buttons.first.click()
    expect(sea.text).to_have_value("She sai" + first)
    sea.settle()
    assert_bars_are(sea, learn, "She sai" + first)
    sea.tab.get_by_role("button", name="Undo").click()
    expect(sea.text).to_have_value("She sai")
    sea.tab.get_by_role("button", name="He said", exact=True).click()
    expect(sea.text).to_have_value("He said")
    sea.settle()
    assert_bars_are(sea, learn, "He said")


def test_the_temperature_changes_the_bars_as_the_formula_does(sea, learn):
    sea.type("She said that the se")
    plain = {char: p for char, p in learn.next_probs("She said that the se").items()}
    sea.slider("Temperature").fill("0.5")
    sharp = {char: p**2 for char, p in plain.items()}
    best = max(sharp, key=sharp.get)
    assert sea.bars()[0][1] == pytest.approx(sharp[best] / sum(sharp.values()), abs=0.006)
    sea.slider("Temperature").fill("0")
    assert sea.bars()[0] == (best, 1.0)
    assert {p for _, p in sea.bars()[1:]} == {0.001}


def test_a_continuation_has_its_length_and_a_seed_gives_it_again(sea):
    def generate(seed):
        sea.number("Seed").fill(str(seed))
        sea.continue_button.click()
        expect(sea.status().filter(has_text="complete")).to_be_visible()
        return sea.generated()

    sea.type("He said")
    sea.number("Length").fill("60")
    first = generate(3)
    assert len(first) == 60
    assert set(first) <= set(SEA)
    assert generate(4) != first
    assert generate(3) == first
    sea.tab.get_by_role("button", name="Add to text").click()
    expect(sea.text).to_have_value("He said" + first)


def test_numbers_that_are_not_allowed_become_the_nearest_that_are(sea):
    for typed, length, seed in (("-5", "1", "0"), ("1e9", "10000", "1000000000"), ("", "200", "1")):
        sea.number("Length").fill(typed)
        sea.number("Seed").fill(typed)
        sea.continue_button.focus()
        assert (sea.number("Length").input_value(), sea.number("Seed").input_value()) == (length, seed)


def test_stop_ends_a_continuation_and_the_next_one_works(page, tmp_path):
    # so wide that 10,000 characters take much longer than a click
    path = small_learner(n_hid=512).to_page(tmp_path / "wide.html", prompts=["She said "])
    sea = CharPage(page, path.as_uri())
    sea.number("Length").fill("10000")
    sea.continue_button.click()
    expect(sea.stop_button).to_be_enabled()
    sea.stop_button.click()
    expect(sea.status().filter(has_text="Stopped")).to_be_visible()
    assert len(sea.generated()) < 10000
    sea.number("Length").fill("5")
    sea.continue_button.click()
    expect(sea.status().filter(has_text="complete")).to_be_visible()
    assert len(sea.generated()) == 5


def test_surprise_is_the_loss_of_the_text_and_units_colour_it(sea, learn):
    text = "the sea was calm. He sai"
    sea.type(text)
    bits = -np.mean(learn.score(text).log_probs) / np.log(2)
    figure = sea.surprise.locator(".figure").filter(has_text="This text")
    expect(figure).to_contain_text(f"mean of {len(text)} characters")
    assert float(figure.locator("strong").text_content()) == pytest.approx(bits, abs=0.006)
    expect(sea.surprise.locator("[data-kind=surprise]")).to_have_count(len(text))
    coloured = sea.units.locator("[data-kind=positive], [data-kind=negative]").locator("visible=true")
    expect(sea.units.locator(".shaded [data-kind]")).to_have_count(len(text))
    before = coloured.evaluate_all("(spans) => spans.map((span) => span.style.cssText).join()")
    sea.units.get_by_role("combobox", name="Unit").select_option("5")
    sea.tab.wait_for_timeout(200)
    expect(sea.units.locator(".shaded [data-kind]")).to_have_count(len(text))
    assert coloured.evaluate_all("(spans) => spans.map((span) => span.style.cssText).join()") != before


def test_a_character_that_is_pointed_at_is_explained_with_what_it_depends_on(sea, learn):
    text = "She said that the se"
    sea.type(text)
    sea.surprise.get_by_role("checkbox", name="depends on").check()
    shaded = sea.surprise.locator(".shaded")
    expect(shaded.locator("[data-kind]")).to_have_count(len(text))
    shaded.locator(".c").nth(10).hover()
    expect(sea.surprise.get_by_text(f"“{text[10]}”: probability")).to_be_visible()
    # a window of eight characters: nothing before them matters
    expect(shaded.locator(".linked").first).to_be_visible()
    linked = shaded.locator(".c").evaluate_all("(spans) => spans.map((span) => span.classList.contains('linked'))")
    assert all(i in range(10 - learn.dls.seq_len, 10) for i, is_linked in enumerate(linked) if is_linked)


def test_a_text_of_100_000_characters_can_be_pasted_and_continued(sea, learn):
    long = (SEA * 100)[:100_000]
    # cut from the textbox, so that the clipboard has it; other ways to insert text take Chromium long
    sea.text.evaluate("(box, text) => (box.value = text)", long)
    sea.text.focus()
    for key in ("Control+a", "Control+x", "Control+v"):
        sea.tab.keyboard.press(key)
    expect(sea.status().filter(has_text="100,000 characters")).to_be_visible()
    sea.text.press("End")
    sea.text.press_sequentially("Sh")
    sea.settle()
    assert sea.text.input_value() == long + "Sh"
    assert_bars_are(sea, learn, (long + "Sh")[-100:])
    expect(sea.surprise.get_by_text("mean of 3,002 characters")).to_be_visible()


def test_two_tabs_do_not_disturb_each_other(sea, path, learn):
    sea.number("Length").fill("3000")
    sea.continue_button.click()
    other = CharPage(sea.tab.context.new_page(), path.as_uri())
    other.type("He sa")
    assert_bars_are(other, learn, "He sa")
    # a tab in the background continues
    expect(sea.status().filter(has_text="complete")).to_be_attached()
    assert len(sea.generated()) == 3000
    expect(sea.text).to_have_value("She said ")
    expect(other.text).to_have_value("He sa")
    assert other.generated() == ""
