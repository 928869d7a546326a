"""Sender of webhooks: tells the hooks what has happened, as long as its process leads the queue's dispatch.

Each event is told at least once: it is noted before its first attempt, and noted as delivered after the receiver has
said so. A process that is killed between these two is followed by one that tells it again, by the same id. Each hook
has one post at a time, in a thread of its own, so that a slow receiver holds nobody but itself.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from vae_search.errors import CorruptStore, InvalidSpec, VaeSearchError
from vae_search.services.webhooks.hooks_file import Hook, HooksFile
from vae_search.services.webhooks.outbox import Delivery, Outbox, common_positions
from vae_search.services.webhooks.outboxes import StoredOutbox
from vae_search.services.webhooks.posting import Answer, post
from vae_search.services.webhooks.signing import signed_headers
from vae_search.services.webhooks.sources import Sources
from vae_search.store.backends.base import Store
from vae_search.version import VERSION

logger = logging.getLogger(__name__)

LOOK_S = 5.0  # between two looks into the logs
LEAVE_S = 3.0  # to note what is under way, before the process ends


@dataclass(frozen=True, slots=True, kw_only=True)
class _Posted:
    hook: str
    delivery: Delivery
    answer: Answer


class Sender:
    """Delivery of events to the hooks of a file.

    Args:
        send: posts a body to a URL.
        look_s: see `LOOK_S`.
    """

    def __init__(
        self,
        store: Store,
        file: HooksFile,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        send: Callable[..., Answer] = post,
        look_s: float = LOOK_S,
    ) -> None:
        self._store = store
        self._file = file
        self._now = now
        self._monotonic = monotonic
        self._send = send
        self._look_s = look_s
        self._sources = Sources(store, now=now)
        self._boxes: dict[str, StoredOutbox] = {}
        self._hooks: tuple[Hook, ...] = ()
        self._posted: queue.SimpleQueue[_Posted | None] = queue.SimpleQueue()
        self._under_way: set[str] = set()  # hooks
        self._leads = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin; returns at once. Nothing is told before `lead`."""
        self._thread.start()

    def lead(self, leading: bool) -> None:
        """Take notice that this process leads the dispatch from now on, or does not."""
        (self._leads.set if leading else self._leads.clear)()
        self._posted.put(None)

    def stop(self) -> None:
        """End; posts under way have a moment to be noted, else they are made again by whoever leads next."""
        self._stopped.set()
        self._posted.put(None)
        self._thread.join()

    @property
    def is_busy(self) -> bool:
        """True while a post is under way, or has ended and is not noted."""
        return bool(self._under_way)

    def look(self) -> None:
        """Take in what has happened, and begin to tell it.

        Raises:
            VaeSearchError: The store is in trouble; the look can be made again.
        """
        try:
            self._hooks = self._file.hooks()
        except (InvalidSpec, VaeSearchError) as error:  # the last right file holds
            logger.warning("webhooks: %s", error)
        boxes = self._read_boxes()
        known = [box for box in boxes.values() if box is not None]
        if not boxes:
            return
        look = self._sources.look(common_positions(known) if known else None)
        for hook in (each for each in self._hooks if each.name in boxes):

            def taken_in(before: Outbox | None, hook: Hook = hook) -> Outbox:
                if before is None:
                    return Outbox.opened(look, receiver=hook.receiver)
                return before.taken_in(look, wanted=hook.events, receiver=hook.receiver, now=self._now())

            self._begin(hook, self._box(hook).change(taken_in))

    def note(self, wait_s: float) -> bool:
        """Note the next post that has ended, and begin the hook's next one. False if none has ended in this time.

        Raises:
            VaeSearchError: The store is in trouble: the delivery is sent again.
        """
        try:
            posted = self._posted.get(timeout=max(0.0, wait_s))
        except queue.Empty:
            return False
        if posted is None:
            return False
        self._under_way.discard(posted.hook)
        hook = next((each for each in self._hooks if each.name == posted.hook), None)
        trouble, delivery = posted.answer.trouble, posted.delivery
        if trouble is not None:
            logger.warning("webhooks: %s to %s: %s", delivery.event, posted.hook, trouble)

        def noted(before: Outbox | None) -> Outbox:
            box = before or Outbox()
            if trouble is None:
                return box.after_delivery(delivery.event, now=self._now())
            return box.after_failure(delivery.event, trouble, attempts=delivery.attempts, now=self._now())

        box = self._boxes[posted.hook].change(noted)
        if hook is not None:
            self._begin(hook, box)
        return True

    def _run(self) -> None:
        while not self._stopped.is_set():
            if not self._leads.is_set():
                self._note_quietly(self._look_s)
                continue
            try:
                self.look()
            except VaeSearchError as trouble:  # the store may be back by the next look
                logger.warning("webhooks: %s", trouble)
            except Exception:
                logger.exception("webhooks: failed by a mistake in this program")
            self._wait()
        while self.is_busy and self._note_quietly(LEAVE_S):
            pass

    def _wait(self) -> None:
        """Note what has ended, until it is time for the next look."""
        ends_at_s = self._monotonic() + self._look_s
        while not self._stopped.is_set() and (left_s := ends_at_s - self._monotonic()) > 0:
            self._note_quietly(left_s)

    def _note_quietly(self, wait_s: float) -> bool:
        try:
            return self.note(wait_s)
        except VaeSearchError as trouble:
            logger.warning("webhooks: %s", trouble)
            return True

    def _read_boxes(self) -> dict[str, Outbox | None]:
        """The outboxes by hook; a damaged one silences its own hook alone."""
        found: dict[str, Outbox | None] = {}
        for hook in self._hooks:
            try:
                found[hook.name] = self._box(hook).read()
            except CorruptStore as damage:
                logger.warning("webhooks: %s: %s", hook.name, damage)
        return found

    def _box(self, hook: Hook) -> StoredOutbox:
        return self._boxes.setdefault(hook.name, StoredOutbox(self._store, hook.name))

    def _begin(self, hook: Hook, box: Outbox) -> None:
        """Post the hook's next delivery, if one is due and none is under way."""
        delivery = box.next_due(self._now())
        if delivery is None or hook.name in self._under_way or not self._leads.is_set() or self._stopped.is_set():
            return
        self._under_way.add(hook.name)
        threading.Thread(target=self._post, args=(hook, delivery), name=f"webhook {hook.name}", daemon=True).start()

    def _post(self, hook: Hook, delivery: Delivery) -> None:
        body = delivery.body.encode()
        headers: Mapping[str, str] = {
            **signed_headers(hook.key, event=delivery.event, sent_at_s=int(self._now().timestamp()), body=body),
            "User-Agent": f"vae-search/{VERSION}",
        }
        try:
            answer = self._send(hook.url, headers=headers, body=body)
        except Exception as error:
            logger.exception("webhooks: a post failed by a mistake in this program")
            answer = Answer(trouble=type(error).__name__)
        self._posted.put(_Posted(hook=hook.name, delivery=delivery, answer=answer))
