# The image of web, worker, scheduler and migrations, and of Ray's pods, so that both sides of Ray run the same versions.
FROM python:3.11-slim

# Index of CPU builds of torch, for a cluster without GPUs; empty takes the CUDA build that Linux gets by default.
ARG TORCH_INDEX=""

# bash and wget are what KubeRay starts and probes its containers with; compiled training steps need a C compiler; whoever
# decodes photos and workbooks is confined with libseccomp, and nothing is decoded without it. The fonts write certificates
# and packages in Arabic and Japanese.
RUN apt-get update \
    && apt-get install -y --no-install-recommends bash ca-certificates fonts-dejavu-core fonts-hosny-amiri \
       fonts-ipaexfont-gothic gcc libc6-dev libseccomp2 wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp likeness

# No virtual environment: KubeRay may start a login shell, which forgets a longer PATH, and /usr/local/bin is on every one.
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
COPY locks locks
# The lock is whole, so pip looks for no dependencies; a file whose hash is not in it is not installed.
RUN pip install --no-deps --require-hashes -r locks/build.txt \
    && if [ -n "$TORCH_INDEX" ]; \
       then pip install --no-deps --require-hashes --extra-index-url "$TORCH_INDEX" -r locks/torch-cpu.txt; \
       else pip install --no-deps --require-hashes -r locks/torch.txt; fi \
    && pip install --no-deps --require-hashes --no-build-isolation -r locks/runtime.txt -r locks/cluster.txt
COPY . .
RUN pip install --no-deps --no-build-isolation . \
    && .ci/only-free /usr/local/lib/python3.11/site-packages && rm -rf /src/*

WORKDIR /
ENV HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Whom the program believes, migrations and Ray's pods included. PostgreSQL's library would look for a file in the home.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PGSSLROOTCERT=/etc/ssl/certs/ca-certificates.crt
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["likeness"]
CMD ["web"]
