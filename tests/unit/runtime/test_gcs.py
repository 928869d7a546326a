"""Which addresses of a cluster are refused, and why, before anything is sent. Real heads are met elsewhere."""

import pytest

from vae_search.core.transfer.http_address import is_loopback
from vae_search.errors import ClusterTrouble
from vae_search.runtime.cluster.gcs import connect_head, gcs_address

pytestmark = pytest.mark.needs_ray


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost"])
def test_only_this_machine_reaches_its_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "0.0.0.0",  # noqa: S104 - nothing binds to it
        "::",
        "128.0.0.1",
        "head",
        "localhost.evil.example",
        "",
        "2130706433",
        "127.1",
        "127.0.0.256",
    ],
)
def test_whatever_else_others_may_reach(host):
    assert not is_loopback(host)


@pytest.mark.parametrize("address", ["http://head:8265", "https://head:8265", "ray://head:10001"])
def test_an_address_for_elsewhere_is_answered_with_the_command_for_it(address):
    with pytest.raises(ClusterTrouble) as refused:
        gcs_address(address)

    assert f"vae-search submit SPEC --address {address}" in str(refused.value)


@pytest.mark.parametrize("address", ["head", "127.0.0.1", "a:b:c", ""])
def test_what_is_no_address_is_named_in_one_line(address):
    with pytest.raises(ClusterTrouble) as refused:
        gcs_address(address)

    assert str(refused.value).startswith(f"--address {address}: ")
    assert len(str(refused.value).splitlines()) == 1


def test_host_and_port_are_taken_as_they_are():
    assert gcs_address("10.1.2.3:6379") == "10.1.2.3:6379"


def test_a_cluster_that_others_reach_is_not_joined_without_a_token(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(ClusterTrouble, match="needs token authentication, and there is no token") as refused:
        connect_head("192.0.2.1:6379")  # an address that leads nowhere: asking it would take until the timeout

    assert "ray get-auth-token --generate" in str(refused.value)
