"""Pages of specs, queue, models, SQL, audit and machines in a real browser: accessible, silent, used by keyboard."""

import asyncio
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.support.chromium import Tab, chromium
from tests.support.published_models import publish
from tests.support.stores import filled_store
from tests.support.web_service import NOW, app_of, serving, token_file
from tests.unit.server.pages.test_in_browser import KEPT, SCREENS, WHOLE, excess_px, faults, log_in
from vae_search.queue.entries import QueueAction
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.server.child_processes.traversals import TraversalKey
from vae_search.server.examples import SPEC
from vae_search.server.tokens import Role
from vae_search.services.models.traversals import Traversal
from vae_search.store.leases.processes import this_process

pytestmark = pytest.mark.slow

PAGES = {
    "new": "/new",
    "queue": "/queue?all=true",
    "queue-item": "/queue/1",
    "parked-item": "/queue/4",
    "models": "/models",
    "model": "/models/digits",
    "verdict": "/models/digits/verdicts/5",
    "decide": "/models/digits/versions/3/decide",
    "rollback": "/models/digits/rollback",
    "promote": "/promote?sweep=asks&model=digits",
    "version": "/models/digits/versions/2",
    "latents": "/models/digits/versions/2/latents",
    "sql": "/sql?sql=SELECT+*+FROM+trials",
    "audit": "/audit",
    "cluster": "/cluster",
}
SPEC_TEXT = "document.getElementById('spec')"


