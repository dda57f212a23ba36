"""What is published of an account's money after each batch that touched it (topic balances)."""

from dataclasses import dataclass

from mypy_extensions import mypyc_attr

from streams.domain.account import Account


@mypyc_attr(acyclic=True)
@dataclass(slots=True, init=False)
class AccountBalance:
    """An account that was touched. It is the live one: who reads it does so before anything else is applied.

    Made as LedgerEntry is, for its reason.
    """

    account: Account
    as_of: int | None
    """Lane time of the account's last change: where a batch ends does not show in it."""

    def __init__(self, account: Account, as_of: int | None) -> None:
        self.account = account
        self.as_of = as_of

    @property
    def refundable_minor(self) -> int | None:
        """What is left for refund when the account is closed; None: it is open."""
        account = self.account
        return max(0, account.balance) // account.minor if account.closed else None
