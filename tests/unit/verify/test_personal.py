"""Personal data stands on the account's own documents, until it is erased, and in no other output."""

from tests.unit.verify.history import LANES, Content, History, at, settings
from tests.unit.verify.scenario import ACME, month
from verify.check import check
from verify.partitions import partition_of

LANE = partition_of(ACME.encode(), LANES)
PROFILE: Content = {
    "account_id": ACME,
    "name": "Ada Acme",
    "address": ["1 Mill Lane"],
    "country": "DE",
    "tax_id": None,
    "email": "ada@acme.example",
    "language": "en",
}
CUSTOMER = {name: PROFILE[name] for name in ("name", "address", "country", "tax_id")}


def named(customer: Content | None = CUSTOMER, *, erased: bool = False) -> History:
    """Return January's history with a profile, and this customer on acme's invoice of 1 February."""

    def profile(h: History) -> None:
        h.input("account-profiles", "applied", PROFILE, timestamp=at("2026-01-12T00:00"))
        if erased:
            h.raw("account-profiles", LANE, None, ACME.encode(), "applied")

    h = month(before_the_close=profile)
    h.edit("invoices", {"account_id": ACME}, customer=customer)
    return h


def test_a_document_names_the_customer_as_the_profile_in_force_does() -> None:
    report = check(named().topics, settings())

    assert report.failing() == set()
    assert report.checks[8].cases["customers on documents"] == 1


def test_a_document_without_its_customer_is_found() -> None:
    assert check(named(None).topics, settings()).failing() == {9}


def test_a_document_with_a_customer_of_nowhere_is_found() -> None:
    assert check(named({**CUSTOMER, "name": "Ada Other"}).topics, settings()).failing() == {9}


def test_a_document_after_the_erasure_names_nobody() -> None:
    h = named(None, erased=True)

    report = check(h.topics, settings())

    assert report.failing() == set()
    assert report.checks[8].cases["documents after an erasure"] == 1


def test_a_customer_on_a_document_after_the_erasure_is_found() -> None:
    assert check(named(erased=True).topics, settings()).failing() == {9}


def test_an_address_in_a_mail_is_found() -> None:
    h = named()

    h.edit("notifications", {"account_id": ACME}, lambda n: n["details"].update(to=PROFILE["email"]))

    assert check(h.topics, settings()).failing() == {9}


def test_the_dead_letter_of_a_profile_keeps_nothing_of_it() -> None:
    h = named()
    place = h.raw("account-profiles", LANE, b"Ada Acme, 1 Mill Lane", ACME.encode(), "dead")
    h.dead(place, "bad_magic", ACME)
    h.commit_all()

    assert check(h.topics, settings()).failing() == {9}
    h.edit("dead-letters", {"reason": "bad_magic"}, value=None)
    assert check(h.topics, settings()).failing() == set()
