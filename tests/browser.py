"""A real browser for tests: Debian's Chromium, driven by Playwright, judged by axe-core.

Tests drive it through the fixture `chromium` (conftest), and are skipped where one of the three is missing.
"""

from pathlib import Path
from typing import Any

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
DESK = {"viewport": {"width": 1200, "height": 1000}}
PHONE = {"viewport": {"width": 360, "height": 780}, "has_touch": True, "is_mobile": True}


class Visitor:
    """Opens pages in `chromium`, and notes what they complain of and what they ask for elsewhere."""

    def __init__(self, chromium: Any) -> None:
        self.chromium = chromium
        self.complaints: list[str] = []
        self.homes, self.requests = {"data:"}, list[str]()
        self.contexts: list[Any] = []

    def open(self, address: str, script: str = "", **options: Any) -> Any:
        """The page at an address, on a desk unless `options` say otherwise, after a script of the test's."""
        self.homes.add(address.rpartition("/")[0])  # where what belongs to the page lies as well
        self.contexts.append(self.chromium.new_context(**(DESK | options)))
        page = self.contexts[-1].new_page()
        page.add_init_script(script)
        # Reading canvases, as tests do, draws a warning; errors are the page's own.
        page.on("console", lambda told: told.type == "error" and self.complaints.append(told.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(address)
        return page

    def leave(self) -> None:
        """Close all; no page has complained, or asked for anything that does not lie beside it."""
        for context in self.contexts:
            context.close()
        assert self.complaints == []
        assert [url for url in self.requests if not url.startswith(tuple(self.homes))] == []


def after(page: Any, milliseconds: int) -> None:
    """Wait until the page itself has had so much time and has drawn what was due by then."""
    page.evaluate(
        "ms => new Promise(done => setTimeout("
        "() => requestAnimationFrame(() => requestAnimationFrame(done)), ms))",
        milliseconds,
    )


def barriers(page: Any) -> list[list[str]]:
    """What keeps somebody out of a page, none if all is well: what axe-core finds, [rule, the element], and a
    page that is wider than its window."""
    import axe_playwright_python

    page.evaluate(Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8"))
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return [["wide", page.url]] * wide + page.evaluate(
        "axe.run({preload: false}).then(({violations}) => violations.map(v => [v.id, v.nodes[0].html]))"
    )
