"""A worker's pages: health by the lanes' progress, metrics as Prometheus reads them."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams import metrics
from streams.metrics import STALL_SECONDS, Health, LaneHealth

NOW = 1_000_000.0


HEALTH = Health(worker="one")


@pytest.fixture
def health() -> Health:
    HEALTH.lanes.clear()
    return HEALTH


@pytest.fixture(scope="module")
def pages() -> Iterator[ThreadingHTTPServer]:
    server = metrics.serve(0, HEALTH, clock=lambda: NOW)
    yield server
    server.shutdown()
    server.server_close()


def get(pages: ThreadingHTTPServer, path: str) -> tuple[int, str]:
    """Return a page's status and text."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{pages.server_address[1]}{path}", timeout=5) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_worker_without_lanes_is_healthy(health: Health) -> None:
    assert health.report(NOW) == (
        True,
        {"worker": "one", "status": "ok", "stalled_lanes": [], "lanes": {}},
    )


def test_a_lane_with_nothing_to_do_may_rest(health: Health) -> None:
    health.lanes[0] = LaneHealth(progressed_at=NOW - 10_000, lag=0)

    assert health.report(NOW)[0]


def test_a_lane_that_is_behind_must_make_progress(health: Health) -> None:
    health.lanes[0] = LaneHealth(progressed_at=NOW - STALL_SECONDS - 1, lag=5)
    health.lanes[1] = LaneHealth(progressed_at=NOW - STALL_SECONDS + 1, lag=5)

    healthy, report = health.report(NOW)

    assert not healthy
    assert (report["status"], report["stalled_lanes"]) == ("stalled", [0])
    assert report["lanes"] == {
        "0": {"seconds_since_progress": STALL_SECONDS + 1, "lag": 5},
        "1": {"seconds_since_progress": STALL_SECONDS - 1, "lag": 5},
    }


def test_a_worker_is_behind_while_one_of_its_lanes_is(health: Health) -> None:
    health.lanes[0] = LaneHealth(progressed_at=NOW)
    assert not health.is_behind

    health.lanes[1] = LaneHealth(progressed_at=NOW, lag=1)
    assert health.is_behind


def test_the_health_page_says_it_with_its_status(health: Health, pages: ThreadingHTTPServer) -> None:
    good = get(pages, "/health")
    health.lanes[0] = LaneHealth(progressed_at=NOW - 100, lag=5)

    bad = get(pages, "/health")

    assert good[0] == 200
    assert json.loads(good[1])["status"] == "ok"
    assert bad[0] == 503
    assert json.loads(bad[1])["stalled_lanes"] == [0]


def test_the_metrics_page_can_be_read_by_prometheus(pages: ThreadingHTTPServer) -> None:
    status, text = get(pages, "/metrics")

    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert status == 200
    assert all(name.startswith("evergreen_") for name in families)
    assert all(family.documentation for family in families.values())


def test_another_page_is_not_found(pages: ThreadingHTTPServer) -> None:
    assert get(pages, "/")[0] == 404


def test_the_pages_are_on_loopback(pages: ThreadingHTTPServer) -> None:
    assert pages.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_an_os_error(pages: ThreadingHTTPServer, health: Health) -> None:
    with pytest.raises(OSError, match="in use"):
        metrics.serve(int(pages.server_address[1]), health)
