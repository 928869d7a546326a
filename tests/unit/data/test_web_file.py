"""A file on a web server: what a reply tells of it, and where a redirect may lead. The servers are this machine's."""

import socket

import pytest

from tests.support.file_server import file_server
from vae_search.core.transfer.remote_file import OutOfRange, RemoteFailure, Unchanged, Version
from vae_search.data.remote.web_file import WebFile

CONTENT = bytes(range(256)) * 8


@pytest.fixture(autouse=True)
def without_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server():
    with file_server(CONTENT) as server:
        yield server


@pytest.fixture
def hosts(monkeypatch, server):
    """Names of hosts, each at an address of its choice, behind which the server answers."""
    known: dict[str, str] = {}
    connect, look_up = socket.create_connection, socket.getaddrinfo

    def found(host, port, *arguments, **options):
        return look_up(known.get(host, host), port, *arguments, **options)

    def connected(place, *arguments, **options):
        reached.append(place[0])
        return connect(("127.0.0.1", server.server_port), *arguments, **options)

    reached: list[str] = []
    monkeypatch.setattr(socket, "getaddrinfo", found)
    monkeypatch.setattr(socket, "create_connection", connected)
    return known, reached


def taken(file: WebFile, span=None, unless=None) -> bytes:
    with file.get(span, unless=unless) as reply:
        return b"".join(reply.chunks)


def test_a_span_tells_the_size_of_the_whole(server):
    with WebFile(f"{server.address}/x.npz").get((100, 300), unless=None) as reply:
        content = b"".join(reply.chunks)

    assert (reply.is_span, reply.start, content) == (True, 100, CONTENT[100:300])
    assert reply.version == Version(etag='"1"', last_modified=None, size_bytes=len(CONTENT))


def test_a_server_without_ranges_sends_all(server):
    server.knows_ranges = False

    with WebFile(f"{server.address}/x.npz").get((100, 300), unless=None) as reply:
        content = b"".join(reply.chunks)

    assert (reply.is_span, reply.start, content) == (False, 0, CONTENT)


def test_a_version_at_hand_is_not_sent_again(server):
    server.last_modified = "Sat, 01 Jan 2022 00:00:00 GMT"
    file = WebFile(f"{server.address}/x.npz")

    for known in ({"etag": '"1"', "last_modified": None}, {"etag": None, "last_modified": server.last_modified}):
        with pytest.raises(Unchanged):
            taken(file, (0, 10), Version(size_bytes=5, **known))
    assert taken(file, (0, 10), Version(etag='"0"', last_modified=server.last_modified, size_bytes=5)) == CONTENT[:10]


def test_a_span_behind_the_end_is_told(server):
    with pytest.raises(OutOfRange):
        taken(WebFile(f"{server.address}/x.npz"), (10_000, 10_001))


@pytest.mark.parametrize(("status", "passing", "absent"), [(404, False, True), (403, False, False), (503, True, False)])
def test_a_refusal_says_whether_waiting_helps(server, status, passing, absent):
    server.status = status

    with pytest.raises(RemoteFailure, match=f"answers {status}") as failure:
        taken(WebFile(f"{server.address}/x.npz"))

    assert (failure.value.passing, failure.value.absent) == (passing, absent)


def test_a_redirect_is_followed(server):
    server.locations = ["/elsewhere/x.npz"]

    assert taken(WebFile(f"{server.address}/x.npz")) == CONTENT
    assert [path for path, _ in server.asked] == ["/x.npz", "/elsewhere/x.npz"]


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("http://10.0.0.1/x.npz", "private"),
        ("http://localhost/x.npz", "private"),
        ("http://inside.example/x.npz", "private"),
        ("http://[::ffff:127.0.0.1]/x.npz", "private"),
        ("http://169.254.169.254/latest/x.npz", "link-local"),
        ("http://metadata.example/latest/x.npz", "link-local"),
        ("ftp://public.example/x.npz", "ftp"),
        ("file:///etc/passwd", "file"),
    ],
)
def test_a_public_server_leads_to_no_host_that_only_this_machine_sees(server, hosts, location, says):
    known, reached = hosts
    known |= {"public.example": "93.184.216.34", "inside.example": "10.0.0.1", "metadata.example": "169.254.169.254"}
    server.locations = [location]

    with pytest.raises(RemoteFailure, match=says) as failure:
        taken(WebFile("http://public.example/x.npz"))

    assert not failure.value.passing
    assert reached == ["93.184.216.34"]  # the address that was checked, and no other


def test_a_private_server_that_the_user_names_may_lead_to_private_ones(server, hosts):
    known, reached = hosts
    known |= {"inside.example": "10.0.0.1"}
    server.locations = ["http://192.168.0.1/x.npz"]

    assert taken(WebFile("http://inside.example/x.npz")) == CONTENT
    assert reached == ["10.0.0.1", "192.168.0.1"]


def test_a_way_that_was_public_once_leads_to_nothing_private(server, hosts):
    known, reached = hosts
    known |= {"public.example": "93.184.216.34", "inside.example": "10.0.0.1"}
    server.locations = ["http://public.example/x.npz", "http://10.0.0.2/x.npz"]

    with pytest.raises(RemoteFailure, match="private"):
        taken(WebFile("http://inside.example/x.npz"))

    assert reached == ["10.0.0.1", "93.184.216.34"]


@pytest.mark.parametrize("host", ["169.254.169.254", "metadata.example", "[fe80::1]"])
def test_a_service_of_credentials_is_not_even_connected_to(hosts, host):
    known, reached = hosts
    known |= {"metadata.example": "169.254.169.254"}

    with pytest.raises(RemoteFailure, match="link-local"):
        taken(WebFile(f"http://{host}/latest/x.npz"))

    assert reached == []


def test_a_service_for_others_asks_no_private_host(hosts):
    with pytest.raises(RemoteFailure, match="private"):
        taken(WebFile("http://10.0.0.1/x.npz", may_be_private=False))


def test_a_proxy_of_the_environment_is_asked_and_looks_the_name_up(server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.address)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.locations = ["http://10.0.0.1/x.npz"]

    with pytest.raises(RemoteFailure, match="private"):
        taken(WebFile("http://no-such-name.example/x.npz"))

    assert taken(WebFile("http://no-such-name.example/x.npz")) == CONTENT
    assert [path for path, _ in server.asked] == ["http://no-such-name.example/x.npz"] * 2


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/x.npz", "http:///x.npz", "http://[::1/x.npz", "http://host:port/x.npz", "http://a b/x.npz"],
)
def test_an_address_that_leads_nowhere_is_no_bug_of_ours(url):
    with pytest.raises(RemoteFailure):
        taken(WebFile(url))
