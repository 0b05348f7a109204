"""`vae.py`, the course on one page: the package's numbers to the last bit, a picture, and few imports."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import vae
from course_utils import evaluation, models, objectives, training
from course_utils.data import Dataset, load

PAGE = Path(vae.__file__)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", train=600)


def test_it_reaches_the_package_s_numbers_to_the_last_bit(digits):
    torch.manual_seed(3)
    model = vae.VAE()
    averages = vae.train(model, digits.train_images, epochs=2, seed=4)
    tested = vae.test(model, digits.test_images)

    torch.manual_seed(3)
    ours = models.VAE()
    history = training.fit(ours, digits.train_images, objectives.negative_elbo, epochs=2, seed=4)
    judged = evaluation.test_elbo(ours, digits.test_images, model_name="", data_name="").negative_elbo
    assert averages == history.train["loss"]
    assert tested == (judged.mean, pytest.approx(judged.standard_error, rel=1e-12))
    assert all(map(torch.equal, model.state_dict().values(), ours.state_dict().values()))


def test_a_model_of_the_page_loads_into_the_package():
    assert models.VAE().load_state_dict(vae.VAE().state_dict())


@pytest.mark.slow
def test_it_runs_as_a_command_and_draws_a_hundred_samples(tmp_path):
    file = tmp_path / "samples.png"
    command = [sys.executable, str(PAGE), "--epochs", "1", "--png", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "test -ELBO" in done.stdout and "±" in done.stdout
    assert Image.open(file).size == (280, 280)


def test_it_is_one_page_that_imports_torch_and_the_data():
    source = PAGE.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 150
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    found = {getattr(node, "module", None) or node.names[0].name for node in imports}
    assert {name for name in found if name.startswith("course_utils")} == {"course_utils.data"}
    assert {name.partition(".")[0] for name in found} - sys.stdlib_module_names == {
        "torch",
        "PIL",
        "course_utils",
    }


def test_git_passes_over_the_picture_that_it_draws():
    (name,) = re.findall(r'default=Path\("(.+?)"\)', PAGE.read_text(encoding="utf-8"))
    assert f"/{name}" in (PAGE.parent / ".gitignore").read_text(encoding="utf-8").splitlines()
