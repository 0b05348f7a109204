"""`course doctor` sees what is wrong and says what to do; a look that breaks is told like one."""

import importlib.metadata
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import nbgrader.api
import pytest
from click.testing import CliRunner

from course_utils import settings
from courseware import cli, doctor
from courseware.doctor import Status
from courseware.grading.kernel import sandbox

LOOKS = "Python, packages, PyTorch, data sets, kernel, pages, gradebook, data, sandbox, disk, memory"


@pytest.mark.slow
def test_on_a_machine_that_runs_these_tests_nothing_needed_is_missing():
    found = list(doctor.examine())
    assert ", ".join(one.name for one in found) == LOOKS
    assert not [one for one in found if one.advice and one.needed]


def test_a_package_that_is_missing_or_too_old_is_named(monkeypatch):
    def version(name):
        if name == "click":
            raise importlib.metadata.PackageNotFoundError
        return "0.1" if name == "tqdm" else real(name)

    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", version)
    found = doctor.packages()
    assert found.found == "click is missing; tqdm is 0.1, wanted >=4.66"
    assert found.advice.startswith("Run `pip install")


def test_a_python_of_the_system_s_own_is_remarked_on(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.sys, "prefix", str(tmp_path))
    monkeypatch.setattr(doctor.sys, "base_prefix", str(tmp_path))
    assert "environment of the course's own" in doctor.python().advice
    (tmp_path / "conda-meta").mkdir()
    assert not doctor.python().advice


KERNELS = "jupyter_client.kernelspec.KernelSpecManager.get_kernel_spec"
FAULTS = {  # what answers otherwise than it should, what is then said, and whether nothing goes without it
    doctor.pytorch: ({"shutil.which": "nvidia-smi", "torch.cuda.is_available": False}, "cannot use", False),
    doctor.kernel: ({KERNELS: SimpleNamespace(argv=["/else/python"])}, "ipykernel install", True),
    doctor.pages: ({"courseware.grading.pages.page": "<pre>$x$</pre>"}, "Run `pip install", True),
    doctor.sandbox: ({f"{sandbox.__name__}.missing": "Install bubblewrap."}, "Install bubblewrap.", False),
    doctor.disk: ({"shutil.disk_usage": SimpleNamespace(free=1e9)}, "Make room", True),
    doctor.memory: ({"psutil.virtual_memory": SimpleNamespace(available=1e9)}, "Close", False),
}


@pytest.mark.parametrize("look", FAULTS, ids=lambda look: look.__name__)
def test_what_is_wrong_with_a_machine_is_seen(look, monkeypatch):
    answers, mend, needed = FAULTS[look]
    for name, answer in answers.items():
        monkeypatch.setattr(name, lambda *_, answer=answer, **__: answer)
    found = look()
    assert mend in found.advice and found.needed == needed


def test_a_gradebook_needs_alembic(monkeypatch, tmp_path):
    monkeypatch.setattr("nbgrader.api.get_alembic_version", nbgrader.api.get_alembic_version.__wrapped__)
    monkeypatch.setattr(doctor.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "")
    (found,) = (one for one in doctor.examine() if one.name == "gradebook")
    assert "alembic" in found.found and found.advice.startswith("Run `pip install")


def test_a_gradebook_is_tried_inside_the_course_s_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert doctor.gradebook()[2:] == ("Call this inside the course's folder.", False)


@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_real_images_are_offered_where_there_are_none(name, monkeypatch):
    monkeypatch.setattr("course_utils.data.wanted", lambda: name)
    assert bool(doctor.data().advice) is (name == "digits")


def test_a_look_that_fails_is_a_finding(monkeypatch):
    monkeypatch.setattr(settings, "device_name", lambda: 1 / 0)
    (found,) = (one for one in doctor.examine() if one.name == "pytorch")
    assert found.found.startswith("ZeroDivisionError") and found.advice


def test_what_a_look_says_itself_is_the_advice(monkeypatch):
    monkeypatch.setenv("COURSE_DATASET", "cifar")
    (found,) = (one for one in doctor.examine() if one.name == "data")
    assert found.advice.startswith("There is no data set 'cifar'; choose one of: digits")


@pytest.mark.parametrize(("needed", "code"), [(True, 2), (False, 0)])
def test_the_command_fails_only_for_what_the_course_cannot_do_without(needed, code, monkeypatch):
    monkeypatch.setattr(doctor, "examine", lambda hub: iter([Status("disk", "[none]", "Make room.", needed)]))
    done = CliRunner().invoke(cli.main, ["doctor"])
    assert done.exit_code == code
    assert "[none]" in done.output and "Make room." in done.output


