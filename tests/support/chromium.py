"""A headless Chromium that tests steer through its own debugging protocol: real mouse events, real screen sizes."""

import asyncio
import base64
import io
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRAWN = "Boolean(document.documentElement?.dataset.drawn)"
LOADED_S = 60.0
POLL_S = 0.1
PIECE_PX = 2_000


class Tab:
    """One page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.said: list[str] = []
        """what the page wrote to its console, errors included"""
        self._socket = socket
        self._number = 0
        self._session: str | None = None

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol and its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        await self._socket.send_json(message)
        while True:
            answer = await self._socket.receive_json()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            if answer.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
                self.said.append(str(answer["params"]))

    async def open(self, page: Path, *, width: int, height: int, dark: bool = False, phone: bool = False) -> None:
        """Show `page` until it has drawn all its plots."""
        await self.begin(width=width, height=height, dark=dark, phone=phone)
        await self.go(page.as_uri(), until=DRAWN)

    async def begin(self, *, width: int, height: int, dark: bool = False, phone: bool = False) -> None:
        """Begin with an empty page of this size."""
        target = (await self.call("Target.createTarget", url="about:blank"))["targetId"]
        self._session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        await self.call("Runtime.enable")
        await self.call("Log.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        await self.call("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def go(self, address: str, *, until: str) -> None:
        """Show what is at `address`, until an expression of JavaScript is true."""
        await self.call("Page.navigate", url=address)
        await self.wait(until)

    async def wait(self, until: str) -> None:
        """Wait until an expression of JavaScript is true."""
        async with asyncio.timeout(LOADED_S):
            while not await self.value(until):
                await asyncio.sleep(POLL_S)

    async def value(self, script: str) -> Any:
        """Value of an expression of JavaScript."""
        found = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse at `start`, in pixels of the window, and let it go at `end`."""
        left = {"button": "left", "buttons": 1, "clickCount": 1}
        (x, y), (to_x, to_y) = start, end
        await self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        await self.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, **left)
        for step in range(1, 6):
            at = {"x": x + (to_x - x) * step / 5, "y": y + (to_y - y) * step / 5}
            await self.call("Input.dispatchMouseEvent", type="mouseMoved", **at, **left)
        await self.call("Input.dispatchMouseEvent", type="mouseReleased", x=to_x, y=to_y, **left)

    async def screenshot(self, file: Path) -> None:
        """The whole page, however long, as a PNG; in pieces, because the browser repeats what lies beyond a texture."""
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        whole = Image.new("RGB", (size["width"], size["height"]))
        for top in range(0, size["height"], PIECE_PX):
            height = min(PIECE_PX, size["height"] - top)
            clip = {"x": 0, "y": top, "width": size["width"], "height": height, "scale": 1}
            shot = await self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
            whole.paste(Image.open(io.BytesIO(base64.b64decode(shot["data"]))), (0, top))
        whole.save(file)


@asynccontextmanager
async def chromium(profile: Path) -> AsyncIterator[Tab]:
    """A browser of our own for the length of the block."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"needs a browser: none of {', '.join(BROWSERS)} is installed")
    command = [browser, "--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"]
    command += ["--enable-unsafe-swiftshader", f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, limit=2**20)
    try:
        address = None
        async with asyncio.timeout(LOADED_S):
            while address is None:
                line = (await process.stderr.readline()).decode()
                assert line, "the browser ended before it could be reached"
                address = re.search(r"ws://\S+", line)
        silent = asyncio.create_task(process.stderr.read())  # a full pipe would stop the browser
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(address[0], max_msg_size=2**28) as socket,
        ):
            yield Tab(socket)
        process.terminate()
        await process.wait()
        await silent
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
