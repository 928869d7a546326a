"""An S3 on this machine: moto's server on a free loopback port, in threads of the test process."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

BUCKET = "bucket"


@contextmanager
def s3_server() -> Iterator[str]:
    """Serve for the length of the block; yields the endpoint, which has one empty bucket."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    class SilentHandler(MotoRequestHandler):
        def log(self, *args: object) -> None:
            pass

    application, one_at_a_time = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def serialised(environ, start_response):
        # S3 looks and writes in one step; moto in two, between which another thread would get in.
        with one_at_a_time:
            return list(application(environ, start_response))

    server = make_server("127.0.0.1", 0, serialised, threaded=True, request_handler=SilentHandler)
    thread = threading.Thread(target=server.serve_forever, name="s3")
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        ask(f"{endpoint}/{BUCKET}", "PUT")
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(url: str, method: str = "GET") -> bytes:
    """One request without our store and its library: how somebody else sees the bucket."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    try:
        connection.request(method, quote(url.removeprefix(f"http://{urlsplit(url).netloc}"), safe="/?=&%"))
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{method} {url}: {answer.status}")
    return content
