"""The registry's ids in place of the fixed ones: against a double of a registry (see registry_double.py)."""

import json
import struct

import pytest

from schemas import registry, wire
from streams import records, topics
from streams.agents.accounts import account_values
from streams.domain.account import Account
from streams.settings import Settings
from tests.golden.records import EXAMPLES
from tests.unit.schemas.registry_double import FIRST_ID, registry_double

TOPICS = {f"demo.{topic.name}": topic.records for topic in topics.ALL}


def test_without_a_registry_the_fixed_ids_are_used():
    assert registry.schemas("") is wire.fixed()


def test_records_carry_the_ids_of_the_double_registry():
    with registry_double() as double:
        schemas = registry.schemas(double.url, TOPICS)

    for name, record in EXAMPLES.items():
        data = schemas.codec(name).encode(record)
        assert struct.unpack(">bI", data[:5])[1] >= FIRST_ID
        assert schemas.decode(data) == (name, record)


def test_subjects_are_named_after_topics_and_after_the_record_too_where_a_topic_has_several():
    with registry_double() as double:
        records.schemas(
            Settings(
                bootstrap_servers="-", topic_prefix="demo.", schema_registry_url=double.url, clock="auto"
            )
        )

    assert "demo.usage-events-value" in double.subjects
    assert {"demo.invoices-evergreen.Invoice", "demo.invoices-evergreen.CreditNote"} <= double.subjects.keys()
    assert "demo.invoices-value" not in double.subjects


def test_a_record_type_that_no_topic_names_is_registered_under_its_own_name():
    assert registry.subjects("tick", {}) == ["evergreen.Tick"]


def test_asking_the_double_registry_again_gives_the_same_ids():
    with registry_double() as double:
        first = registry.connect(double.url, TOPICS)
        second = registry.connect(double.url, TOPICS)

    assert all(first.codec(name).schema_id == second.codec(name).schema_id for name in EXAMPLES)


def test_what_an_older_version_in_the_double_registry_wrote_is_read():
    older = wire.definition("tick")
    older["fields"] = [*older["fields"], {"name": "gone", "type": "string", "default": "", "doc": "Once."}]
    with registry_double() as double:
        _, answer = double.register("demo.clock-ticks-value", json.dumps(older))
        schemas = registry.connect(double.url, TOPICS)

    written = wire.Codec("tick", answer["id"], older).encode({"time": 5, "ticker": "w", "gone": "x"})

    assert schemas.decode(written) == ("tick", {"time": 5, "ticker": "w"})


def test_what_was_registered_under_a_former_name_is_read_and_readers_of_it_refuse_what_comes_after():
    former = wire.released("state-account")[106]
    with registry_double() as double:
        _, answer = double.register("evergreen.state.AccountState", json.dumps(former))
        schemas = registry.connect(double.url, TOPICS)
        [own] = [double.ids[schema] for schema in double.subjects["evergreen.state.AccountSnapshot"]]
        before = set(map(double.ids.get, double.subjects["evergreen.state.AccountState"]))

    account = Account(5, "acme", "USD", None, by_default=True, zones=(), first_open=0)
    stored = wire.Codec("state-account", answer["id"], former).encode(account_values(account))

    name, found = schemas.decode(stored)
    assert (name, found["account_id"], found["wake_at"]) == ("state-account", "acme", 5)
    assert schemas.codec("state-account").schema_id == own
    assert own not in before


def test_an_incompatible_schema_is_refused_in_one_line_that_names_record_and_subject():
    other = {"type": "record", "name": "Tick", "namespace": "evergreen", "fields": []}
    with registry_double() as double:
        double.register("demo.clock-ticks-value", json.dumps(other))

        with pytest.raises(registry.RegistryError, match=r"refuses tick as demo\.clock-ticks-value") as e:
            registry.connect(double.url, TOPICS)

    assert "\n" not in str(e.value)


def test_a_registry_that_does_not_answer_is_one_clear_line():
    with registry_double() as double:
        gone = double.url

    with pytest.raises(registry.RegistryError, match=f"the schema registry at {gone} cannot be used") as e:
        registry.connect(gone, TOPICS)

    assert "\n" not in str(e.value)


@pytest.mark.parametrize("url", ["nonsense", "mock://one"])
def test_a_url_that_is_none_is_one_clear_line(url):
    with pytest.raises(
        registry.RegistryError, match=f"EVERGREEN_SCHEMA_REGISTRY_URL is no http.s. URL: {url}"
    ):
        registry.connect(url, TOPICS)


def test_credentials_in_the_url_are_not_shown():
    with pytest.raises(registry.RegistryError) as e:
        registry.connect("http://user:secret@127.0.0.1:1", TOPICS)

    assert "secret" not in str(e.value)
