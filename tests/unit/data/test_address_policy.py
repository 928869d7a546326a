"""Addresses that a download may lead to, and those that it must not."""

import pytest

from vae_search.data.remote.address_policy import refusal

PUBLIC = "93.184.216.34"
METADATA = [
    *("169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
    "fd00:ec2::254",
]
PRIVATE = [
    *("127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.100.100.200", "0.0.0.0", "224.0.0.1"),  # noqa: S104
    *("::1", "fd12::1", "::ffff:10.0.0.1", "::", "ff02::1", "2002:a00:1::"),
]


@pytest.mark.parametrize("address", METADATA)
@pytest.mark.parametrize("may_be_private", [True, False])
def test_where_clouds_keep_credentials_is_never_asked(address, may_be_private):
    by_name = refusal("https://host/x.npz", [address], may_be_private=may_be_private, secure_only=False)
    bracketed = f"[{address.partition('%')[0]}]" if ":" in address else address
    by_address = refusal(f"http://{bracketed}/x.npz", [], may_be_private=may_be_private, secure_only=False)

    assert by_name == by_address == "it leads to a link-local address, where clouds keep credentials"


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_asked_only_where_one_is_meant(address):
    url = "https://host/x.npz"

    assert refusal(url, [address], may_be_private=True, secure_only=True) is None
    assert refusal(url, [address], may_be_private=False, secure_only=True) == "it leads to a private address"
    assert refusal(url, [PUBLIC, address], may_be_private=False, secure_only=True) == "it leads to a private address"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "[::1]"])
def test_this_machine_is_known_by_its_name_as_well(host):
    assert refusal(f"http://{host}:8080/x.npz", [], may_be_private=True, secure_only=False) is None
    assert refusal(f"http://{host}:8080/x.npz", [], may_be_private=False, secure_only=False) is not None


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:220:1::1", "::ffff:93.184.216.34"])
def test_what_everybody_can_reach_is_asked(address):
    assert refusal("https://host/x.npz", [address], may_be_private=False, secure_only=True) is None


def test_https_leads_to_nothing_less():
    assert (
        refusal("http://host/x.npz", [PUBLIC], may_be_private=True, secure_only=True) == "it leads from https to http"
    )
    assert refusal("http://host/x.npz", [PUBLIC], may_be_private=True, secure_only=False) is None


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "file:///etc/passwd", "data:,x", "gopher://host/", "//host/x", "http:///x", "http://[::1/x"]
)
def test_other_schemes_and_addresses_of_no_host_are_refused(url):
    assert refusal(url, [], may_be_private=True, secure_only=False) is not None
