"""A JupyterLab for tests, started by the very command of `make lab`, and somebody who works in it."""

import contextlib
import os
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from programs import PROGRAMS, ROOT, free_ports, wait_for

COMMAND = re.search(r"^lab:.*\n\t\$\(BIN\)/(.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
OURS = [  # what a test adds: a port, a password, a way in for Playwright
    "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0",
    "--IdentityProvider.token=T", "--LabApp.expose_app_in_browser=True",
]  # fmt: skip
IDLE = "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
CODE = "jupyterapp.shell.currentWidget.content.widgets.filter(cell => cell.model.type === 'code')"

FAILURE = "output => output.output_type === 'error' && output.ename !== 'NotImplementedError'"


@contextlib.contextmanager
def running(folder: Path, **environment: str) -> Iterator[str]:
    """The address of a JupyterLab in a course's folder, whose kernels import the course from PYTHONPATH.

    Its home, where it keeps what belongs to one user, is a folder beside.
    """
    assert COMMAND is not None
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    inherited = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
    own = {
        "HOME": str(folder.with_name(f"{folder.name}-home")),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    shutil.copy(ROOT / "jupyter_lab_config.py", folder)
    program, *options = COMMAND[1].replace("$(LAB)", "").split()  # what people add
    server = subprocess.Popen(
        [PROGRAMS / program, *options, *OURS, f"--ServerApp.port={port}"],
        cwd=folder, env=inherited | own | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: urllib.request.urlopen(f"{address}/api/status?token=T"))
        yield address
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:  # it waits for a kernel that has gone, now and then
            server.kill()
            server.wait()


def opened(chromium: Any, address: str, path: str = "", requests: list[str] | None = None) -> Any:
    """JupyterLab in a workspace of its own, with the notebook open; without one, as it starts."""
    own = f"lab/workspaces/auto-{time.monotonic_ns()}/tree/{path}"
    page = loaded(chromium, f"{address}/{own if path else ''}", "notebook:run-all-cells", requests)
    page.wait_for_selector(".jp-Notebook")
    return page


def loaded(chromium: Any, address: str, command: str, requests: list[str] | None = None) -> Any:
    """JupyterLab once it knows this command; the addresses that it asks for are appended to `requests`."""
    page = chromium.new_context(viewport={"width": 1300, "height": 1000}).new_page()
    page.set_default_timeout(600_000)
    if requests is not None:
        page.on("request", lambda request: requests.append(request.url))
    page.goto(f"{address}?token=T")
    page.wait_for_function(f"window.jupyterapp?.commands.hasCommand('{command}')")
    page.evaluate("jupyterapp.restored.then(() => null)")
    return page


class Notebook:
    """The notebook that a page shows."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.wait_for_function(IDLE)

    def run_all(self) -> None:
        """As a reader does it, until every cell has run or one has failed that is no unsolved exercise.

        (JupyterLab's own command ends at the first error, whatever it is.)
        """
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        every = f"{CODE}.every(cell => cell.model.executionCount !== null)"
        failed = f"{CODE}.some(cell => cell.model.sharedModel.outputs.some({FAILURE}))"
        self.page.wait_for_function(f"{IDLE} && ({every} || {failed})", timeout=300_000)

    def outputs(self) -> dict[str, list[dict[str, Any]]]:
        """Of every code cell, by the cell's name."""
        found = self.page.evaluate(f"{CODE}.map(cell => [cell.model.id, cell.model.sharedModel.outputs])")
        return dict(found)

    def cell(self, name: str) -> Any:
        """The cell of that name, brought into sight."""
        self.page.evaluate(
            "name => {"
            " const cell = jupyterapp.shell.currentWidget.content.widgets.find(one => one.model.id === name);"
            " cell.node.dataset.name = name; }",
            name,
        )
        found = self.page.locator(f"[data-name='{name}']")
        found.scroll_into_view_if_needed()
        return found
