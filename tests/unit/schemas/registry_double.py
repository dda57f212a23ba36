"""A stand-in for a schema registry: the few requests of the Confluent API that registering needs.

A double, not a registry: no registry can be installed from the package registries that CI reaches.
Its BACKWARD check is Apache's (schemas.compatibility), its ids start where the fixed ones do not.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from schemas.compatibility import incompatibilities

FIRST_ID = 1001


class RegistryDouble:
    """Subjects with their versions; the same schema has the same id in every subject."""

    def __init__(self) -> None:
        self.url = ""
        self.ids: dict[str, int] = {}
        self.subjects: dict[str, list[str]] = {}

    def register(self, subject: str, schema: str) -> tuple[int, dict[str, Any]]:
        versions = self.subjects.setdefault(subject, [])
        if schema not in versions:
            if versions:
                found = incompatibilities(reader=json.loads(schema), writer=json.loads(versions[-1]))
                if found:
                    return 409, {
                        "error_code": 409,
                        "message": f"Schema being registered is incompatible: {found}",
                    }
            versions.append(schema)
        return 200, {"id": self.ids.setdefault(schema, FIRST_ID + len(self.ids))}

    def answer(self, method: str, path: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        match method, path:
            case "POST", ["subjects", subject, "versions"]:
                return self.register(subject, body["schema"])
            case "GET", ["subjects", subject, "versions"] if subject in self.subjects:
                return 200, list(range(1, len(self.subjects[subject]) + 1))
            case "GET", ["subjects", subject, "versions", version] if subject in self.subjects:
                schema = self.subjects[subject][int(version) - 1]
                return 200, {
                    "subject": subject,
                    "id": self.ids[schema],
                    "version": int(version),
                    "schema": schema,
                }
        return 404, {"error_code": 40401, "message": f"not found: {'/'.join(path)}"}


@contextmanager
def registry_double() -> Iterator[RegistryDouble]:
    """Serve an empty double on loopback."""
    double = RegistryDouble()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond("GET", {})

        def do_POST(self) -> None:
            self._respond("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _respond(self, method: str, body: dict[str, Any]) -> None:
            path = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
            status, answer = double.answer(method, path, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    double.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