# --- on a hub -------------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Iterator[Path]:
    """A terminal of a hub that `course hub` has set up, as far as the doctor looks; its exchange."""
    exchange = tmp_path / "exchange"
    (exchange / "vae-course" / "inbound").mkdir(parents=True)
    for folder, mode in ("", 0o2775), ("vae-course", 0o2775), ("vae-course/inbound", 0o3773):
        (exchange / folder).chmod(mode)
    settings = f"c.CourseDirectory.course_id = 'vae-course'\nc.Exchange.root = {str(exchange)!r}\n"
    settings += "c.ExchangeFactory.list = 'courseware.exchange.List'\n"
    (tmp_path / "nbgrader_config.py").write_text(settings)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    monkeypatch.setenv("MEM_LIMIT", "4000000000")
    monkeypatch.setattr(doctor, "CGROUPS", tmp_path)
    (tmp_path / "memory.max").write_text("4000000000\n")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(doctor.os, "getuid", lambda: 1000)
    mask = os.umask(0o022)
    yield exchange
    os.umask(mask)


def add(exchange: Path, line: str) -> None:
    with (exchange.parent / "nbgrader_config.py").open("a") as file:
        file.write(f"{line}\n")


def unwritable(exchange: Path, patch: pytest.MonkeyPatch, name: str) -> None:
    """For the account that grades."""
    add(exchange, "c.CourseDirectory.root = '/home/grader'")
    patch.setattr(doctor.os, "access", lambda path, mode: Path(path).name != name or not mode & os.W_OK)


ON_A_HUB = (
    doctor.account, doctor.limits, doctor.umask, doctor.course_id, doctor.exchange, doctor.scopes,
    doctor.edition,
)  # fmt: skip
GROUPS = "c.Authenticator.plugin_class = 'nbgrader.auth.JupyterHubAuthPlugin'"
HUB_FAULTS = {
    "no hub": (lambda hub, patch: patch.delenv("JUPYTERHUB_USER"), "Call this in a terminal"),
    "root": (lambda hub, patch: patch.setattr(doctor.os, "getuid", lambda: 0), "Kernels are root's"),
    "no limit": (lambda hub, patch: (hub.parent / "memory.max").write_text("max"), "Limits are not kept"),
    "a larger limit": (
        lambda hub, patch: (hub.parent / "memory.max").write_text("64000000000"),
        "Limits are not kept",
    ),
    "umask": (lambda hub, patch: os.umask(0o077), "Set `UMask=0022`"),
    "too open": (lambda hub, patch: os.umask(0), "Set `UMask=0022`"),
    "course_id": (
        lambda hub, patch: add(hub, "c.CourseDirectory.course_id = ''"),
        "nbgrader knows no course",
    ),
    "no exchange": (lambda hub, patch: hub.rename(hub.with_name("moved")), "`course hub ... --write`"),
    "exchange": (
        lambda hub, patch: patch.setattr(doctor.os, "access", lambda path, *_: Path(path).name != "inbound"),
        "chmod 3773",
    ),
    "no release": (lambda hub, patch: unwritable(hub, patch, "exchange"), "`chown 1000 /"),
    "no secrets": (lambda hub, patch: hub.chmod(0o2777), "then `chmod 2775 /"),
    "scopes": (lambda hub, patch: add(hub, GROUPS), "'read:users:groups!user'"),
    "answers": (
        lambda hub, patch: patch.setattr("importlib.util.find_spec", lambda name: name),
        "`course bundle`",
    ),
    "groups": (
        lambda hub, patch: (
            add(hub, GROUPS),
            patch.setattr("nbgrader.auth.jupyterhub._query_jupyterhub_api", lambda *_: {"groups": ["x"]}),
        ),
        "'nbgrader-vae-course'",
    ),
}


def test_a_hub_that_is_set_up_has_no_fault(hub):
    assert not [found for look in ON_A_HUB if (found := look()).advice]


@pytest.mark.parametrize(("break_it", "mend"), HUB_FAULTS.values(), ids=HUB_FAULTS)
def test_each_fault_of_a_hub_is_named_once_with_its_mend(break_it, mend, hub, monkeypatch):
    break_it(hub, monkeypatch)
    (found,) = [found for look in ON_A_HUB if (found := look()).advice]
    assert mend in found.advice and "\n" not in found.advice
    assert found.needed or found.name == "limits"
