"""Event stream of pages that are of no single sweep: it says that something has changed, and they ask anew."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from vae_search.errors import CorruptStore, NotFound, StoreUnavailable
from vae_search.server.event_streams import stream
from vae_search.server.service import InService, WhileAdmitted
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to
from vae_search.server.watchers import IDLE_LOOKS, Listener, Tell
from vae_search.services.browsing.sweep_pages import SweepReader

router = APIRouter(include_in_schema=False)

STORE = "/"  # no sweep is called so
WHOLE_LOOKS = 15  # every so many looks all sweeps are looked at, and not only those that run


class StoreLook:
    """Looks at all sweeps that run, at the queue, and now and then at all the rest.

    Args:
        marks: what else pages show, as values that change with it: the queue's length, and so on.
    """

    def __init__(self, sweeps: SweepReader, marks: Callable[[], object], *, look_s: float) -> None:
        self._sweeps = sweeps
        self._marks = marks
        self._look_s = look_s
        self._looks = 0
        self._seen: object = None

    def __call__(self, tell: Tell) -> float:
        """Look once."""
        try:
            seen = self._look()
        except StoreUnavailable as trouble:  # it may be back by the next look
            tell("trouble", {"reason": str(trouble)})
            return IDLE_LOOKS * self._look_s
        if self._seen not in (None, seen):
            tell("changed", {})
        self._seen = seen
        return self._look_s

    def _look(self) -> tuple[object, ...]:
        names, before = self._sweeps.names(), self._sweeps.running
        looked_at = names if self._looks % WHOLE_LOOKS == 0 else before
        self._looks += 1
        counts = []
        for name in looked_at:
            try:
                facts = self._sweeps.facts(name)
            except (NotFound, CorruptStore):  # the page says so
                continue
            if name in before or facts["state"] == "running":
                counts.append((name, facts["state"], facts["finished"], facts["confirm_runs"]))
        return names, self._marks(), counts


@router.get("/events")
@opened_to(Role.VIEWER)
async def changes(
    service: InService,
    admitted: WhileAdmitted,
    last_event_id: Annotated[str | None, Header(max_length=100)] = None,
) -> StreamingResponse:
    """Stream that the store, the queue or a promotion has changed: `changed` after each change, `trouble`."""

    def marks() -> object:
        return service.queued().entries, service.pulse.state(), service.promotions.changes

    def begin() -> StoreLook:
        return StoreLook(service.sweeps, marks, look_s=service.options.look_s)

    listener = Listener()
    watcher = await run_in_threadpool(service.watchers.join, STORE, begin, listener, last_seen=last_event_id)
    return StreamingResponse(
        stream(watcher, listener, admitted=admitted),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )
