"""The gradebook in PostgreSQL, from a server of the tests' own: the same grades as in SQLite."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import faked
import pytest
from needs import POSTGRES
from sqlalchemy import create_engine, text

from course_utils.settings import CourseError
from courseware.classroom import batch

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server that listens to a socket in a folder of its own; its URL without a database's name."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # sockets' paths are to be short
    user = pwd.getpwuid(os.getuid()).pw_name
    account = {}
    if user == "root":  # which PostgreSQL refuses to be
        user = "nobody"
        account = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
        shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)
    data = folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **account}
    subprocess.run([POSTGRES / "initdb", "-D", data, "-A", "trust", "-N", "-E", "UTF8"], check=True, **quiet)
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    control = [POSTGRES / "pg_ctl", "-D", data, "-w"]
    subprocess.run([*control, "-o", options, "start"], check=True, **quiet)
    yield f"postgresql+psycopg://{user}@/{{name}}?host={folder}"
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, **quiet)
    shutil.rmtree(folder)


@pytest.fixture
def url(server: str) -> str:
    """Of a database that is empty."""
    engine = create_engine(server.format(name="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS grades"))
        connection.execute(text("CREATE DATABASE grades"))
    engine.dispose()
    return server.format(name="grades")


def test_a_class_has_the_same_grades_in_postgresql(url, released, tmp_path):
    roots = [
        faked.make_course(tmp_path / "postgres", f'c.CourseDirectory.db_url = "{url}"'),
        shutil.copytree(released, tmp_path / "sqlite"),
    ]
    for root in roots:
        faked.hand_in_class(root, 12)
        faked.hand_in(root, "Zoë 李", timestamp="2030-01-02 10:00:00 +0200")
        faked.run(root)
    assert not (roots[0] / "gradebook.db").exists()
    assert faked.state(roots[0]) == faked.state(roots[1])
    assert faked.graded_now(roots[0]) == []


def test_a_server_that_does_not_answer_is_one_sentence(released, tmp_path):
    root = shutil.copytree(released, tmp_path / "course")
    nowhere = f"postgresql+psycopg://nobody@/grades?host={tmp_path}"
    faked.configure(root, f'c.CourseDirectory.db_url = "{nowhere}"')
    faked.hand_in(root, "ada")
    with pytest.raises(CourseError, match=r"The gradebook cannot be written .*: mend that"):
        faked.run(root)
    assert batch.kept(batch.Course(root), "ada", faked.ASSIGNMENT) is None
