"""`score` and `ScoredText`: correct log-probabilities, printed as text, and safe HTML."""

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
    "The log-probability of every character after its own window, one at a time."
    ids = [0] * 8 + learn.dls.vocab.encode(text).tolist()
    model = learn.model.eval()
    scores = []
    with torch.no_grad():
        for i in range(8, len(ids)):
            window = torch.tensor([ids[i - 8 : i]])
            scores.append(float(model(window)[0, ids[i]]))
    return scores


def test_every_character_is_scored_once_after_those_before_it(trained, small):
    for text in ("", "t", "the valu", small[100:400]):
        scored = trained.score(text)
        assert (scored.text, scored.new, scored.prompt) == (text, text, "")
        assert scored.nll == pytest.approx([-lp for lp in plain_scores(trained, text)], abs=1e-4)
        assert scored.bits == pytest.approx(sum(scored.nll) / math.log(2), rel=1e-5)
        assert scored.log_probs.dtype == np.float32


def test_an_empty_text_has_no_bits(trained):
    assert math.isnan(trained.score("").bits_per_char)
    assert trained.score("").bits == 0


def test_scores_do_not_depend_on_how_many_windows_are_read_at_once(trained, small, monkeypatch):
    text = small[:5000]
    expected = trained.score(text)
    monkeypatch.setattr("fastai_charrnn.generation.scoring._max_state_numbers", 1)
    np.testing.assert_allclose(trained.score(text).log_probs, expected.log_probs, atol=1e-5)


def test_score_and_evaluate_agree(trained, small):
    text = small[:3000]
    loss = trained.score(text).nll[8:].mean()
    assert loss == pytest.approx(trained.evaluate(text)["loss"], abs=1e-4)


def test_sampled_text_has_the_log_probabilities_of_the_model_itself(trained):
    sampled = trained.generate("the valu", 80, temperature=0.3, top_k=3, seed=1)
    assert trained.score(sampled.text).log_probs[8:] == pytest.approx(sampled.log_probs, abs=1e-5)
    assert sampled.bits_per_char == pytest.approx(-sampled.log_probs.mean() / math.log(2), rel=1e-5)
    assert sampled.log_prob == pytest.approx(sampled.log_probs.sum(), rel=1e-5)


def test_unknown_characters_and_other_types_raise(trained):
    with pytest.raises(UnknownCharError):
        trained.score("漢")
    assert trained.score("vé", unk="skip").new == "v"
    for bad in (None, 3, ["a"]):
        pytest.raises(GenerationError, trained.score, bad)


def test_a_result_prints_as_text(trained):
    o = trained.generate("the valu", 30, seed=1)
    assert str(o) == repr(o) == f"{o}" == o.text
    assert len(o) == 38
    assert o.text == o.prompt + o.new
    assert pickle.loads(pickle.dumps(o)).text == o.text


class Page(html.parser.HTMLParser):
    "The text, the tags and the attributes of the spans of an HTML page."

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.spans = []
        self.tags = set()
        self.in_pre = False
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "span":
            self.spans.append(dict(attrs))
        if tag == "pre":
            self.in_pre = True

    def handle_endtag(self, tag):
        if tag == "pre":
            self.in_pre = False

    def handle_data(self, data):
        if self.in_pre:
            self.text += data


nasty = "<script>alert('x')</script>&amp;\n\"quoted\""


def nasty_page(log_probs):
    return Page(ScoredText("<b>&", nasty, log_probs, 5)._repr_html_())


def test_markup_in_a_text_is_escaped_in_a_notebook():
    page = nasty_page(np.zeros(len(nasty), np.float32))
    assert page.text == "<b>&" + nasty
    assert page.tags == {"div", "pre", "span", "small"}
    assert len(page.spans) == len(nasty)


def test_surprising_characters_are_darker_in_a_notebook():
    log_probs = -np.linspace(0, 8, len(nasty)).astype(np.float32)
    spans = nasty_page(log_probs).spans
    # translucent, with the text colour of the page
    assert all(re.fullmatch(r"background:rgba\(213,94,0,0\.\d\d\)", span["style"]) for span in spans)
    alphas = [float(re.search(r",([\d.]+)\)", span["style"])[1]) for span in spans]
    assert alphas == sorted(alphas)
    assert (alphas[0], alphas[-1]) == (0, 0.55)
    bits = [float(re.search(r": ([\d.]+) bits", span["title"])[1]) for span in spans]
    assert sum(bits) == pytest.approx(-log_probs.sum() / math.log(2), abs=0.2)


def test_only_the_first_20_000_characters_are_shaded():
    page = ScoredText("", "a" * 50_000, np.zeros(50_000, np.float32))._repr_html_()
    assert page.count("<span") == 20_000
    assert "30,000 characters more" in page


def test_a_result_without_new_characters_can_be_shown():
    assert "nothing new" in ScoredText("a", "")._repr_html_()
