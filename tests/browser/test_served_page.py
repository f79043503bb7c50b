"""The page of a server in a browser: several models, two tabs, a server that is started again, a token."""

import contextlib
from urllib.parse import urlsplit

import pytest
from page_driver import CharPage, named, small_learner
from playwright.sync_api import expect

from fastai_charrnn.serve.describe import load_served
from fastai_charrnn.serve.serve import close_models, model_app
from fastai_charrnn.serve.server import Address, ThreadServer, bound_socket


@pytest.fixture(scope="module")
def learners():
    return [small_learner(), small_learner(arch="gru")]


@contextlib.contextmanager
def serving(models, port=0, token=None):
    "A server of learners. Yields its address."
    sock = bound_socket("127.0.0.1", port)
    address = Address(sock, "127.0.0.1")
    address.token = token
    served = load_served(models)
    server = ThreadServer(model_app(served, address), sock, lambda: close_models(served))
    try:
        yield address.url
    finally:
        server.stop()


@pytest.fixture(scope="module")
def url(learners):
    with serving(learners) as address:
        yield address


def _first_bar(learn, text):
    "The name of the bar of the likeliest character."
    probs = learn.next_probs(text)
    total = 1 - probs.pop(learn.dls.vocab[0])
    best = max(probs, key=probs.get)
    return f"{named(best)}, {100 * probs[best] / total:.0f} %"


def _expect_bars_of(tab, learn, name, text):
    "The likeliest character of one of several models."
    bar = tab.get_by_role("list", name=f"Next characters, {name}").get_by_role("button").first
    expect(bar).to_have_accessible_name(_first_bar(learn, text))


def test_models_are_side_by_side_on_one_text(page, url, learners):
    tab = CharPage(page, url).tab
    tab.get_by_role("textbox", name="Text").fill("She said\u20ac that the")
    for learn, name in zip(learners, ("rnn", "gru")):
        _expect_bars_of(tab, learn, name, "She said that the")
        surprise = tab.get_by_role("region", name=f"Surprise, {name}")
        bits = learn.score("She said that the").bits_per_char
        expect(surprise).to_contain_text(f"{bits:.2f}")
    expect(tab.get_by_text("leaves it out: \u201c\u20ac\u201d").first).to_be_visible()
    tab.get_by_role("spinbutton", name="Length").fill("40")
    tab.get_by_role("button", name="Continue", exact=True).click()
    for name in ("rnn", "gru"):
        expect(tab.get_by_role("region", name=f"Continuation, {name}")).to_contain_text("40 characters")


def test_two_tabs_do_not_mix(open_window, url, learners):
    tabs = [CharPage(open_window(), url).tab for _ in range(2)]
    texts = ("She said", "12 boat")
    for tab, text in zip(tabs, texts):
        tab.get_by_role("textbox", name="Text").fill(text)
    for tab, text in zip(tabs, texts):
        _expect_bars_of(tab, learners[0], "rnn", text)


def test_a_continuation_stops_on_the_server_too(page, learners):
    learn = learners[1]
    with serving([learn]) as address:
        sea = CharPage(page, address)
        sea.number("Length").fill("10000")
        sea.continue_button.click()
        expect(sea.continuation.locator(".new")).not_to_be_empty()
        sea.stop_button.click()
        expect(sea.status().filter(has_text="Stopped")).to_be_visible()
        # the thread of the model is free again
        sea.text.fill("He sai")
        expect(sea.buttons.first).to_have_accessible_name(_first_bar(learn, "He sai"))
        # a request that a page cannot finish is an error in its console
        page.close()


def test_the_page_waits_for_a_server_that_is_started_again(browser, learners):
    # not watched: the console tells that the server cannot be reached
    tab = browser.new_page()
    with serving(learners[:1]) as address:
        sea = CharPage(tab, address)
        sea.type("She sa")
    sea.text.fill("He boa")
    notice = tab.get_by_text("The server does not answer")
    expect(notice).to_be_visible()
    with serving(learners[:1], port=urlsplit(address).port):
        expect(notice).to_be_hidden()
        expect(sea.buttons.first).to_have_accessible_name(_first_bar(learners[0], "He boa"))
    tab.close()


def test_the_address_with_its_token_opens_the_page_and_stays_open(browser, learners):
    tab = browser.new_page()
    with serving(learners[:1], token="secret") as address:
        tab.goto(address.partition("?")[0])
        expect(tab.get_by_text("The token is missing")).to_be_visible()
        sea = CharPage(tab, address)
        assert "token" not in tab.url
        sea.type("She sa")
        tab.reload()
        expect(tab.get_by_role("textbox", name="Text")).to_be_visible()
    tab.close()
