"""A text and its numbers: true, printed as text, and safe as HTML."""

import html.parser
import math
import pickle
import re

import numpy as np
import pytest
import torch

from fastai_charrnn.all import ScoredText
from fastai_charrnn.errors import GenerationError, UnknownCharError


def plain_scores(learn, text):
    "Every character after its own window, one at a time."
    ids = [0] * 8 + learn.dls.vocab.encode(text).tolist()
    out = []
    with torch.no_grad():
        for i in range(8, len(ids)):
            out.append(float(learn.model.eval()(torch.tensor([ids[i - 8 : i]]))[0, ids[i]]))
    return out


def test_every_character_is_scored_once_after_those_before_it(trained, small):
    for text in ("", "t", "the valu", small[100:400]):
        got = trained.score(text)
        assert (got.text, got.new, got.prompt) == (text, text, "") and got.nll == pytest.approx(
            [-o for o in plain_scores(trained, text)], abs=1e-4
        )
        assert got.bits == pytest.approx(sum(got.nll) / math.log(2), rel=1e-5) and got.log_probs.dtype == np.float32
    assert math.isnan(trained.score("").bits_per_char) and trained.score("").bits == 0


def test_scores_do_not_depend_on_how_many_windows_are_read_at_a_time(trained, small, monkeypatch):
    text = small[:5000]
    want = trained.score(text)
    monkeypatch.setattr("fastai_charrnn.generation.scoring._max_state_numbers", 1)
    np.testing.assert_allclose(trained.score(text).log_probs, want.log_probs, atol=1e-5)


def test_the_bits_of_a_text_are_those_of_evaluate(trained, small):
    text = small[:3000]
    assert trained.score(text).nll[8:].mean() == pytest.approx(trained.evaluate(text)["loss"], abs=1e-4)


def test_what_was_drawn_has_the_log_probabilities_of_the_model_itself(trained):
    o = trained.generate("the valu", 80, temperature=0.3, top_k=3, seed=1)
    assert trained.score(o.text).log_probs[8:] == pytest.approx(o.log_probs, abs=1e-5)
    assert o.bits_per_char == pytest.approx(
        -o.log_probs.mean() / math.log(2), rel=1e-5
    ) and o.log_prob == pytest.approx(o.log_probs.sum(), rel=1e-5)


def test_unknown_characters_and_other_things_are_typed_errors(trained):
    with pytest.raises(UnknownCharError):
        trained.score("漢")
    assert trained.score("vé", unk="skip").new == "v"
    for bad in (None, 3, ["a"]):
        pytest.raises(GenerationError, trained.score, bad)


def test_it_prints_as_its_text(trained):
    o = trained.generate("the valu", 30, seed=1)
    assert str(o) == repr(o) == f"{o}" == o.text and len(o) == 38 and o.text == o.prompt + o.new
    assert pickle.loads(pickle.dumps(o)).text == o.text


class Read(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.spans = []
        self.tags = set()
        self.inside = False

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "span":
            self.spans.append(dict(attrs))
        if tag == "pre":
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "pre"

    def handle_data(self, data):
        self.text += data * self.inside


def test_in_a_notebook_surprise_shades_every_new_character_and_nothing_is_markup():
    nasty = "<script>alert('x')</script>&amp;\n\"quoted\""
    lps = -np.linspace(0, 8, len(nasty)).astype(np.float32)
    page = Read()
    page.feed(ScoredText("<b>&", nasty, lps, 5)._repr_html_())
    assert (
        page.text == "<b>&" + nasty and page.tags == {"div", "pre", "span", "small"} and len(page.spans) == len(nasty)
    )
    alphas = [float(re.search(r",([\d.]+)\)", o["style"])[1]) for o in page.spans]
    assert alphas == sorted(alphas) and alphas[0] == 0 and alphas[-1] == 0.6
    assert all(
        re.fullmatch(r"background:rgba\(230,60,30,0\.\d\d\)", o["style"]) for o in page.spans
    )  # see-through, and the page's own text colour
    assert sum(float(re.search(r": ([\d.]+) bits", o["title"])[1]) for o in page.spans) == pytest.approx(
        -lps.sum() / math.log(2), abs=0.2
    )


def test_long_texts_do_not_fill_a_notebook():
    page = ScoredText("", "a" * 50_000, np.zeros(50_000, np.float32))._repr_html_()
    assert (
        page.count("<span") == 20_000
        and "30,000 characters more" in page
        and "nothing new" in ScoredText("a", "")._repr_html_()
    )
