"""Whose use is counted, and which address a proxy saw."""

import pytest

from mambaad_demo.ui.askers import asker, seen_by_proxy


def request(client="10.16.3.80", *forwarded):
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"type": "http", "client": (client, 1), "headers": headers}


def test_a_browser_is_itself_and_programs_are_their_address():
    assert asker(request("192.0.2.1"), "mira").visitor == "mira"
    assert asker(request("192.0.2.1"), None).visitor == "address 192.0.2.1"
    assert asker(request("192.0.2.1"), "mira").address == asker(request("192.0.2.1"), None).address
    assert asker({"type": "http"}, None).visitor == "address "


def test_one_customer_s_addresses_are_one():
    assert asker(request("2001:db8:1:2::3"), None) == asker(request("2001:db8:1:2:ffff::4"), None)
    assert asker(request("2001:db8:1:2::3"), None) != asker(request("2001:db8:1:3::3"), None)


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (["8.8.8.8"], "8.8.8.8"),
        (["1.1.1.1, 8.8.8.8"], "8.8.8.8"),
        (["1.1.1.1", "8.8.8.8"], "8.8.8.8"),
        (["1.1.1.1, 8.8.8.8, 10.0.0.1, 172.16.0.1"], "8.8.8.8"),
        (["2606:4700::1111, 10.0.0.1"], "2606:4700::1111"),
        (["1.1.1.1, nonsense"], "10.16.3.80"),
        (["1.1.1.1, "], "10.16.3.80"),
        (["10.0.0.1"], "10.16.3.80"),
        ([""], "10.16.3.80"),
        ([], "10.16.3.80"),
    ],
)
def test_the_address_is_the_last_public_one_that_the_proxies_name(forwarded, address):
    assert seen_by_proxy(request("10.16.3.80", *forwarded))["client"][0] == address
