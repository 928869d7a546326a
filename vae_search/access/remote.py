"""Access to a store that a service has: the same questions, over HTTP."""

import codecs
import http.client
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

from vae_search.access.answers import Answer, answer_of, strange
from vae_search.access.connection import Connection, Request
from vae_search.access.event_stream import read_events
from vae_search.access.interface import Event
from vae_search.access.problem_documents import error_kind
from vae_search.core.settings import QUERY_TIMEOUT_S, SERVED_QUERY_TIMEOUT_S
from vae_search.errors import InvalidSpec, NotFound, ProcessLost, StoreUnavailable, VaeSearchError

if TYPE_CHECKING:
    from vae_search.registry.state import ModelState
    from vae_search.services.payloads import Facts
    from vae_search.spec.hyperparameters import ParamValue
    from vae_search.spec.sweep_spec import SweepSpec
    from vae_search.store.queries.query_result import QueryResult

PAGE = 500
PIECE_BYTES = 2**16
MOST_RANKED = 100_000
RECONNECT_S = 1.0
AWAY_S = 120.0  # that a service may be away while a sweep is watched: a restart, and no more
SILENCE_S = 60.0  # of a stream; the service writes a comment every 15 s
QUEUE_LOOK_S = 2.0  # between two looks at an item of the queue, or at a promotion


