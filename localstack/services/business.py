"""What the sample services decide. `ledger` debits an account, `bank` pays out, `mail` notifies; any other service accepts.

A verdict depends on nothing but the input and the balance, so that the caller of this module decides when it becomes final.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Callable


@dataclass(frozen=True)
class Verdict:
    """`reason` is set exactly when the service refuses. `account` and `amount` go into the ledger."""

    reason: str | None = None
    account: str | None = None
    amount: str | None = None


@dataclass(frozen=True)
class Business:
    """Opening balances by account, and which payees may be paid (`open` or `blocked`)."""

    accounts: dict[str, Decimal]
    payees: dict[str, str]

    @classmethod
    def read(cls, file: Path) -> Business:
        content = json.loads(file.read_text())
        accounts = {name: Decimal(balance) for name, balance in content.get("accounts", {}).items()}
        return cls(accounts, content.get("payees", {}))

    def judge(self, service: str, given: dict[str, Any], spent: Callable[[str], Decimal]) -> Verdict:
        """`spent` says how much of an account's opening balance is gone."""
        if service == "ledger":
            return self._debit(given, spent)
        if service == "bank":
            return self._pay(given)
        return Verdict(amount=written(amount_of(given)))

    def _debit(self, given: dict[str, Any], spent: Callable[[str], Decimal]) -> Verdict:
        account, amount = given.get("account"), amount_of(given)
        if not isinstance(account, str) or account not in self.accounts:
            return Verdict(reason=f"there is no account {account!r}")
        if amount is None or amount <= 0:
            return Verdict(reason="the input has no positive amount")
        balance = self.accounts[account] - spent(account)
        if amount > balance:
            return Verdict(reason=f"the balance of {account} is {balance}, which is less than {amount}")
        return Verdict(account=account, amount=written(amount))

    def _pay(self, given: dict[str, Any]) -> Verdict:
        payee = given.get("iban", given.get("payee"))
        status = self.payees.get(payee) if isinstance(payee, str) else None
        if status != "open":
            return Verdict(reason=f"the payee {payee!r} is {status or 'unknown'}")
        return Verdict(account=payee, amount=written(amount_of(given)))


def amount_of(given: dict[str, Any]) -> Decimal | None:
    """A string or a number, in the currency's main unit."""
    amount = given.get("amount")
    if isinstance(amount, bool) or not isinstance(amount, (str, int, float)):
        return None
    try:
        number = Decimal(str(amount))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def written(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)
