"""A headless Chromium, and the page of `timeline` opened in it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.by import By

from cli.conftest import environment as environment
from cli.conftest import inspect_trace as inspect_trace
from cli.conftest import trace_dir as trace_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.remote.webelement import WebElement

    from cli.conftest import Run

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
DRIVER = shutil.which("chromedriver")
WIDTH, HEIGHT = 1280, 800


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A browser for all of these tests, in UTC."""
    if BROWSER is None or DRIVER is None:
        pytest.skip("no Chromium with its chromedriver is installed: make browser")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless=new",
        "--disable-gpu",
        "--disable-dev-shm-usage",  # containers have little of it
        f"--user-data-dir={profile}",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),  # root has none
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(DRIVER, env={**os.environ, "TZ": "UTC"})
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


@dataclass
class Timeline:
    """The page as a person uses it, and what it tells of itself."""

    driver: webdriver.Chrome
    path: Path

    def run(self, script: str, *arguments: object) -> Any:
        """What a script on the page returns."""
        return self.driver.execute_script(script, *arguments)

    def settle(self) -> None:
        """Waits until all is drawn: what is asked for is drawn in the next frame."""
        self.driver.execute_async_script(
            "const done = arguments[0];"
            "requestAnimationFrame(() => requestAnimationFrame(() => done()))"
        )

    @property
    def state(self) -> dict[str, Any]:
        """What is shown now."""
        self.settle()
        state: dict[str, Any] = self.run("return inspectTraceTimeline.state()")
        assert not state["frameAsked"]
        return state

    def actions(self) -> dict[str, int]:
        """The numbers of all actions, by their details."""
        return {
            action["detail"]: number
            for number, action in enumerate(
                self.run(
                    "return Array.from({length: inspectTraceTimeline.state().actions}, "
                    "(_, i) => inspectTraceTimeline.action(i))"
                )
            )
        }

    def action(self, number: int) -> dict[str, Any]:
        """What the page knows of an action."""
        action: dict[str, Any] = self.run(
            "return inspectTraceTimeline.action(arguments[0])", number
        )
        return action

    def rectangle(self, number: int) -> dict[str, float]:
        """Where an action is drawn in the chart."""
        self.settle()
        rectangle: dict[str, float] = self.run(
            "return inspectTraceTimeline.rectangle(arguments[0])", number
        )
        return rectangle

    def colour(self, x: float, y: float, canvas: str = "chart") -> str:
        """The colour of a pixel of a canvas, such as `#d9601a`."""
        self.settle()
        red, green, blue = self.run(
            "const canvas = document.getElementById(arguments[0]);"
            "return [...canvas.getContext('2d').getImageData("
            "Math.round(arguments[1]), Math.round(arguments[2]), 1, 1).data].slice(0, 3)",
            canvas,
            x,
            y,
        )
        return f"#{red:02x}{green:02x}{blue:02x}"

    def style(self, name: str) -> str:
        """The value of a colour of the page's style."""
        value: str = self.run(
            "return getComputedStyle(document.documentElement).getPropertyValue(arguments[0])",
            f"--{name}",
        )
        return value.strip()

    def element(self, name: str) -> WebElement:
        """An element of the page, by its id."""
        return self.driver.find_element(By.ID, name)

    def text(self, name: str) -> str:
        """What can be read in an element."""
        return self.element(name).text

    def keys(self, keys: str) -> None:
        """Types."""
        ActionChains(self.driver).send_keys(keys).perform()
        self.settle()

    def pointer(self, *steps: tuple[str, float, float], within: str = "chart") -> None:
        """Moves, presses and lets go, at places of a canvas."""
        corner = self.element(within).rect
        builder = ActionBuilder(self.driver, duration=0)
        for what, x, y in steps:
            builder.pointer_action.move_to_location(round(corner["x"] + x), round(corner["y"] + y))
            if what == "press":
                builder.pointer_action.pointer_down()
            elif what == "release":
                builder.pointer_action.pointer_up()
        builder.perform()
        self.settle()

    def wheel(self, x: float, y: float, delta: int, *, control: bool = False) -> None:
        """Turns the wheel over a place of the chart."""
        self.run(
            "const [x, y, deltaY, ctrlKey] = arguments;"
            "const chart = document.getElementById('chart');"
            "const {left, top} = chart.getBoundingClientRect();"
            "chart.dispatchEvent(new WheelEvent('wheel', {clientX: left + x, clientY: top + y, "
            "deltaY, ctrlKey, bubbles: true, cancelable: true}))",
            x,
            y,
            delta,
            control,
        )
        self.settle()

    def complaints(self) -> list[str]:
        """What the browser has written to its console since it was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """What the browser has asked for since that was last asked."""
        events = [json.loads(entry["message"]) for entry in self.driver.get_log("performance")]
        return [
            event["message"]["params"]["request"]["url"]
            for event in events
            if event["message"]["method"] == "Network.requestWillBeSent"
        ]


class Open:
    """Makes the page of a log, and opens it."""

    def __init__(self, driver: webdriver.Chrome, run: Run, directory: Path) -> None:
        self._driver = driver
        self._run = run
        self._path = directory / "timeline.html"

    def __call__(
        self, *args: str, dark: bool = False, width: int = WIDTH, height: int = HEIGHT
    ) -> Timeline:
        """The page of `inspect-trace timeline ARGS`."""
        made = self._run("timeline", "--force", "-o", str(self._path), *args)
        assert made.returncode == 0, made.stderr
        self._driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        self.prefer("dark" if dark else "light")
        self._driver.get("about:blank")
        timeline = Timeline(self._driver, self._path)
        timeline.complaints()
        timeline.requests()
        self._driver.get(self._path.as_uri())
        return timeline

    def prefer(self, scheme: str) -> None:
        """Tells the page that a dark or a light scheme is wanted."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.fixture
def open_timeline(chromium: webdriver.Chrome, inspect_trace: Run, tmp_path: Path) -> Open:
    """Opens timelines."""
    return Open(chromium, inspect_trace, tmp_path)
