"""The file that tells our bank whom to pay: as CSV, and as ISO 20022 pain.001.001.09 (customer credit transfer)."""

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from xml.etree import ElementTree

from pasar.kernel.money import Currency, digits

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_FORMULA = "=+-@\t\r"


class Payout(NamedTuple):
    """One transfer. `name` and `account` are personal."""

    settlement: str
    store: str
    name: str
    account: str
    amount: Decimal


class Payer(NamedTuple):
    name: str
    account: str
    bic: str


def is_iban(account: str) -> bool:
    """ISO 13616: form and check digits."""
    plain = account.replace(" ", "").upper()
    if not _IBAN.fullmatch(plain):
        return False
    return int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1


def written(amount: Decimal, currency: Currency) -> str:
    """In the currency's digits: 95000 KRW, 95.00 CNY."""
    return f"{amount:.{digits(currency)}f}"


def as_csv(payouts: Sequence[Payout], currency: Currency) -> bytes:
    """RFC 4180 with a header, UTF-8 with the mark that spreadsheets need. What a spreadsheet would take for a formula
    gets an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_MINIMAL)
    writer.writerow(["settlement", "store", "name", "account", "amount", "currency"])
    for one in payouts:
        texts = [_safe(text) for text in (one.settlement, one.store, one.name, one.account)]
        writer.writerow([*texts, written(one.amount, currency), currency])
    return text.getvalue().encode("utf-8-sig")


def _safe(text: str) -> str:
    clean = _printable(text)
    return f"'{clean}" if clean[:1] and clean[0] in _FORMULA else clean


def _printable(text: str) -> str:
    """Without control characters, which XML and banks refuse."""
    return "".join(" " if unicodedata.category(letter).startswith("C") else letter for letter in text).strip()


def as_pain001(
    run: str, payouts: Sequence[Payout], currency: Currency, payer: Payer, made_at: datetime, execute_on: datetime
) -> bytes:
    """One group, one payment, a transfer for each seller. Identifiers have at most 35 characters, as the standard
    wants, so a transfer is named by run and place; the settlement's own name is its remittance information."""
    total = written(sum((one.amount for one in payouts), Decimal(0)), currency)
    document = ElementTree.Element("Document", xmlns=NAMESPACE)
    root = ElementTree.SubElement(document, "CstmrCdtTrfInitn")
    header = _add(root, "GrpHdr")
    _add(header, "MsgId", run)
    _add(header, "CreDtTm", made_at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    _add(header, "NbOfTxs", str(len(payouts)))
    _add(header, "CtrlSum", total)
    _add(_add(header, "InitgPty"), "Nm", payer.name)
    payment = _add(root, "PmtInf")
    _add(payment, "PmtInfId", run)
    _add(payment, "PmtMtd", "TRF")
    _add(payment, "NbOfTxs", str(len(payouts)))
    _add(payment, "CtrlSum", total)
    _add(_add(payment, "ReqdExctnDt"), "Dt", execute_on.strftime("%Y-%m-%d"))
    _add(_add(payment, "Dbtr"), "Nm", payer.name)
    _account(payment, "DbtrAcct", payer.account)
    bank = _add(_add(payment, "DbtrAgt"), "FinInstnId")
    if payer.bic:
        _add(bank, "BICFI", payer.bic)
    else:
        _add(_add(bank, "Othr"), "Id", "NOTPROVIDED")
    for number, one in enumerate(payouts, 1):
        transfer = _add(payment, "CdtTrfTxInf")
        _add(_add(transfer, "PmtId"), "EndToEndId", f"{run}-{number}")
        _add(_add(transfer, "Amt"), "InstdAmt", written(one.amount, currency)).set("Ccy", currency)
        _add(_add(transfer, "Cdtr"), "Nm", _printable(one.name)[:140])
        _account(transfer, "CdtrAcct", one.account)
        _add(_add(transfer, "RmtInf"), "Ustrd", _printable(one.settlement)[:140])
    return ElementTree.tostring(document, encoding="utf-8", xml_declaration=True)


def _add(parent: ElementTree.Element, name: str, text: str | None = None) -> ElementTree.Element:
    made = ElementTree.SubElement(parent, name)
    made.text = text
    return made


def _account(parent: ElementTree.Element, name: str, account: str) -> None:
    id = _add(_add(parent, name), "Id")
    plain = account.replace(" ", "")
    if is_iban(plain):
        _add(id, "IBAN", plain.upper())
    else:
        _add(_add(id, "Othr"), "Id", _printable(plain)[:34])
