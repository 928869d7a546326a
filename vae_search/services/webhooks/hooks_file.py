"""File of webhooks: addresses, secrets and wanted events, which the operator of a service writes, and nobody over HTTP.

It has mode 0600. A change holds from the next look on; a file that has become wrong is told, and the last right one
holds.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vae_search.core.references import NAME_LAW, NAME_PATTERN
from vae_search.core.settings import read_private
from vae_search.core.text import did_you_mean, shown
from vae_search.errors import InvalidSpec, NotFound
from vae_search.services.webhooks.events import EVENT_TYPES
from vae_search.services.webhooks.signing import secret_key

MOST_HOOKS = 20
KEYS = {"name", "url", "secret", "events"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One receiver. Its URL and key stay in this process: a URL may hold a secret as well.

    Args:
        name: by which the store remembers what it was told.
        events: types that it wants.
    """

    name: str
    url: str
    key: bytes
    events: frozenset[str]

    @property
    def receiver(self) -> str:
        """The URL without what may be secret: scheme, host and port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


class HooksFile:
    """The webhooks of a service, read anew whenever the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._hooks: tuple[Hook, ...] = ()

    def hooks(self) -> tuple[Hook, ...]:
        """All hooks.

        Raises:
            NotFound: There is no such file.
            InvalidSpec: It is wrong; one line for each mistake.
            VaeSearchError: Others may read it.
        """
        try:
            facts = self._path.stat()
        except OSError as error:
            raise NotFound(f"{self._path}: cannot be read: {error.strerror}.") from error
        seen = (facts.st_mtime_ns, facts.st_ino, facts.st_mode)
        if seen != self._seen:
            self._hooks, self._seen = parse_hooks(read_private(self._path), where=str(self._path)), seen
        return self._hooks


def parse_hooks(content: bytes, *, where: str) -> tuple[Hook, ...]:
    """The hooks in a file: `{"webhooks": [{"name": …, "url": …, "secret": …, "events": […]}]}`.

    Raises:
        InvalidSpec: It is wrong; one line for each of the first mistakes.
    """
    try:
        listed: Any = json.loads(content)["webhooks"]
        if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidSpec('must be JSON: {"webhooks": [{"name": …, "url": …, "secret": …}]}', where=where) from None
    problems = [f"webhook {shown(each.get('name'))}: {problem}" for each in listed for problem in _problems(each)]
    names = [str(each.get("name")) for each in listed]
    problems += [f"webhook {shown(name)}: is there twice." for name in sorted({n for n in names if names.count(n) > 1})]
    if len(listed) > MOST_HOOKS:
        problems.append(f"has {len(listed)} webhooks, but at most {MOST_HOOKS} are served.")
    if problems:
        raise InvalidSpec(*problems[:3], where=where, every=problems)
    return tuple(
        Hook(
            name=each["name"],
            url=each["url"],
            key=secret_key(each["secret"]),
            events=frozenset(each.get("events", EVENT_TYPES)),
        )
        for each in listed
    )


def _problems(fields: Mapping[str, Any]) -> Iterator[str]:
    """Each mistake of one hook; none shows a secret."""
    for unknown in sorted(set(fields) - KEYS):
        yield f"has no field {shown(unknown)}. {did_you_mean(unknown, KEYS)}"
    if not isinstance(name := fields.get("name"), str) or not re.fullmatch(NAME_PATTERN, name):
        yield f"a name {NAME_LAW}."
    if not _is_address(fields.get("url")):
        yield "url: must be https://HOST/… or http://HOST/…, without a user, spaces or a fragment."
    try:
        secret_key(str(fields.get("secret")))
    except ValueError as error:
        yield f"secret: {error}"
    events = fields.get("events", [])
    if not isinstance(events, list):
        yield "events: must be a list; without it, all are told."
        return
    for event in events:
        if not isinstance(event, str) or event not in EVENT_TYPES:
            yield f"events: there is no {shown(event)}. {did_you_mean(str(event), EVENT_TYPES)}"


def _is_address(url: object) -> bool:
    if not isinstance(url, str) or not re.fullmatch(r"[!-~]{1,2000}", url):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is none
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None and not parts.fragment
