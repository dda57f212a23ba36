# Evergreen's processes: `docker build -t evergreen .`, then `docker run evergreen worker`, `payments`, ...
FROM python:3.11-slim

RUN pip install --no-cache-dir uv==0.13.9 && useradd --create-home evergreen
ENV UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never

# Dependencies first: they change less often than the code, and Docker keeps the layer.
WORKDIR /app
COPY pyproject.toml uv.lock README.md LICENSE NOTICE ./
RUN uv sync --frozen --no-dev --no-install-project

COPY cli ./cli
COPY consumers ./consumers
COPY local ./local
COPY producers ./producers
COPY schemas ./schemas
COPY streams ./streams
COPY verify ./verify
# The hot path becomes machine code: the compiler is there for this one layer.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev \
    && HATCH_BUILD_HOOK_ENABLE_MYPYC=1 uv sync --frozen --no-dev --no-editable --extra speed \
    && apt-get purge -y -qq --auto-remove gcc libc6-dev && rm -rf /var/lib/apt/lists/*

# The code belongs to root; what runs it may write in its own home only.
USER evergreen
WORKDIR /home/evergreen
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1
ENTRYPOINT ["evergreen"]
