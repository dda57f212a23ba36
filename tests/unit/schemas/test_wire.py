"""The wire format: golden bytes made by another implementation, any record there and back, bad bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import wire
from tests.golden.records import EXAMPLES, apache_values, by_apache_avro, golden, read_by_apache_avro
from tests.unit.schemas.arbitrary import as_values, records

PUBLIC = [name for name in wire.fixed_ids() if not name.startswith("state-")]
SCHEMAS = wire.fixed()


def test_every_public_record_type_has_an_example_with_golden_bytes():
    assert sorted(EXAMPLES) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_record_encodes_to_its_golden_bytes(name):
    assert SCHEMAS.codec(name).encode(EXAMPLES[name]) == golden(name)


@pytest.mark.parametrize("name", PUBLIC)
def test_golden_bytes_decode_to_the_record(name):
    assert SCHEMAS.decode(golden(name)) == (name, EXAMPLES[name])


@pytest.mark.parametrize("name", PUBLIC)
def test_apache_avro_writes_and_reads_the_golden_bytes_too(name):
    assert by_apache_avro(name) == golden(name)
    assert read_by_apache_avro(name, golden(name)) == apache_values(wire.definition(name), EXAMPLES[name])


@pytest.mark.parametrize("name", wire.fixed_ids())
def test_any_record_of_a_schema_comes_back_as_it_was(name):
    codec = SCHEMAS.codec(name)

    @settings(max_examples=25, deadline=None)
    @given(records(wire.definition(name)))
    def comes_back(record):
        assert codec.decode(codec.encode(record)) == record

    comes_back()


@pytest.mark.parametrize("name", wire.fixed_ids())
def test_any_record_is_written_and_read_as_values_too(name):
    definition = wire.definition(name)
    codec = SCHEMAS.codec(name)

    @settings(max_examples=25, deadline=None)
    @given(records(definition))
    def agrees(record):
        values = as_values(record, definition, tuple)

        assert codec.values(codec.encode(record)) == as_values(record, definition)
        assert codec.encode(values) == codec.encode(record)

    agrees()


@pytest.mark.parametrize("name", wire.fixed_ids())
def test_values_that_are_too_few_or_too_many_are_refused(name):
    codec = SCHEMAS.codec(name)
    count = len(codec.fields.names)

    with pytest.raises(ValueError, match=f"has {count} fields"):
        codec.encode(())
    with pytest.raises(ValueError, match=f"has {count} fields"):
        codec.encode((None,) * (count + 1))


@pytest.mark.parametrize("name", wire.fixed_ids())
def test_fastavro_reads_any_record_as_it_was(name):
    definition = wire.definition(name)
    codec = SCHEMAS.codec(name)
    other = wire.Older(definition, definition)

    @settings(max_examples=25, deadline=None)
    @given(records(definition))
    def agrees(record):
        assert other.decode(name, codec.encode(record)) == record

    agrees()


@pytest.mark.parametrize("name", PUBLIC)
def test_bytes_that_end_early_are_truncated(name):
    whole = golden(name)

    for length in range(len(whole)):
        with pytest.raises(wire.WireError) as e:
            SCHEMAS.decode(whole[:length])
        assert e.value.reason == "truncated"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PUBLIC), st.binary(max_size=200))
def test_any_bytes_after_a_header_are_a_record_or_a_wire_error(name, noise):
    data = SCHEMAS.codec(name).header + noise

    try:
        SCHEMAS.decode(data)
    except wire.WireError as e:
        assert e.reason in {"truncated", "undecodable", "trailing_bytes", "out_of_range"}  # noqa: PT017


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated"),
        (b"\x01" + golden("tick")[1:], "bad_magic"),
        (b'{"account_id": "a"}', "bad_magic"),
        (b"\x00\x00\x00\x27\x0f" + golden("tick")[5:], "unknown_schema"),
        (golden("price"), "wrong_schema"),
        (golden("tick") + b"\x00", "trailing_bytes"),
        (golden("tick")[:5] + b"\x00\x02\xff", "undecodable"),
        (golden("tick")[:5] + b"\xff" * 10, "truncated"),
        (golden("tick")[:5] + b"\xff" * 11, "undecodable"),
        (golden("tick")[:5] + b"\xff" * 9 + b"\x02", "undecodable"),  # 65 bits
    ],
)
def test_what_is_no_record_is_refused_with_the_reason(data, reason):
    with pytest.raises(wire.WireError) as e:
        SCHEMAS.decode(data, "tick")

    assert e.value.reason == reason


def test_an_enum_number_past_its_symbols_is_undecodable():
    status = SCHEMAS.codec("account-status")
    data = bytearray(status.encode({"account_id": "a", "status": "active", "since": None}))
    data[7] = 8

    with pytest.raises(wire.WireError, match="undecodable"):
        status.decode(bytes(data))


@pytest.mark.parametrize("amount", [1.5, 1.0, True, "1", None])
def test_minor_units_that_are_no_whole_number_are_never_written(amount):
    with pytest.raises(TypeError):
        SCHEMAS.codec("payment-event").encode(EXAMPLES["payment-event"] | {"amount_minor": amount})


@pytest.mark.parametrize("quantity", [1.5, "1", 10**38, -(10**38)])
def test_a_decimal_that_does_not_fit_is_never_written(quantity):
    with pytest.raises((TypeError, AttributeError, OverflowError)):
        SCHEMAS.codec("usage-event").encode(EXAMPLES["usage-event"] | {"quantity": quantity})


def test_a_decimal_that_a_new_field_defaults_to_is_read_as_a_number():
    old = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "string"}]}
    amount = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 12}
    new = old | {"fields": [*old["fields"], {"name": "b", "type": amount, "default": "\u0001\u00ff"}]}

    record = wire.Codec("r", 2, new, written_as=old).decode(wire.Codec("r", 1, old).encode({"a": "x"}))

    assert record == {"a": "x", "b": 511}


def test_a_first_field_that_is_a_number_is_told_without_the_rest() -> None:
    codec = wire.fixed().codec("tick")
    for number in (0, -1, 63, 64, 2**62):
        data = codec.encode({"time": number, "ticker": "a"})

        assert codec.first_number(data) == codec.decode(data)["time"] == number


def test_an_account_s_first_field_is_when_to_wake_it() -> None:
    fields = wire.definition("state-account")["fields"]

    assert (fields[0]["name"], fields[0]["type"]) == ("wake_at", "long")
