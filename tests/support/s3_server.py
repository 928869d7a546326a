"""An S3 on this machine: moto's server on a free loopback port, in threads of the test process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

BUCKET = "bucket"
S3_SECRET = "neverToBeSeenAnywhere/0123456789abcdef"  # noqa: S105 - opens nothing; tests look for it in all output


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
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="s3")
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        seen_by_others(endpoint).create_bucket(Bucket=BUCKET)
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def seen_by_others(endpoint: str) -> Any:
    """Amazon's own client, to look at the bucket without our store and its library."""
    import boto3

    secret = {"aws_access_key_id": "somebody", "aws_secret_access_key": "else"}
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **secret)
