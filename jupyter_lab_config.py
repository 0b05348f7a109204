"""JupyterLab's settings, for `jupyter lab --config=jupyter_lab_config.py`, which `make lab` calls."""

import os
import sysconfig
from pathlib import Path

import courseware

c = get_config()  # noqa: F821 - Jupyter provides it

c.LabApp.default_url = "/lab/tree/notebooks/01-autoencoder/autoencoder.ipynb"
# overrides.json lies there. Without it a student's first sight is a question about Jupyter's news.
c.LabApp.app_settings_dir = str(Path(courseware.__file__).parent / "jupyterlab")

# Its terminals know the command `course`. (A login shell may set a PATH of its own.)
os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
if os.name != "nt":
    c.ServerApp.terminado_settings = {"shell_command": [os.environ.get("SHELL", "/bin/sh")]}
