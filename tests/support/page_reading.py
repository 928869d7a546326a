"""Pages as a browser without scripts has them: forms filled in and sent, and the text that people read."""

import re
from html.parser import HTMLParser

from starlette.testclient import TestClient

INLINE = {"a", "bdi", "code", "span", "strong"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


class Page(HTMLParser):
    """Forms, links, buttons and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.links: list[str] = []
        self.buttons: list[dict[str, str | None]] = []
        self.fields: dict[str, str] = {}
        self.labels: set[str | None] = set()
        self.named: list[dict[str, str | None]] = []
        """inputs, selects and text areas that a person fills in"""
        self._inside: str | None = None
        self._text: list[str] = []
        self.feed(html)

    @property
    def text(self) -> str:
        """What is read, in one line."""
        return re.sub(r"\s+", " ", "".join(self._text)).strip()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        if tag not in INLINE:
            self._text.append(" ")
        if tag == "a" and found.get("href"):
            self.links.append(found["href"] or "")
        elif tag == "button":
            self.buttons.append(found)
        elif tag == "label":
            self.labels.add(found.get("for"))
        elif tag == "input" and found.get("name"):
            self.fields[found["name"] or ""] = found.get("value") or ""
        elif tag == "textarea":
            self._inside = found["name"]
            self.fields[found["name"] or ""] = ""
        if tag in ("input", "select", "textarea") and found.get("type") != "hidden":
            self.named.append(found)

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._inside is not None:
            self.fields[self._inside] = self.fields[self._inside].removeprefix("\n")
            self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside is not None:
            self.fields[self._inside] += data
        self._text.append(data)


def read(client: TestClient, path: str, *, status: int = 200) -> Page:
    """The page at a path, as a browser asks for it."""
    answer = client.get(path, headers=BROWSER)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    return Page(answer.text)


def send(client: TestClient, path: str, fields: dict[str, str], *, status: int = 303) -> Page | str:
    """Send a form; the address that the browser is sent to, or the page that it gets instead."""
    answer = client.post(path, data=fields, headers=BROWSER, follow_redirects=False)
    assert answer.status_code == status, answer.text
    return answer.headers["location"] if status == 303 else Page(answer.text)
