# What students need, in a container; Binder builds it as well. Of an unpacked `course bundle` or a clone:
#   docker build -t vae-course . && docker run --rm -p 127.0.0.1:8888:8888 vae-course
# PyTorch's default build brings GPU libraries of several gigabytes. Its CPU build, a tenth of that, comes with
#   --build-arg PIP_EXTRA_INDEX_URL=ADDRESS        (pytorch.org, "Get started", shows the address)
FROM python:3.11-slim
ARG PIP_EXTRA_INDEX_URL
ARG NB_USER=jovyan
ARG NB_UID=1000
RUN useradd --create-home --uid "$NB_UID" "$NB_USER"
ENV HOME=/home/$NB_USER
WORKDIR $HOME/course
# What the course needs changes rarely, its texts often: two layers.
COPY pyproject.toml constraints.txt ./
RUN python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
        > /tmp/needed.txt && pip install --no-cache-dir -c constraints.txt -r /tmp/needed.txt
COPY --chown=$NB_UID . .
RUN chown "$NB_UID" . && pip install --no-cache-dir --no-deps -e .
USER $NB_USER
CMD ["jupyter", "lab", "--config=jupyter_lab_config.py", "--ip=0.0.0.0", "--no-browser"]
