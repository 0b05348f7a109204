"""A JupyterHub for tests, with its proxy, and people who act through the servers that it starts for them."""

import json
import os
import pwd
import secrets
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import accounts
import psutil
from programs import PATH, PROGRAMS, free_ports, wait_for

OWN = """
c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:{ports[0]}"
c.JupyterHub.hub_port = {ports[1]}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{ports[2]}"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.services = [{{"name": "test", "api_token": "{token}"}}]
scopes = ["admin:users", "admin:groups", "tokens"]
c.JupyterHub.load_roles = [{{"name": "test", "services": ["test"], "scopes": scopes}}]
c.Spawner.cmd = ["{programs}/jupyterhub-singleuser"]
c.Spawner.start_timeout = c.Spawner.http_timeout = 300
c.Spawner.environment = {{"COURSE_BUDGET": "smoke", "COURSE_DATASET": "digits"}}
load_subconfig("{snippet}")
"""


class Person(NamedTuple):
    """Somebody with a name on the hub and a token."""

    hub: str
    name: str
    token: str

    def answer(self, method: str, path: str, content: Any = None) -> Any:
        """The answer of an address below the hub's."""
        body = None if content is None else json.dumps(content).encode()
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        address = f"{self.hub}/{urllib.parse.quote(path, safe='/?=@:')}"
        request = urllib.request.Request(address, body, headers, method=method)
        return urllib.request.urlopen(request, timeout=600)

    def ask(self, method: str, path: str, content: Any = None) -> Any:
        """What it says."""
        with self.answer(method, path, content) as answer:
            return json.loads(answer.read() or "null")

    def at(self, server: str, method: str, path: str, content: Any = None) -> Any:
        """What somebody's server answers."""
        return self.ask(method, f"user/{server}/{path}", content)

    def own(self, method: str, path: str, content: Any = None) -> Any:
        """What their own server answers."""
        return self.at(self.name, method, path, content)

    def refused(self, server: str, path: str) -> bool:
        """Whether somebody's server keeps them out."""
        try:
            self.at(server, "GET", path)
        except urllib.error.HTTPError as problem:
            return problem.code in (403, 404)
        return False

    def start(self, server: str) -> None:
        """Have the hub start somebody's server, and wait for it."""
        self.ask("POST", f"hub/api/users/{server}/server")
        wait_for(lambda: self.at(server, "GET", "api/status"))

    def call(self, line: str) -> str:
        """What a command says in a terminal of the server that the hub has started for this account."""
        account = pwd.getpwnam(self.name)
        every = [one for one in psutil.process_iter(["uids", "cmdline"]) if one.info["cmdline"]]
        own = (one for one in every if one.info["uids"].real == account.pw_uid)
        (server,) = (one for one in own if "jupyterhub-singleuser" in " ".join(one.info["cmdline"]))
        there = ["nsenter", f"--target={server.pid}", "--mount", f"--wd={account.pw_dir}"]
        user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        command = [*there, *user, "sh", "-c", line]
        done = subprocess.run(command, env=server.environ(), capture_output=True, text=True)
        return done.stdout + done.stderr


@contextmanager
def made(names: Sequence[str], homes: Path) -> Iterator[None]:
    """Accounts with homes that are closed to others, gone at the end."""
    with ExitStack() as stack:
        for name in names:
            subprocess.run(["userdel", "--force", name], capture_output=True)  # of a run that was killed
            subprocess.run(["useradd", "--no-create-home", "--home-dir", homes / name, name], check=True)
            stack.callback(subprocess.run, ["userdel", "--force", name], check=True)
            (homes / name).mkdir(0o700)
        yield


@contextmanager
def running(top: Path, snippet: Path, names: Sequence[str]) -> Iterator[list[Person]]:
    """A hub that has read `snippet` last, its files in `top`; its admin, and people of these names."""
    ports, token, config = free_ports(3), secrets.token_hex(), top / "jupyterhub_config.py"
    config.write_text(OWN.format(ports=ports, token=token, programs=PROGRAMS, snippet=snippet))
    line = f"{accounts.OPEN}\nexec {PROGRAMS / 'jupyterhub'} --config {config}"
    command, environment = ["unshare", "--mount", "bash", "-c", line], os.environ | accounts.base()
    with (top / "hub.log").open("w") as log:
        hub = subprocess.Popen(command, cwd=top, env=environment | {"PATH": PATH}, stdout=log, stderr=log)
    try:
        root = Person(f"http://127.0.0.1:{ports[0]}", "", token)
        wait_for(lambda: root.ask("GET", "hub/api/"))
        for name in names:
            with suppress(urllib.error.HTTPError):  # it knows whom the snippet names
                root.ask("POST", f"hub/api/users/{name}")
        tokens = [root.ask("POST", f"hub/api/users/{name}/tokens", {})["token"] for name in names]
        yield [root, *(Person(root.hub, *pair) for pair in zip(names, tokens, strict=True))]
    finally:
        hub.terminate()  # it ends its servers and its proxy
        hub.wait(300)
