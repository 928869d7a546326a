"""The API's documentation: it meets OpenAPI 3.1, and what it shows as examples is taken by the API."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from openapi_spec_validator import validate
from starlette.testclient import TestClient

from tests.support.stores import filled_store
from tests.support.web_service import app_of, client_of
from vae_search.server.submissions import DataRoots
from vae_search.server.tokens import Role

PATHS = {
    "event": "evt_1",
    "sweep": "digits",
    "trial": "1",
    "item": "1",
    "model": "fashion",
    "version": "1",
    "path": "card.json",
}
TRAINS = "/api/v1/specs:estimate"  # starts TensorFlow


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("documented")
    roots = DataRoots(folders=(folder.resolve(),))
    with client_of(app_of(filled_store(folder / "store"), roots=roots)) as client:
        yield client


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict:
    return client.get("/openapi.json").json()


def operations(document: dict) -> Iterator[tuple[str, str, dict]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def test_the_document_is_openapi_3_1(document):
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_every_operation_says_what_it_does_which_role_it_needs_and_how_it_refuses(document):
    for method, path, operation in operations(document):
        assert operation["summary"], (method, path)
        assert operation["description"].endswith("."), (method, path)
        assert operation["x-role"] in {*Role, "anyone"}, (method, path)
        assert operation["security"] or operation["x-role"] == "anyone", (method, path)
        assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_every_body_has_an_example_and_every_parameter_a_meaning(document):
    for method, path, operation in operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert "example" in content or "examples" in content, (method, path)
        for parameter in operation.get("parameters", []):
            assert parameter.get("description") or parameter["name"] in ("model", "sweep", "actor"), (path, parameter)


@pytest.mark.slow
def test_the_examples_of_bodies_are_taken(client, document):
    taken = 0
    for method, path, operation in operations(document):
        address = path
        for name, value in PATHS.items():
            address = address.replace(f"{{{name}}}", value)
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            examples = [each["value"] for each in content.get("examples", {}).values()]
            examples += [content["example"]] if "example" in content else []
            for example in examples:
                if path == TRAINS:
                    continue
                body = {"content": example} if isinstance(example, str) else {"json": example}
                answer = client.request(method, address, headers={"Content-Type": kind}, **body)
                # The examples are right; the store may hold another sweep of their name, or no such model.
                assert answer.status_code in (200, 201, 202, 404, 409), (path, answer.text)
                taken += 1
    assert taken >= 12
