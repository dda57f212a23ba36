"""What may become of a released schema: nothing that makes a record unreadable."""

import copy

import pytest
from hypothesis import given, settings

from schemas import compatibility, wire
from tests.unit.schemas.arbitrary import records

CURRENT, IDS, RELEASED = compatibility.on_disk()
OLD = {
    "type": "record",
    "name": "Paid",
    "namespace": "evergreen",
    "doc": "A payment.",
    "fields": [
        {"name": "id", "type": "string", "doc": "Its name."},
        {
            "name": "amount",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 12},
            "doc": "How much.",
        },
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}, "doc": "When."},
        {
            "name": "kind",
            "type": {"type": "enum", "name": "Kind", "doc": "Which.", "symbols": ["card", "debit"]},
            "doc": "Which.",
        },
        {"name": "note", "type": ["null", "string"], "default": None, "doc": "For people."},
    ],
}


def changed(**types):
    """OLD with other types of some fields; None takes a field away."""
    new = copy.deepcopy(OLD)
    for name, node in types.items():
        new["fields"] = [
            field | {"type": node} if field["name"] == name else field
            for field in new["fields"]
            if field["name"] != name or node is not None
        ]
    return new


def added(field):
    return OLD | {"fields": [*OLD["fields"], field]}


def problems(new, *, new_id=2):
    return compatibility.problems({"paid": new}, {"paid": new_id}, {"paid": {1: OLD}})


def test_the_schemas_in_use_have_docs_and_ids_and_read_all_that_was_ever_released():
    assert compatibility.problems(CURRENT, IDS, RELEASED) == []


def test_a_record_of_another_name_is_refused_by_readers_of_before_if_it_says_that_it_means_to():
    renamed = OLD | {"name": "Received"}

    assert len(problems(renamed)) == 2
    assert problems(renamed | {"aliases": ["evergreen.Paid"]}) == []


def test_every_version_in_use_has_a_released_copy():
    assert compatibility.unreleased(IDS, RELEASED) == []


@pytest.mark.parametrize(
    ("name", "schema_id"),
    [(name, schema_id) for name, versions in RELEASED.items() for schema_id in versions],
)
def test_any_record_of_a_released_version_is_read_and_written_today(name, schema_id):
    written_as = RELEASED[name][schema_id]
    old = wire.Codec(name, schema_id, written_as)
    reader = wire.Codec(name, schema_id, CURRENT[name], written_as=written_as)
    today = wire.Codec(name, IDS[name], CURRENT[name])

    @settings(max_examples=25, deadline=None)
    @given(records(written_as))
    def is_read(record):
        read = reader.decode(old.encode(record))
        assert today.decode(today.encode(read)) == read

    is_read()


def test_an_unchanged_schema_keeps_its_id():
    assert problems(OLD, new_id=1) == []


def test_a_better_doc_needs_no_new_id():
    assert problems(OLD | {"doc": "One payment."}, new_id=1) == []


@pytest.mark.parametrize(
    "new",
    [
        added({"name": "extra", "type": ["null", "string"], "default": None, "doc": "More."}),
        added({"name": "extra", "type": "int", "default": 0, "doc": "More."}),
        changed(note=None),
    ],
    ids=["optional field added", "field with a default added", "optional field taken away"],
)
def test_a_compatible_change_needs_a_new_id_and_no_more(new):
    assert problems(new, new_id=2) == []
    assert problems(new, new_id=1) == [
        "paid was changed under its released id 1: give it a new id in ids.json"
    ]


@pytest.mark.parametrize(
    "new",
    [
        added({"name": "extra", "type": "string", "doc": "More."}),
        changed(id=None),
        changed(id="long"),
        changed(at="string"),
        changed(note="string"),
        changed(kind={"type": "enum", "name": "Kind", "doc": "Which.", "symbols": ["card"]}),
        changed(amount={"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2}),
        changed(amount="bytes"),
        changed(at={"type": "long", "logicalType": "timestamp-micros"}),
        changed(at="long"),
        changed(id=["null", "string"]),
        OLD | {"name": "Payment"},
    ],
    ids=[
        "field without default added",
        "required field taken away",
        "string made a number",
        "number made a string",
        "null no longer allowed",
        "symbol taken away",
        "decimal with another scale",
        "decimal made bytes",
        "milliseconds made microseconds",
        "timestamp made a number",
        "null newly written to readers that know none",
        "record renamed",
    ],
)
def test_an_incompatible_change_is_refused_whatever_its_id(new):
    assert any("could not" in problem for problem in problems(new))


GROWN = {"type": "enum", "name": "Kind", "doc": "Which.", "symbols": ["card", "debit", "wire"]}


def test_an_enum_may_grow():
    assert problems(changed(kind=GROWN)) == []


def test_an_old_reader_refuses_a_new_symbol_rather_than_take_it_for_another():
    grown = changed(
        kind={"type": "enum", "name": "Kind", "doc": "Which.", "symbols": ["card", "debit", "wire"]}
    )
    written = wire.Codec("paid", 2, grown).encode(
        {"id": "p", "amount": 1, "at": 0, "kind": "wire", "note": None}
    )

    with pytest.raises(wire.WireError, match="undecodable"):
        wire.Codec("paid", 2, OLD, written_as=grown).decode(written)


def test_a_field_without_doc_is_refused_also_deep_inside():
    inner = {"type": "record", "name": "Inner", "doc": "In.", "fields": [{"name": "x", "type": "int"}]}
    field = {"name": "inner", "type": {"type": "array", "items": inner}, "default": [], "doc": "Some."}

    assert problems(added(field)) == ["paid: Paid.inner.Inner.x has no doc"]


def test_an_id_belongs_to_one_record_type_for_ever():
    released = {"paid": {1: OLD}, "other": {7: OLD}}

    found = compatibility.problems({"paid": OLD, "other": OLD}, {"paid": 1, "other": 1}, released)

    assert "id 1 is used by other and paid" in found


def test_a_released_record_type_is_never_removed():
    assert compatibility.problems({}, {}, {"paid": {1: OLD}}) == ["paid was released and may not be removed"]


def test_a_schema_without_id_and_an_id_without_schema_are_refused():
    assert compatibility.problems({"new": OLD}, {"gone": 9}, {}) == [
        "new.avsc has no id in ids.json",
        "ids.json names gone, which has no .avsc",
    ]


def test_an_older_version_is_read_under_its_own_id(monkeypatch):
    new = added({"name": "extra", "type": "int", "default": 5, "doc": "More."})
    monkeypatch.setattr(wire, "fixed_ids", lambda: {"paid": 2})
    monkeypatch.setattr(wire, "definition", lambda _: new)
    monkeypatch.setattr(wire, "released", lambda _: {1: OLD, 2: new})
    record = {"id": "p", "amount": 1, "at": 0, "kind": "card", "note": None}

    name, read = wire.fixed.__wrapped__().decode(wire.Codec("paid", 1, OLD).encode(record))

    assert (name, read) == ("paid", record | {"extra": 5})