class RemoteAccess:
    """A service, asked through its API.

    Args:
        sleep: waits before a stream is opened again, and between two looks at the queue.
        monotonic: clock that the time without a service is measured by.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._sleep = sleep
        self._monotonic = monotonic

    def statuses(self) -> "Facts":
        """Ask for all sweeps, a page at a time."""
        items: list[Facts] = []
        troubles: list[str] = []
        cursor: str | None = None
        while True:
            query = {"limit": PAGE, "cursor": cursor, "remarks": True}
            page = self._ask(Request(path="/sweeps", query=query))
            with self._understood():
                items += page["items"]
                troubles += page["troubles"]
                if page["next"] is None:
                    return {"items": items, "troubles": troubles, "remarks": page["remarks"]}
                cursor = items[-1]["sweep"]

    def status(self, sweep: str, *, details: bool = False) -> "Facts":
        """Ask for one sweep."""
        facts = self._ask(Request(path=f"/sweeps/{_part(sweep)}", query={"details": details}))
        return facts.without("spec", "queued")

    def latest_spec(self, sweep: str) -> "SweepSpec":
        """Ask for the spec of a sweep."""
        from vae_search.spec.sweep_spec import SweepSpec

        facts = self._ask(Request(path=f"/sweeps/{_part(sweep)}"))
        with self._understood():
            return SweepSpec.from_json(facts["spec"])

    def best(
        self, sweep: str, *, count: int | None, by: str, every_state: bool, pareto: bool, where: str | None
    ) -> "Facts":
        """Ask for a ranking."""
        query = {
            "n": min(count or MOST_RANKED, MOST_RANKED),
            "by": by,
            "all": every_state,
            "pareto": pareto,
            "where": where,
        }
        return self._ask(Request(path=f"/sweeps/{_part(sweep)}/best", query=query))

    def query(self, sql: str, *, sweep: str | None, timeout_s: float | None) -> "QueryResult":
        """Ask in SQL; the answer comes as an Arrow stream, which keeps the types."""
        limit_s = min(QUERY_TIMEOUT_S, SERVED_QUERY_TIMEOUT_S) if timeout_s is None else timeout_s
        request = Request.to_post(
            "/query.arrow", {"sql": sql, "sweep": sweep, "timeout_s": limit_s}, repeatable=True, answer_s=limit_s + 60
        )
        with self._understood():
            result: QueryResult = self._connection.ask(request, self._table)
        return result

    def logs(self, sweep: str, *, trial: int | None) -> Iterator[str]:
        """Ask for a sweep's logs, and pass them on as they come."""
        request = Request(path=f"/sweeps/{_part(sweep)}/logs", query={"trial": trial, "whole": True})
        with self._stream(request, "text/plain") as response:
            decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
            while piece := response.read1(PIECE_BYTES):
                yield decoder.decode(piece)
            if response.length:  # what was announced has not come; the library says so of pieces alone
                raise http.client.IncompleteRead(b"", response.length)

    def events(self, sweep: str) -> Iterator[Event]:
        """Follow a sweep's stream; one that breaks off is opened again, from the last event on."""
        last = ""
        alive_s: float | None = None  # when it last said something; a service that never did is not waited for
        while True:
            headers = {"Last-Event-ID": last} if last else {}
            request = Request(path=f"/sweeps/{_part(sweep)}/events", headers=headers, answer_s=SILENCE_S)
            try:
                with self._stream(request, "text/event-stream") as response, self._understood():
                    for event in read_events(response, objects=answer_of(self._connection.server)):
                        alive_s = self._monotonic()
                        if event is None:
                            continue
                        last = event.number or last
                        if event.kind in ("progress", "trial"):
                            yield event.kind, event.data
                        if event.kind == "end" or (event.kind == "progress" and not event.data["runs"]):
                            return
                raise StoreUnavailable(f"{self._connection.server}: the stream ended. Is the service still there?")
            except StoreUnavailable:
                if alive_s is None or self._monotonic() - alive_s > AWAY_S:
                    raise
            self._sleep(RECONNECT_S)

    def stop(self, sweep: str) -> "Facts | None":
        """Ask the service to stop a sweep."""
        answer = self._ask(Request.to_post(f"/sweeps/{_part(sweep)}:stop", {}, repeatable=True))
        with self._understood():
            queued: Facts | None = answer["queued"]
        return queued

    def models(self) -> "Facts":
        """Ask for all models."""
        return self._ask(Request(path="/models"))

    def model(self, model: str) -> "ModelState":
        """Ask for a model's log, and fold it."""
        from vae_search.registry.log import Entry
        from vae_search.registry.state import fold

        facts = self._ask(Request(path=f"/models/{_part(model)}"))
        with self._understood():
            return fold(model, [Entry.from_record(entry, where=self._connection.server) for entry in facts["log"]])

    def promote(self, sweep: str, *, model: str | None) -> "Facts":
        """Ask the service to judge a sweep's finalists."""
        name = model or self.status(sweep)["model"]
        if name is None:
            raise InvalidSpec(
                f"sweep {sweep}: its spec has no promote.model. Name the model: "
                f"`vae-search promote {sweep} --model NAME`."
            )
        # Asking again while one runs is the same request, and afterwards changes nothing.
        asked = self._ask(Request.to_post(f"/models/{_part(name)}:promote", {"sweep": sweep}, repeatable=True))
        with self._understood():
            while asked["state"] == "running":
                self._sleep(QUEUE_LOOK_S)
                known = self._ask(Request(path=f"/models/{_part(name)}/promotions"))["items"]
                same = [each for each in known if each["asked_at"] == asked["asked_at"]]
                if not same:
                    raise ProcessLost(f"{self._connection.server}: was started anew meanwhile. Ask again.")
                asked = same[-1]
            if asked["decision"] is not None:
                decision: Facts = asked["decision"]
                return decision
            kind = error_kind(asked["exit_code"] or 1) or VaeSearchError
            raise kind(asked["error"])

    def judge(self, model: str, version: int | None, *, approved: bool, why: str) -> "Facts":
        """Ask the service to approve or reject a version that waits."""
        number = self.model(model).waiting_version(None).version.number if version is None else version
        word = "approve" if approved else "reject"
        order = {"version": number, "why": why}
        # Twice is not the same as once: the second is told that the version does not wait any more.
        return self._ask(Request.to_post(f"/models/{_part(model)}:{word}", order, repeatable=False))

    def enqueue(self, sweep: str, params: "Mapping[str, ParamValue]") -> "Facts":
        """Ask the service to have a config tried next; asked again after a lost answer, it is the same command."""
        request = Request(
            path=f"/sweeps/{_part(sweep)}/trials",
            method="POST",
            body=json.dumps({"params": dict(params)}).encode(),
            headers={"Idempotency-Key": secrets.token_hex(16)},
        )
        return self._ask(request)

    def stop_trial(self, sweep: str, trial: int) -> "Facts":
        """Ask the service to let a trial end as it stands."""
        return self._ask(Request.to_post(f"/sweeps/{_part(sweep)}/trials/{trial}:stop", {}, repeatable=False))

    def change(self, sweep: str, settings: "Mapping[str, ParamValue]") -> "Facts":
        """Ask the service to change settings of a sweep."""
        body = json.dumps({"settings": dict(settings)}).encode()
        return self._ask(Request(path=f"/sweeps/{_part(sweep)}", method="PATCH", body=body, repeatable=False))

    def roll_back(self, model: str, *, to: int | None, why: str) -> int:
        """Ask the service to make an older version champion again."""
        order = {"to": to, "why": why}
        # Without a number it means the champion before: twice is not the same as once.
        answer = self._ask(Request.to_post(f"/models/{_part(model)}:rollback", order, repeatable=to is not None))
        with self._understood():
            return int(answer["champion"])

    def submit(self, text: str, *, idempotency_key: str) -> "Facts":
        """Queue a sweep.

        Args:
            text: of its spec.
            idempotency_key: the sender's own mark: the same order again is the same item.

        Returns:
            The item of the queue, of `item_facts`.
        """
        headers = {"Idempotency-Key": idempotency_key}
        request = Request(
            path="/sweeps", method="POST", body=text.encode(), media_type="application/yaml", headers=headers
        )
        return self._ask(request)

    def item(self, number: int) -> "Facts":
        """Ask for an item of the queue."""
        return self._ask(Request(path=f"/queue/{number}"))

    def events_of_item(self, number: int, *, sweep: str) -> Iterator[Event]:
        """Follow a sweep from the queue until its item is over, or is kept from running."""
        while True:
            with self._understood():
                state = self.item(number)["state"]
            if state not in ("waiting", "running"):
                return
            if state == "running":
                with suppress(NotFound):  # its driver has not begun it yet
                    yield from self.events(sweep)
            self._sleep(QUEUE_LOOK_S)

    def _table(self, response: http.client.HTTPResponse) -> "QueryResult":
        from vae_search.store.queries.query_result import read_stream

        self._connection.check_kind(response, "application/vnd.apache.arrow.stream")
        return read_stream(response)

    def _ask(self, request: Request) -> Answer:
        found = self._connection.ask(request)
        if not isinstance(found, Answer):
            raise strange(self._connection.server, "it is no object")
        return found

    @contextmanager
    def _stream(self, request: Request, kind: str) -> Iterator[http.client.HTTPResponse]:
        """Open an answer that comes bit by bit.

        Raises:
            StoreUnavailable: It breaks off.
            VaeSearchError: It is of another media type.
        """
        server = self._connection.server
        with self._connection.answer(request) as response:
            self._connection.check_kind(response, kind)
            try:
                yield response
            except (OSError, http.client.HTTPException) as error:
                raise StoreUnavailable(f"{server}: the stream broke off. Is the service still there?") from error

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """Make an error of an answer that lacks what this program needs.

        Raises:
            VaeSearchError: It lacks something.
        """
        try:
            yield
        except (KeyError, TypeError, ValueError) as error:
            raise strange(self._connection.server, f"{type(error).__name__}: {error}") from error


def _part(name: str) -> str:
    """A name as a part of a path."""
    return quote(name, safe="")
