"""Event streams as they go over the line (HTML Living Standard, 9.2): what one who listens is sent, and until when."""

import asyncio
from collections.abc import AsyncIterator, Callable

from vae_search.server.watchers import Listener, Watcher

SILENCE_S = 15.0  # after which a listener gets a comment, so that nothing between takes the stream for dead
CHECK_S = 3.0  # between two looks at whether the token that opened a stream still holds
RECONNECT_MS = 3000


async def stream(
    watcher: Watcher,
    listener: Listener,
    *,
    admitted: Callable[[], bool],
    silence_s: float = SILENCE_S,
    check_s: float = CHECK_S,
) -> AsyncIterator[str]:
    """The text of an event stream, until the watcher ends, the client leaves, or he is admitted no more.

    Args:
        admitted: whether the token that opened the stream still does; asked every `check_s`.
    """
    time_s = asyncio.get_running_loop().time
    try:
        yield f"retry: {RECONNECT_MS}\n\n"
        told_s = checked_s = time_s()
        while True:
            wait_s = min(told_s + silence_s, checked_s + check_s) - time_s()
            event, is_told = None, True
            try:
                event = await asyncio.wait_for(listener.next(), max(0.0, wait_s))
            except TimeoutError:
                is_told = False
            if time_s() >= checked_s + check_s:
                if not await asyncio.to_thread(admitted):
                    return
                checked_s = time_s()
            if is_told and event is None:
                return
            if event is not None or time_s() >= told_s + silence_s:
                told_s = time_s()
                yield ":\n\n" if event is None else event.to_text(watcher.name)
    finally:
        watcher.leave(listener)
