"""Who may ask the server of the window."""

import pytest

from vitrail.live.guard import HEADERS, Guard, is_open, own_names

GUARD = Guard(None, ("127.0.0.1",))


@pytest.mark.parametrize("host", ["127.0.0.1:8711", "localhost:8711", "[::1]:8711", "192.168.0.7:8711", "LOCALHOST"])
def test_addresses_and_this_machine_are_answered(host):
    assert GUARD.refusal("GET", {"host": host}) == ""


@pytest.mark.parametrize("host", ["evil.example:8711", "evil.example", "localhost.evil.example:80", "", "127.0.0.1.a"])
def test_another_name_is_refused_as_it_may_be_made_to_point_here(host):
    assert "not called" in GUARD.refusal("GET", {"host": host})


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "https://127.0.0.1:8711"},
        {"origin": "http://127.0.0.1:8712"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_what_another_site_sends_is_refused(headers):
    assert "other sites" in GUARD.refusal("POST", {"host": "127.0.0.1:8711", **headers})


def test_the_pages_own_requests_are_answered():
    own = {"host": "127.0.0.1:8711", "origin": "http://127.0.0.1:8711", "sec-fetch-site": "same-origin"}
    assert GUARD.refusal("POST", own) == ""


def test_another_site_cannot_show_images_of_the_window_either():
    assert "other sites" in GUARD.refusal("GET", {"host": "localhost", "sec-fetch-site": "cross-site"})


def test_nothing_may_be_fetched_from_elsewhere():
    policy = HEADERS["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "unsafe" not in policy
    assert "*" not in policy


def test_only_what_others_reach_is_open():
    assert not is_open("127.0.0.1")
    assert not is_open("localhost")
    assert is_open("0.0.0.0")
    assert is_open("192.168.0.7")
    assert own_names("127.0.0.1") == ("127.0.0.1",)
    assert len(own_names("0.0.0.0")) == 3
