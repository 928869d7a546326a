"""Answers of a filled store against the schemas of the OpenAPI document."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from tests.support.paths import ROOT
from tests.support.stores import filled_store
from tests.support.web_service import NOW, app_of, client_of
from vae_search.server.answers import ANSWERS
from vae_search.server.examples import SPEC
from vae_search.services.webhooks.outbox import Delivery, Outbox
from vae_search.services.webhooks.outboxes import StoredOutbox

PATHS = {"sweep": "digits", "trial": "7", "item": "1", "model": "before"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("answers")
    store = filled_store(folder / "store")
    shutil.copytree(ROOT / "tests/fixtures/store_f001553/store/models", folder / "store/models")
    letter = Delivery(event="evt_1", type="sweep.failed", body="{}", due_at=NOW)
    StoredOutbox(store, "chat").change(lambda before: Outbox(waiting=(letter,), delivered_at=NOW))
    with client_of(app_of(store)) as client:
        assert client.post("/api/v1/sweeps", content=SPEC.replace("digits", "second", 1)).status_code == 201
        yield client


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict:
    return client.get("/openapi.json").json()


def validator(document: dict, method: str, path: str, status: int) -> Draft202012Validator:
    content = (
        document["paths"][path][method]["responses"].get(str(status))
        or document["paths"][path][method]["responses"]["default"]
    )
    (media,) = content["content"].values()
    return Draft202012Validator(media["schema"] | {"components": document["components"]})


@pytest.mark.parametrize("path", sorted(path for method, path in ANSWERS if method == "get"))
def test_an_answer_is_as_the_document_says(path, client, document):
    address = re.sub(r"\{(\w+)\}", lambda found: PATHS[found[1]], path)
    answer = client.get(address)
    check = validator(document, "get", path, answer.status_code)

    assert answer.status_code == 200, answer.text
    assert [error.message for error in check.iter_errors(answer.json())] == []
    items = answer.json().get("items")
    assert items is None or items, "an empty list proves nothing"
    for name in {**check.schema["components"]["schemas"][ANSWERS["get", path].__name__]["properties"]}:
        assert not check.is_valid({key: value for key, value in answer.json().items() if key != name}), name


def test_a_refusal_is_as_the_document_says(client, document):
    answer = client.post("/api/v1/sweeps", content="name: x\nbudget: {trials: 0}")

    assert answer.status_code == 422
    validator(document, "post", "/api/v1/sweeps", 422).validate(answer.json())


def test_every_described_answer_belongs_to_an_operation(document):
    assert {(method, path) for path, item in document["paths"].items() for method in item} >= ANSWERS.keys()
