"""Opening an account: by its first settings, or by default where usage or money came and none ever did."""

from streams.domain import standing
from streams.domain.account import NEVER, NO_TIME, Account
from streams.domain.desk import Desk
from streams.domain.periods import EVER, ZoneFrom, Zones, calendar


def open_account(
    desk: Desk, account_id: str, *, currency: str, zone: str, by_default: bool, closed_until: int
) -> Account:
    """Return a new account without settings; periods closed at `closed_until` are closed for it too."""
    zones: Zones = (ZoneFrom(EVER, zone),)
    if closed_until == NO_TIME:
        first_open = EVER
    else:
        first_open = calendar(zones).first_open(closed_until, desk.policy.grace_ms)
    account = Account(
        wake_at=NEVER,
        account_id=account_id,
        currency=currency,
        opened_at=desk.now,
        by_default=by_default,
        zones=zones,
        first_open=first_open,
    )
    standing.prepare(desk, account)
    return account


def open_by_default(desk: Desk, account_id: str, closed_until: int) -> Account:
    """Open an account with the deployment's defaults, flagged."""
    policy = desk.policy
    account = open_account(
        desk,
        account_id,
        currency=policy.default_currency,
        zone=policy.default_zone,
        by_default=True,
        closed_until=closed_until,
    )
    standing.open_with_status(desk, account)
    standing.settle(desk, account)
    return account
