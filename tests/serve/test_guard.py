"""What the server refuses: other pages, other names, missing tokens."""

import pytest
from asking import ask

from fastai_charrnn.serve.server import is_loopback

HOSTS = ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "8.8.8.8", "", "[::1", "localhost.evil.example"]


@pytest.mark.parametrize("host", HOSTS)
def test_another_host_is_refused(port, host):
    answer = ask(port, "/api/models", headers={"Host": host})
    assert answer.status in (400, 421)
    assert b"vocab" not in answer.body


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "127.0.0.1:9", "[::1]:8000"])
def test_names_of_this_computer_are_answered_on_any_port(port, host):
    "A port may be forwarded by ssh."
    assert ask(port, "/api/models", headers={"Host": host}).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "file://"])
def test_a_request_of_another_page_is_refused(port, origin):
    for path, values in (("/api/models", None), ("/api/0/next", {"text": "a"})):
        answer = ask(port, path, values, headers={"Origin": origin})
        assert answer.status == 403
        assert answer.error()[0] == "origin"


def test_a_request_of_the_page_itself_is_answered(port):
    headers = {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}
    assert ask(port, "/api/0/next", {"text": "a"}, headers=headers).status == 200


def test_a_request_from_another_site_is_refused_unless_it_opens_the_page(port):
    site = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert ask(port, "/api/models", headers=site).status == 403
    assert ask(port, "/", headers=site | {"Sec-Fetch-Mode": "navigate"}).status == 200


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_no_other_origin_may_read_answers(port, method):
    answer = ask(port, "/api/models", method=method)
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_form_cannot_post(port, kind):
    "A page may send these types to any server without being asked."
    assert ask(port, "/api/0/next", {"text": "a"}, headers={"Content-Type": kind}).status == 415


# tokens


@pytest.mark.parametrize("path", ["/", "/api/models", "/?token=", "/?token=secre", "/?token=secret2", "/nothing"])
def test_a_server_with_a_token_answers_nothing_without_it(guarded_port, path):
    answer = ask(guarded_port, path)
    assert answer.status == 401
    assert b"token" in answer.body


@pytest.mark.parametrize("token", ["secre", "Secret", "secret\u00e9", ""])
def test_a_wrong_token_is_refused(guarded_port, token):
    headers = {"Authorization": f"Bearer {token}", "Cookie": f"charrnn_{guarded_port}={token}"}
    assert ask(guarded_port, "/api/0/next", {"text": "a"}, headers=headers).status == 401


def test_the_token_of_the_address_becomes_a_cookie(guarded_port):
    answer = ask(guarded_port, "/?token=secret")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    headers = {"Cookie": cookie.partition(";")[0]}
    assert ask(guarded_port, "/", headers=headers).status == 200
    assert ask(guarded_port, "/api/0/next", {"text": "a"}, headers=headers).status == 200


def test_with_a_token_addresses_are_answered_and_strange_names_are_not(guarded_port):
    token = {"Authorization": "Bearer secret"}
    assert ask(guarded_port, "/api/models", headers=token | {"Host": "192.168.1.5:80"}).status == 200
    assert ask(guarded_port, "/api/models", headers=token | {"Host": "evil.example"}).status == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_addresses(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "localhost.evil.example", ""])
def test_other_addresses(host):
    assert not is_loopback(host)
