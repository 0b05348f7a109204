"""JupyterLab's settings, for `jupyter lab --config=jupyter_lab_config.py`, which `make lab` calls."""

from pathlib import Path

import courseware

c = get_config()  # noqa: F821 - Jupyter provides it

c.LabApp.default_url = "/lab/tree/notebooks/01-autoencoder/autoencoder.ipynb"
# overrides.json lies there. Without it a student's first sight is a question about Jupyter's news.
c.LabApp.app_settings_dir = str(Path(courseware.__file__).parent / "jupyterlab")
