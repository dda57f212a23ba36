"""A whole simulation passes only where what it should do did happen."""

from cli.tally import SENT, Finding, uncharged


def test_what_never_happened_is_missing_unless_it_need_not() -> None:
    assert Finding("write off", 0, "ledger entries").is_missing
    assert not Finding("write off", 1, "ledger entries").is_missing
    assert not Finding("refused", 0, "automatic top-ups", must_happen=False).is_missing


def test_each_usage_event_that_was_sent_is_one_charge() -> None:
    def findings(sent: int, charged: int) -> list[Finding]:
        return [Finding(SENT["usage"], sent, "sent"), Finding("charge", charged, "ledger entries")]

    assert uncharged(findings(5, 5)) == 0
    assert uncharged(findings(5, 4)) == uncharged(findings(4, 5)) == 1
