"""A wrong address, token or version is explained in seconds. What real Ray says is in test_local_cluster.py."""

import re
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.dashboards import dripping_server, http_server
from vae_search.errors import ClusterTrouble
from vae_search.runtime.cluster.connectivity import (
    MODE,
    NODES,
    STATUS,
    VERSION,
    adds_nodes,
    check_connectivity,
    cluster_nodes,
    may_grow,
)
from vae_search.runtime.cluster.token import locate_token

TOKEN = "t0ken"  # noqa: S105 - opens nothing
OPEN = {MODE: {"authentication_mode": "disabled"}, VERSION: {"ray_version": version("ray")}}


def test_an_open_cluster_is_used_on_this_machine_only():
    with http_server(OPEN) as port:
        assert check_connectivity(f"http://127.0.0.1:{port}", token=None).auth == "disabled"
        with pytest.raises(ClusterTrouble, match=r"must ask for a token.*\n.*get-auth-token --generate"):
            check_connectivity(
                f"http://0.0.0.0:{port}", token=None
            )  # the same server, by an address that is not the loopback's


@pytest.mark.parametrize(
    "pages",
    [{}, {MODE: 302, "/elsewhere": {"authentication_mode": "token"}}, {MODE: {"authentication_mode": "disabled"}}],
    ids=["nothing", "sends us elsewhere", "open"],
)
def test_the_token_is_shown_only_to_a_dashboard_that_wants_one(pages):
    seen: list[dict[str, str]] = []
    with http_server(pages, seen=seen) as port, pytest.raises(ClusterTrouble) as raised:
        check_connectivity(f"http://127.0.0.1:{port}", token=TOKEN)

    assert TOKEN not in str(raised.value)
    assert len(seen) == 2
    assert not any("authorization" in headers for headers in seen)


def test_a_dashboard_that_wants_one_gets_it():
    seen: list[dict[str, str]] = []
    with http_server(OPEN | {MODE: {"authentication_mode": "token"}}, seen=seen) as port:
        assert check_connectivity(f"http://127.0.0.1:{port}", token=TOKEN).auth == "token"
    assert [headers.get("authorization") for headers in seen] == [None, f"Bearer {TOKEN}"]


@pytest.mark.parametrize(
    "pages",
    [{}, {MODE: "<html>", VERSION: "<html>"}, {MODE: [1], VERSION: {"version": 4}}, {MODE: 500, VERSION: 500}],
    ids=["nothing", "a page", "other JSON", "broken"],
)
def test_what_is_no_dashboard_is_named_so(pages):
    with http_server(pages) as port, pytest.raises(ClusterTrouble, match="no Ray dashboard"):
        check_connectivity(f"http://127.0.0.1:{port}", token=None)


def test_another_version_is_named():
    pages = {VERSION: {"ray_version": "2.9.3"}}  # which knows nothing of tokens
    says = re.escape(f"({version('ray')}), but runs '2.9.3'")
    with http_server(pages) as port, pytest.raises(ClusterTrouble, match=says):
        check_connectivity(f"http://127.0.0.1:{port}", token=None)


def test_a_patch_version_is_no_other_version():
    major, minor, _ = version("ray").split(".")
    with http_server(OPEN | {VERSION: {"ray_version": f"{major}.{minor}.99"}}) as port:
        assert check_connectivity(f"http://127.0.0.1:{port}", token=None).ray_version.endswith(".99")


def test_nothing_listens():
    with pytest.raises(ClusterTrouble, match="connection refused"):
        check_connectivity("http://127.0.0.1:1", token=None)


@pytest.mark.parametrize("piece", [b"HTTP/1.1 200 OK\r\n", b"x"], ids=["headers", "no HTTP"])
def test_a_server_that_drips_does_not_hold_us(piece):
    with dripping_server(piece) as port:
        begun_s = time.monotonic()
        with pytest.raises(ClusterTrouble):
            check_connectivity(f"http://127.0.0.1:{port}", token=None, timeout_s=0.5)
        assert time.monotonic() - begun_s < 60  # each of its reads succeeds, for ever


def test_other_protocols_are_no_http():
    with dripping_server(b"\x00\x00\x18\x04\n") as port, pytest.raises(ClusterTrouble, match="not in HTTP"):
        check_connectivity(f"http://127.0.0.1:{port}", token=None)


@pytest.mark.parametrize(
    "address",
    ["auto", "ray://head:10001", "head:8265", "http://", "http://head:0", "http://h:99999", "http://h\x1b[1m"],
)
def test_an_address_has_one_form(address):
    with pytest.raises(ClusterTrouble, match="must be http://HEAD:8265") as raised:
        check_connectivity(address, token=None)
    assert str(raised.value).isprintable()


def test_a_password_in_an_address_is_not_repeated():
    with pytest.raises(ClusterTrouble, match="must be http://HEAD:8265") as raised:
        check_connectivity("http://me:secret@head:8265", token=None)
    assert "secret" not in str(raised.value)


def test_nodes_that_are_not_listed_are_trouble():
    for page in ({}, {"data": {"result": {"result": [{"state": "ALIVE"}]}}}, "<html>"):
        with http_server({NODES: page}) as port, pytest.raises(ClusterTrouble, match="does not list its nodes"):
            cluster_nodes(f"http://127.0.0.1:{port}", token=None)


@pytest.mark.parametrize(
    ("types", "adds"),
    [
        ({"abc01": "ray.head.default"}, True),  # an autoscaler's head, without any worker
        ({"127.0.0.2": "head", "10.0.0.1": "worker"}, True),
        ({"ABC01": "node_abc01", "abc02": "node_abc02"}, False),  # nodes that were started by hand
        ({}, None),
        (None, None),
    ],
)
def test_an_autoscaler_is_known_by_the_types_of_its_nodes(types, adds):
    assert adds_nodes(types) is adds


@pytest.mark.parametrize(
    ("status", "grows"),
    [
        ({"autoscalerReport": {"nodeTypeMapping": {"abc": "node_abc"}}}, False),
        ({"autoscalerReport": {"nodeTypeMapping": {"abc": "ray.head.default"}}}, True),
        (None, True),  # version 2 tells nothing here: the driver finds out
    ],
)
def test_what_a_dashboard_tells_of_its_autoscaler_decides(status, grows):
    with http_server({STATUS: {"data": {"clusterStatus": status}}}) as port:
        assert may_grow(f"http://127.0.0.1:{port}", token=None) is grows


def test_the_token_is_found_where_ray_finds_it(tmp_path: Path):
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("of-the-home\n")
    (tmp_path / "named").write_text(" of-the-path\n")
    both = {"RAY_AUTH_TOKEN": "of-the-variable", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "named")}

    path_only = {"RAY_AUTH_TOKEN": "", "RAY_AUTH_TOKEN_PATH": both["RAY_AUTH_TOKEN_PATH"]}
    found = [locate_token(environment, home=tmp_path) for environment in (both, path_only, {})]

    assert [token and token.value for token in found] == ["of-the-variable", "of-the-path", "of-the-home"]
    assert "of-the" not in repr(found[0])
    assert locate_token({}, home=tmp_path / "nowhere") is None


@pytest.mark.parametrize("content", [None, b"", b" \n", b"two words", b"\xff\xfe", b"line\nline"])
def test_a_named_file_that_holds_no_token_is_an_error(content: bytes | None, tmp_path: Path):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ClusterTrouble, match="must hold the cluster's token") as raised:
        locate_token({"RAY_AUTH_TOKEN_PATH": str(path)}, home=tmp_path)
    assert "two words" not in str(raised.value)
