"""The watch over pages notices every fault. Otherwise a test in a browser could pass by accident."""

import pytest
from page_watch import PageWatch

POLICY = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'sha256-x'\">"
SCRIPT = """
console.error('wrong'); console.warn('odd');
setTimeout(() => { throw new Error('lost') }); Promise.reject(new Error('late'));
new Worker(URL.createObjectURL(new Blob([`console.error('inside'); fetch('http://example.org/worker')`])));
"""
PAGES = {
    f"<script>{SCRIPT}</script><img src='http://example.org/a.png'>": [
        "console error: wrong",
        "console warning: odd",
        "exception: lost",
        "exception: late",
        "console error: inside",
        "request: http://example.org/a.png",
        "request: http://example.org/worker",
    ],
    f"{POLICY}<script>1</script>": ["Content Security Policy"],
    "<script>1</script>": [],
}


@pytest.mark.parametrize("body", PAGES, ids=["faults", "policy", "none"])
def test_all_faults_of_a_page_are_noticed(body, browser, tmp_path):
    (tmp_path / "page.html").write_text(f"<!doctype html><title>t</title>{body}", encoding="utf-8")
    watch = PageWatch(browser.new_context())
    page = watch.context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    for _ in range(20):
        page.wait_for_timeout(20)
        if PAGES[body] and all(any(fault in problem for problem in watch.problems) for fault in PAGES[body]):
            break
    watch.context.close()
    unseen = [fault for fault in PAGES[body] if not any(fault in problem for problem in watch.problems)]
    assert unseen == []
    assert bool(watch.problems) == bool(PAGES[body])
