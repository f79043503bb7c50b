"""Claim: a page answers each key at once. From key press to bars, the median is under 30 ms for an `rnn` of 256 hidden
units and under 100 ms for a `mullstm` of 768.

Pages of untrained models, opened from a file in headless Chromium. A key is pressed every 200 ms, at the end of a text
of 500 characters, so some presses interrupt the shading of the text. The time is that from the event of the key to the
first frame after the bars have changed. A round is 20 keys in a new page, without a warm-up, and its median counts.
Loading is the time from the start of the navigation to the first bars. `rnn` reads windows of 8 characters, `mullstm`
keeps its state.
"""

import tempfile
from pathlib import Path
from statistics import median

from chromium import find_chromium, launch
from figures import Row
from playwright.sync_api import sync_playwright

from fastai_charrnn.all import CharDataLoaders, char_learner, python_reference

needs_browser = True
# architecture, hidden units, loaders, milliseconds from key to bars
_cases = [("rnn", 256, dict(seq_len=8), 30), ("mullstm", 768, dict(seq_len=64, target="every", stateful=True), 100)]
_n_before = 500
# milliseconds between two keys
_pause = 200
# Collects the times of keys and of the first bars. Runs before the page's own script.
_watch = """
window.times = [];
let pressed = null;
addEventListener("keydown", (event) => (pressed = event.timeStamp), true);
const drawn = () => {
    const from = pressed === null ? 0 : pressed;
    pressed = NaN;
    requestAnimationFrame(() => {
        const channel = new MessageChannel();
        // after the frame is painted
        channel.port1.onmessage = () => window.times.push(performance.now() - from);
        channel.port2.postMessage(0);
    });
};
new MutationObserver((changes) => {
    const isBar = ({ target }) => target.closest && target.closest(".bars") && target.closest("button");
    if (!Number.isNaN(pressed) && changes.some(isBar)) drawn();
}).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["aria-label"] });
"""


def measure(short: bool = False) -> list[Row]:
    "Measure each model in pages of its own."
    rounds, keys = (1, 3) if short else (5, 20)
    rows = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = launch(playwright, find_chromium(playwright))
        for arch, n_hid, data, must in _cases:
            path = _page(Path(folder), arch, 16 if short else n_hid, data)
            found = [_round(browser, path, keys) for _ in range(rounds)]
            rows += _rows(f"`{arch}`, {n_hid} hidden units", found, path, must)
        browser.close()
    return rows


def _page(folder, arch, n_hid, data):
    "The page of an untrained model."
    text = python_reference()[:100_000]
    dls = CharDataLoaders.from_text(text, device="cpu", **data)
    return char_learner(dls, arch, n_hid=n_hid, seed=0).to_page(folder / f"{arch}.html", prompts=[text[:_n_before]])


def _round(browser, path, keys):
    "Open a page and press keys. Returns the milliseconds of loading and of each key."
    page = browser.new_page()
    page.add_init_script(_watch)
    page.goto(path.as_uri())
    page.wait_for_function("() => times.length > 0")
    page.get_by_role("textbox", name="Text", exact=True).press("Control+End")
    page.wait_for_timeout(1000)
    page.evaluate("times.splice(1)")
    for k in range(keys):
        page.keyboard.press("etaoin shr"[k % 10])
        page.wait_for_function(f"() => times.length > {k + 1}")
        page.wait_for_timeout(_pause)
    loading, *times = page.evaluate("times")
    page.close()
    return loading, times


def _rows(name, found, path, must):
    "The figures of one model."
    ms = dict(form="{:.1f}", unit=" ms", at_most=True)
    return [
        Row(f"{name}: key press to bars", [median(times) for _, times in found], **ms, must=must),
        Row(f"{name}: the slowest of 20 keys", [max(times) for _, times in found], **ms),
        Row(f"{name}: loading", [loading / 1000 for loading, _ in found], unit=" s"),
        Row(f"{name}: size of the page", [path.stat().st_size / 1e6], unit=" MB"),
    ]
