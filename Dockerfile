# The image of web, worker, tend and migrations, and of Ray's pods, so that both sides of Ray run the same versions.
FROM python:3.11-slim

# Index of CPU builds of torch, for a cluster without GPUs; empty takes the CUDA build that Linux gets by default.
ARG TORCH_INDEX=""

# bash and wget are what KubeRay starts and probes its containers with; compiled training steps need a C compiler; whoever
# decodes photos and workbooks is confined with libseccomp, and nothing is decoded without it.
RUN apt-get update \
    && apt-get install -y --no-install-recommends bash gcc libc6-dev libseccomp2 wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp likeness

# No virtual environment: KubeRay may start a login shell, which forgets a longer PATH, and /usr/local/bin is on every one.
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
COPY constraints.txt ./
RUN pip install -c constraints.txt hatchling setuptools \
    && pip install -c constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch==2.13.0
COPY . .
RUN pip install --no-build-isolation -c constraints.txt '.[cluster]' && rm -rf /src/*

# What cuts people out is compiled here, for any processor of this kind: a pod would need 40 s for it, at every start.
ENV NUMBA_CACHE_DIR=/opt/likeness/compiled NUMBA_CPU_NAME=generic
RUN mkdir -p "$NUMBA_CACHE_DIR" && cd / && python -c 'import gpu_cluster.cutout.portrait' && chmod -R a+rX,go-w /opt/likeness

WORKDIR /
ENV HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["likeness"]
CMD ["web"]
