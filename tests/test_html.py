"""What notebooks show is escaped, has the colours of the page, and has everything that is printed."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from learner_helpers import quiet_fit

from fastai_charrnn._colours import MAX_ALPHA, css_shade
from fastai_charrnn._html import as_table, as_text, escaped
from fastai_charrnn.all import CharDataLoaders, ScoredText, char_learner, ngram_baseline, sample_report
from fastai_charrnn.data import show
from fastai_charrnn.generation.scored_texts import ScoredTexts

HOSTILE = "<script>alert(1)</script><img src=x onerror=y>&lt;\"'`{{7*7}}\x1b[31m\u202e$x^2$\n"
TAGS = {"table", "caption", "thead", "tbody", "tr", "th", "td", "pre", "div", "span", "small", "u"}


class Page(HTMLParser):
    "The tags, attributes and text of some HTML. Fails for what the package does not write itself."

    def __init__(self, source):
        super().__init__()
        self.text = ""
        self.styles = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS
        assert {name for name, _ in attrs} <= {"style", "title", "scope"}
        self.styles += [value for name, value in attrs if name == "style"]

    def handle_data(self, data):
        self.text += data


def _page(shown):
    page = Page(shown._repr_html_())
    # the page's own colours, or translucent ones
    for style in page.styles:
        assert not re.search(r"#[0-9a-f]{3}|black|white(?!-space)|rgb\(", style)
        assert all(value == "inherit" for value in re.findall(r"(?<![-\w])color:([^;\"]+)", style))
    assert page.text.replace("\n", "").isprintable()
    return page


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    "A learner of a hostile vocabulary, with a prompt, two epochs of training and two samples."
    path = tmp_path_factory.mktemp("hostile")
    dls = CharDataLoaders.from_text(HOSTILE * 20, seq_len=4, bs=64, seed=1, device="cpu", path=path)
    learn = char_learner(dls, n_hid=8, seed=1, prompts=["<script>"])
    quiet_fit(learn, 2)
    return learn


def test_data_shows_its_text_vocabulary_batches_and_split(hostile):
    text = _page(hostile.dls).text
    assert f"{len(HOSTILE) * 20:,} characters" in text
    assert f"{len(hostile.dls.vocab)}: " in text and "<" in text
    assert "4 characters and the next" in text and "batches of 64" in text and "the last 10% of the text" in text
    assert repr(hostile.dls).startswith("CharDataLoaders: 1,")


def test_the_log_has_a_row_for_each_epoch(hostile):
    log = hostile.training_log
    text = _page(log).text
    assert all(f"{row['valid_loss']:.6f}" in text for row in log.rows)
    assert log._repr_html_().count("<tr") == 3
    assert _page(char_learner(hostile.dls, n_hid=8).training_log).text == "no epoch was trained"


def test_samples_are_a_table_by_epoch(hostile):
    page = _page(hostile.predict_next_cb)
    for sample in hostile.predict_next_cb.samples:
        assert f"{sample.valid_loss:.3f}" in page.text
        assert escaped(sample.text[8:], lines=True) in hostile.predict_next_cb._repr_html_()
    assert [s.epoch for s in hostile.predict_next_cb.samples] == [0, 1]


def test_baseline_and_report_show_what_they_print(hostile):
    for shown in (ngram_baseline(hostile.dls), sample_report([HOSTILE], hostile)):
        words = re.findall(r"[\d.,]+%?", repr(shown).split("longest copy")[0])
        text = _page(shown).text
        assert all(word in text for word in words)


def test_a_list_of_texts_is_a_table_and_stays_a_list(hostile):
    texts = hostile.generate("<img ", 12, num=3, seed=1)
    assert isinstance(texts, ScoredTexts) and isinstance(texts[1:], ScoredTexts)
    assert isinstance(texts[0], ScoredText) and len(texts[1:]) == 2
    assert type(texts.map(str)).__name__ == "L"
    page = _page(texts)
    assert all(f"{text.bits_per_char:.2f}" in page.text for text in texts)
    assert page.text.count("<img ") == 3
    many = ScoredTexts([ScoredText("", "ab", np.zeros(2, np.float32))] * 60)
    assert "60 texts, the first 50 of them" in _page(many).text
    assert many._repr_html_().count("<tr") == 51


def test_shades_of_a_text_are_those_of_the_pictures():
    page = ScoredText("", "ab", np.log([0.5, 2**-9]).astype(np.float32))._repr_html_()
    assert css_shade(1 / 8) in page and css_shade(1) in page
    assert str(MAX_ALPHA) in page


def test_text_and_cells_keep_their_line_breaks_and_spaces():
    assert Page(as_text(escaped("\n  a\n", lines=True))).text == "\n\n  a\n"
    table = as_table(["<b>"], [("1",), ("2",)], "a & b", marked=1)
    assert table.count("font-weight:600;text-align") == 1
    assert Page(table).text == "a & b<b>12"


def test_long_rows_of_batches_are_wrapped(capsys, monkeypatch, hostile):
    show.show_table([("a" * 150, "b")], ["text", "next"], loss=["0.50"])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["text  '" + "a" * 79, " " * 6 + "a" * 71 + "'", "next  'b'", "loss  0.50"]
    pages = []
    monkeypatch.setattr(show, "IN_NOTEBOOK", True)
    monkeypatch.setattr("IPython.display.display", lambda shown: pages.append(shown.data))
    hostile.dls.show_batch(max_n=2)
    hostile.show_results(max_n=2)
    for source in pages:
        page = Page(source)
        assert source.count("<tr") == 3
        assert any("pre-wrap" in style and "anywhere" in style for style in page.styles)
    assert len(pages) == 2