class Sheets:
    """Stands for the reader of traversals: 2 units at 3 values, each tile of another grey."""

    def key(self, model: str, version: int) -> TraversalKey:
        return TraversalKey(model=model, number=version, sha256="0" * 64, with_images=True)

    def read(self, key: TraversalKey) -> Traversal:
        model, version = key.model, key.number
        sheet = Image.new("L", (3 * 58 + 2, 2 * 58 + 2), 255)
        for tile in range(6):
            sheet.paste(
                40 * tile, (2 + 58 * (tile % 3), 2 + 58 * (tile // 3), 58 + 58 * (tile % 3), 58 + 58 * (tile // 3))
            )
        png = io.BytesIO()
        sheet.save(png, "PNG")
        units = [{"unit": 3, "kl_nats": 2.31, "change": 0.2}, {"unit": 0, "kl_nats": 0.5, "change": 0.1}]
        facts = {"model": model, "version": version, "latent_dim": 5, "active_units": 2, "units": units}
        facts |= {"values": [-3.0, 0.0, 3.0], "tile_width": 56, "tile_height": 56, "gap": 2}
        return Traversal(facts=facts, sheet=png.getvalue())


@pytest.fixture
def service(tmp_path: Path):
    """Port of a service whose queue and models are in every state, and an approver's token."""
    store = filled_store(tmp_path / "store")
    publish(store, "first", actor="grace")
    publish(store, "second", (230.9, 231.0, 231.1), trial=2)
    publish(store, "third", (232.9, 233.0, 233.1), trial=3)
    publish(store, "asks", (229.9, 230.0, 230.1), trial=5, needs_approval=True)
    queue = SweepQueue(store, now=lambda: NOW)
    for name in ("running", "held", "a-sweep-with-quite-a-long-name-for-a-phone", "parked", "cancelled"):
        queue.submit(SPEC.replace("name: digits", f"name: {name}"), sweep=name, actor="ada")
    leader = queue.lead(this_process(), seen=queue.state())
    queue.note(QueueAction.START, 1, leader=leader)
    queue.note(QueueAction.START, 4, leader=leader)
    queue.note(QueueAction.END, 4, leader=leader, exit_code=3, reason="/data/images: no such folder.")
    queue.order(QueueAction.HOLD, 2, actor="ada", reason="the cluster is full")
    queue.order(QueueAction.CANCEL, 5, actor="ada")
    file, tokens = token_file(tmp_path)
    app = app_of(store, tokens=file)
    app.state.service.traversals = Sheets()
    with serving(app) as port:
        yield f"http://127.0.0.1:{port}", tokens[Role.APPROVER]


async def write(tab: Tab, text: str) -> None:
    script = f"{SPEC_TEXT}.value = {json.dumps(text)}; {SPEC_TEXT}.dispatchEvent(new Event('input', {{bubbles: true}}))"
    await tab.value(script)


async def press(tab: Tab, key: str, code: int) -> None:
    for kind in ("rawKeyDown", "keyUp"):
        await tab.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


def test_pages_are_accessible_fit_the_screen_and_say_nothing_to_the_console(service, tmp_path, quick):
    """In the quick form no pictures are kept, and axe-core looks at each page on one of the screens in turn."""
    site, token = service
    wide: dict[str, int] = {}
    found: dict[str, list[object]] = {}

    async def look() -> list[str]:
        async with chromium(tmp_path / "profile") as tab:
            for screen in ("desktop", "phone-dark"):
                await tab.begin(**SCREENS[screen])
                if screen == "desktop":
                    await log_in(tab, site, token)
                    tab.said.clear()
                for number, (name, path) in enumerate(PAGES.items()):
                    await tab.go(site + path, until=WHOLE)
                    await tab.value("document.querySelectorAll('details').forEach(each => { each.open = true; })")
                    place = f"{name}, {screen}"
                    wide[place] = await excess_px(tab, screen)
                    if not quick or (number % 2 == 0) == (screen == "desktop"):
                        found[place] = await faults(tab)
                    if not quick:
                        await tab.screenshot(KEPT / f"{name}-{screen}.png")
            return tab.said

    KEPT.mkdir(parents=True, exist_ok=True)
    said = asyncio.run(look())

    assert {name: faults for name, faults in found.items() if faults} == {}
    assert {name: pixels for name, pixels in wide.items() if pixels > 0} == {}
    assert said == []


def test_a_mistake_is_told_at_its_line_as_it_is_typed_and_the_mended_spec_is_submitted(service, tmp_path):
    site, token = service
    wrong = SPEC.replace("name: digits", "name: typed").replace("beta:", "betta:")

    async def use() -> tuple[str, str, str, list[str]]:
        async with chromium(tmp_path / "profile") as tab:
            await tab.begin(**SCREENS["desktop"])
            await log_in(tab, site, token)
            tab.said.clear()
            await tab.go(f"{site}/new", until=WHOLE)
            await write(tab, wrong)
            await tab.wait("document.querySelectorAll('#spec-errors li').length === 1")
            marked = await tab.value("document.querySelector('.gutter .wrong').textContent")
            await tab.value("document.querySelector('#spec-errors button').click()")
            chosen = await tab.value(f"{SPEC_TEXT}.value.slice({SPEC_TEXT}.selectionStart, {SPEC_TEXT}.selectionEnd)")
            await write(tab, wrong.replace("betta:", "beta:"))
            await tab.wait("document.querySelector('#spec-errors').textContent === 'The spec is valid.'")
            await tab.value("document.querySelector('button[value=submit]').click()")
            await tab.wait("location.pathname.startsWith('/queue/') && document.readyState === 'complete'")
            return marked, chosen, await tab.value("document.querySelector('h1').textContent"), tab.said

    marked, chosen, heading, said = asyncio.run(use())

    assert marked == "5"
    assert chosen.strip().startswith("betta:")
    assert "typed" in heading
    assert said == []


def test_sliders_come_into_the_models_page_and_move_by_keyboard(service, tmp_path):
    site, token = service

    async def use() -> tuple[str, str, str, list[str]]:
        async with chromium(tmp_path / "profile") as tab:
            await tab.begin(**SCREENS["desktop"])
            await log_in(tab, site, token)
            tab.said.clear()
            await tab.go(f"{site}/models/digits", until=WHOLE)
            await tab.value("document.querySelector('[data-latents]').click()")
            await tab.wait("Boolean(document.querySelector('.latents:not([hidden]) input'))")
            await tab.value("document.querySelectorAll('.latents input')[1].focus()")
            await press(tab, "ArrowRight", 39)
            await tab.wait("document.querySelectorAll('.latents input')[1].value === '2'")
            told = await tab.value("document.querySelectorAll('.latents input')[1].getAttribute('aria-valuetext')")
            place = await tab.value("document.querySelectorAll('.latents .tile')[1].style.backgroundPosition")
            return told, place, await tab.value("location.pathname"), tab.said

    told, place, path, said = asyncio.run(use())

    assert told == "3.0 standard deviations"
    assert place == "-236px -120px"
    assert path == "/models/digits"
    assert said == []


def test_the_queue_follows_what_others_order_without_being_loaded_anew(service, tmp_path):
    site, token = service

    async def follow() -> tuple[str, list[str]]:
        async with chromium(tmp_path / "profile") as tab:
            await tab.begin(**SCREENS["desktop"])
            await log_in(tab, site, token)
            tab.said.clear()
            await tab.go(f"{site}/queue", until=WHOLE)
            await tab.value("window.mark = 'same page'")
            await tab.value(
                "fetch('/api/v1/queue/3:hold', {method: 'POST', body: '{}', "
                "headers: {'Content-Type': 'application/json'}}).then(answer => answer.status)"
            )
            await tab.wait("document.querySelectorAll('#queue .state.held').length === 2")
            return await tab.value("window.mark"), tab.said

    assert asyncio.run(follow()) == ("same page", [])
