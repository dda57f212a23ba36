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
RUN uv sync --frozen --no-dev --no-editable

# The code belongs to root; what runs it may write in its own home only.
USER evergreen
WORKDIR /home/evergreen
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1
ENTRYPOINT ["evergreen"]
