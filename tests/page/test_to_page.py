"""Pages as files: what they hold, what they allow, and when they are refused. Their behaviour is in tests/browser."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from fastai_charrnn.all import CharDataLoaders, PageError, char_learner, load_model, ngram_baseline, save_model
from fastai_charrnn.analysis.tracking import find_units
from fastai_charrnn.page.examples import example_texts, page_text
from fastai_charrnn.page.facts import page_facts
from fastai_charrnn.page.html import page_html
from fastai_charrnn.page.pack import pack_model
from fastai_charrnn.page.to_page import write_page

TEXT = "She said that the sea was calm. He said that it was not. " * 30
# what would end the data's element or change how a parser reads it
HOSTILE = [
    "</script>",
    "<!--",
    "<script>alert(1)</script>",
    "]]>",
    "\u2028",
    "\u2029",
    "\u202e",
    "&lt;",
    "\0",
    "{{style}}",
]


class Elements(HTMLParser):
    "The elements of a page: (tag, attributes, text)."

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.is_open = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append([tag, dict(attrs), ""])
        self.is_open = True

    def handle_endtag(self, tag):
        self.is_open = False

    def handle_data(self, data):
        if self.is_open:
            self.found[-1][2] += data

    def of(self, tag):
        return [(attrs, text) for name, attrs, text in self.found if name == tag]


@pytest.fixture(scope="module")
def learn():
    dls = CharDataLoaders.from_text(TEXT, bs=64, device="cpu")
    learn = char_learner(dls, n_hid=16, seed=0)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1)
    return learn


def data_of(page):
    "The JSON values of a page."
    return json.loads(next(text for attrs, text in Elements(page).of("script") if attrs["id"] == "charrnn-data"))


def test_a_page_is_one_file_that_loads_nothing(learn, tmp_path):
    page = learn.to_page(tmp_path / "sea.html").read_text(encoding="utf-8")
    elements = Elements(page).found
    links = [value for _, attrs, _ in elements for name, value in attrs.items() if name in ("src", "href")]
    assert links == ["data:,"]
    assert not re.search(r"innerHTML|\beval\(|document\.write|https?://|import\(|fetch\(|XMLHttpRequest", page)


def test_the_policy_allows_only_the_code_and_the_style_of_the_page(learn, tmp_path):
    elements = Elements(learn.to_page(tmp_path / "sea.html").read_text(encoding="utf-8"))
    policy = next(attrs["content"] for attrs, _ in elements.of("meta") if "http-equiv" in attrs)
    code = [text for attrs, text in elements.of("script") if "type" not in attrs]
    style = [text for _, text in elements.of("style")]
    sums = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (*code, *style)]
    assert re.findall(r"sha256-([^']+)'", policy) == sums
    assert "default-src 'none'" in policy and "connect-src 'none'" in policy and "unsafe" not in policy


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_model_ends_its_element(text):
    data = {"name": text, "vocab": ["", *text], "prompts": [text * 2]}
    page = page_html(text, data)
    elements = Elements(page)
    assert data_of(page) == data
    assert [tag for tag, *_ in elements.found].count("script") == 4
    assert elements.of("title")[0][1].replace("\0", "\ufffd") == text.replace("\0", "\ufffd")


def test_data_that_json_cannot_hold_is_refused():
    with pytest.raises(PageError, match="JSON"):
        page_html("x", {"loss": float("nan")})


def test_a_page_tells_what_was_measured(learn, tmp_path):
    packed = data_of(learn.to_page(tmp_path / "sea.html").read_text(encoding="utf-8"))
    facts = packed["facts"]
    best = ngram_baseline(learn.dls).best
    assert facts["valid_loss"] == pytest.approx(learn.training_log.rows[-1]["valid_loss"], rel=1e-5)
    assert (facts["ngram_loss"], facts["ngram_context"]) == (best.nats, best.context)
    assert facts["n_weights"] == sum(p.numel() for p in learn.model.parameters())
    assert packed["name"] == "sea"


def test_a_page_of_a_loaded_model_tells_nothing_that_it_does_not_know(learn, tmp_path):
    loaded = load_model(save_model(learn, tmp_path / "sea"))
    facts = page_facts(loaded)
    assert facts["valid_loss"] == learn.training_log.rows[-1]["valid_loss"]
    assert facts["is_held_out"]
    assert facts["ngram_loss"] is None
    assert page_text(loaded) == ""


def test_examples_are_parts_of_the_validation_text_that_begin_with_a_sentence(learn):
    valid = learn.dls.vocab.decode(learn.dls.valid_ds.ids.stretch(*learn.dls.valid_ds.info["spans"][1][0]))
    examples = example_texts(page_text(learn))
    assert examples and all(example in valid for example in examples)
    assert all(example.startswith(("She", "He")) for example in examples)


def test_an_existing_file_is_replaced_only_if_asked(learn, tmp_path):
    path = tmp_path / "sea.html"
    path.write_text("mine")
    with pytest.raises(PageError, match="exists; pass overwrite=True"):
        learn.to_page(path)
    assert path.read_text() == "mine"
    assert learn.to_page(path, overwrite=True) == path
    assert path.read_text().startswith("<!doctype html>")


def test_a_path_without_suffix_gets_one_and_a_folder_is_refused(learn, tmp_path):
    assert learn.to_page(tmp_path / "new/sea").name == "sea.html"
    with pytest.raises(PageError, match="is a folder"):
        learn.to_page(tmp_path)


def test_a_packed_model_can_be_changed_before_its_page_is_written(learn, tmp_path):
    packed = pack_model(learn.model, learn.dls.vocab, seq_len=8, mode="windows", name="a <b> & c")
    page = write_page(packed, tmp_path / "sea").read_text(encoding="utf-8")
    assert data_of(page) == packed
    assert "<title>a &lt;b&gt; &amp; c</title>" in page


def test_the_text_of_the_training_gives_a_loaded_model_its_n_grams_and_examples(learn, tmp_path):
    loaded = load_model(save_model(learn, tmp_path / "sea"))
    page = loaded.to_page(tmp_path / "sea", text=TEXT)
    own = data_of(learn.to_page(tmp_path / "own").read_text(encoding="utf-8"))
    found = data_of(page.read_text(encoding="utf-8"))
    assert found["facts"]["ngram_loss"] == ngram_baseline(learn.dls).best.nats
    assert found["prompts"] == own["prompts"]


def test_another_text_is_shown_without_n_grams(learn, tmp_path):
    loaded = load_model(save_model(learn, tmp_path / "sea"))
    packed = data_of(loaded.to_page(tmp_path / "sea", text="He was not at sea. 7").read_text(encoding="utf-8"))
    assert packed["prompts"] == ["He was not at sea."]
    assert packed["facts"]["ngram_loss"] is None


def test_units_are_named_by_what_they_track(learn, tmp_path):
    units = data_of(learn.to_page(tmp_path / "sea", text=TEXT[:1500]).read_text(encoding="utf-8"))["units"]
    found = find_units(learn, TEXT[:1500])
    assert [(unit["unit"], unit["tracks"]) for unit in units] == [(row.unit, row.tracks) for row in found]
    assert units
