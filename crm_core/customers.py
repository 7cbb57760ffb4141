"""Customers and the numbers and addresses they are reached at.

Phones lie encrypted, beside keyed hashes of E.164 and of its last 4, 6 and 8 digits; mail addresses beside one hash.
Names lie in clear, found by one or two of their characters and by pinyin.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection, Iterable
from typing import Any

from pydantic import ValidationInfo, field_validator, model_validator
from sqlmodel import Field, Session, SQLModel, col, select

from callcenter.kernel.e164 import to_e164
from callcenter.kernel.envelope import MasterKey
from crm_core.orgs import OrgScoped

CLASSES = ("vip", "gold", "standard", "low")
LANGUAGES = ("zh", "en")
TERM_LIMIT = 80
PHONE, EMAIL = "phone", "email"
_EMAIL = re.compile(r"^[^@\s<>\"(),;:]{1,64}@[a-z0-9.\-]{1,253}$")
SURNAMES = {
    "曾": "zeng",
    "单": "shan",
    "仇": "qiu",
    "解": "xie",
    "查": "zha",
    "区": "ou",
    "朴": "piao",
    "覃": "qin",
    "翟": "zhai",
    "盖": "ge",
    "尉": "yu",
    "乐": "yue",
    "任": "ren",
    "华": "hua",
    "纪": "ji",
    "黑": "he",
}
"""characters that are read otherwise when they are a surname; both readings are findable"""


class _Coded(SQLModel):
    """Codes are checked where records are made or changed (tables themselves do not validate)."""

    @field_validator("klass", "language", check_fields=False)
    @classmethod
    def _known_code(cls, code: str, info: ValidationInfo) -> str:
        known = CLASSES if info.field_name == "klass" else LANGUAGES
        if code not in known:
            raise ValueError(f"expected one of {', '.join(known)}")
        return code


class CustomerBase(_Coded, OrgScoped):
    name: str = Field(min_length=1, max_length=80)
    sex: str = Field(default="", max_length=1)
    klass: str = Field(default="standard", max_length=16)
    language: str = Field(default="zh", max_length=2)
    do_not_call: bool = False
    note: str = Field(default="", max_length=500)


class Customer(CustomerBase, table=True):
    __tablename__ = "customers"

    id: int | None = Field(default=None, primary_key=True)
    id_number_sealed: bytes | None = None
    birth_date_sealed: bytes | None = None


class CustomerCreate(CustomerBase):
    phones: list[str] = Field(default_factory=list)
    emails: list[str] = Field(default_factory=list)
    id_number: str = ""
    birth_date: str = ""


class CustomerUpdate(_Coded):
    """What is set is changed; what is absent stays. Nothing can be set to None."""

    name: str | None = Field(default=None, min_length=1, max_length=80)
    klass: str | None = Field(default=None, max_length=16)
    language: str | None = Field(default=None, max_length=2)
    do_not_call: bool | None = None
    note: str | None = Field(default=None, max_length=500)

    @model_validator(mode="before")
    @classmethod
    def _no_nones(cls, values: Any) -> Any:
        if isinstance(values, dict) and None in values.values():
            raise ValueError("expected a value; leave out what stays as it is")
        return values


class CustomerPublic(CustomerBase):
    id: int
    phones: list[str]
    emails: list[str] = Field(default_factory=list)


class CustomerNameTerm(SQLModel, table=True):
    __tablename__ = "customer_name_terms"

    customer_id: int = Field(foreign_key="customers.id", primary_key=True)
    term: str = Field(primary_key=True, index=True)


class ContactPoint(OrgScoped, table=True):
    __tablename__ = "contact_points"

    id: int | None = Field(default=None, primary_key=True)
    customer_id: int = Field(foreign_key="customers.id", index=True)
    kind: str = "phone"
    label: str = "mobile"
    good_hours: str = ""
    sealed: bytes
    index_full: str = Field(index=True)
    index_last4: str = Field(index=True)
    index_last6: str = Field(index=True)
    index_last8: str = Field(index=True)


class CustomerService:
    """All that is done with customers, within one session (one transaction of the caller's)."""

    def __init__(self, session: Session, master: MasterKey, region: str = "CN") -> None:
        self._session, self._master, self._region = session, master, region

    def create(self, data: CustomerCreate) -> Customer:
        """Raises ValueError for a phone that is no number."""
        customer = Customer.model_validate(
            data.model_dump(exclude={"phones", "emails", "id_number", "birth_date"})
        )
        self._session.add(customer)
        self._session.flush()
        customer_id = _id(customer)
        if data.id_number:
            customer.id_number_sealed = self._master.seal_text(data.id_number, f"id_number:{customer_id}")
        if data.birth_date:
            customer.birth_date_sealed = self._master.seal_text(data.birth_date, f"birth_date:{customer_id}")
        for term in name_terms(customer.name):
            self._session.add(CustomerNameTerm(customer_id=customer_id, term=term))
        for phone in data.phones:
            self.add_phone(customer, phone)
        for address in data.emails:
            self.add_email(customer, address)
        return customer

    def update(self, customer: Customer, changes: CustomerUpdate) -> Customer:
        customer.sqlmodel_update(changes.model_dump(exclude_unset=True))
        if changes.name is not None:
            query = select(CustomerNameTerm).where(CustomerNameTerm.customer_id == customer.id)
            for old in self._session.exec(query):
                self._session.delete(old)
            self._session.flush()
            for term in name_terms(customer.name):
                self._session.add(CustomerNameTerm(customer_id=_id(customer), term=term))
        self._session.add(customer)
        return customer

    def add_phone(self, customer: Customer, phone: str, label: str = "mobile") -> ContactPoint:
        e164 = to_e164(phone, self._region)
        if e164 is None:
            raise ValueError("not a telephone number")
        point = ContactPoint(
            customer_id=_id(customer),
            org_id=customer.org_id,
            label=label,
            sealed=self._master.seal_text(e164, f"phone:{customer.id}"),
            **self._indexes(e164),  # type: ignore[arg-type]
        )
        self._session.add(point)
        return point

    def add_email(self, customer: Customer, address: str, label: str = "email") -> ContactPoint:
        """Raises ValueError for what is no address."""
        plain = address.strip().lower()
        if not _EMAIL.match(plain):
            raise ValueError("not a mail address")
        point = ContactPoint(
            customer_id=_id(customer),
            org_id=customer.org_id,
            kind=EMAIL,
            label=label,
            sealed=self._master.seal_text(plain, f"email:{customer.id}"),
            index_full=self._master.blind_index(EMAIL, plain),
            index_last4="",
            index_last6="",
            index_last8="",
        )
        self._session.add(point)
        return point

    def remove_email(self, customer: Customer, address: str) -> int:
        """Answers how many contact points went."""
        index = self._master.blind_index(EMAIL, address.strip().lower())
        query = select(ContactPoint).where(
            ContactPoint.customer_id == customer.id, ContactPoint.index_full == index
        )
        found = list(self._session.exec(query))
        for point in found:
            self._session.delete(point)
        return len(found)

    def by_email(self, address: str) -> list[Customer]:
        """Everybody reached at this address, oldest record first."""
        index = self._master.blind_index(EMAIL, address.strip().lower())
        query = select(Customer).join(ContactPoint).where(ContactPoint.index_full == index)
        return list(self._session.exec(query.order_by(col(Customer.id)).distinct()))

    def by_phone(self, e164: str) -> list[Customer]:
        """Everybody reached at this number, oldest record first."""
        index = self._master.blind_index("phone", e164)
        query = select(Customer).join(ContactPoint).where(ContactPoint.index_full == index)
        return list(self._session.exec(query.order_by(col(Customer.id)).distinct()))

    def ids_by_phone(self, numbers: Collection[str]) -> dict[str, list[int]]:
        """Ids of everybody reached at each of these numbers (E.164), in one statement; numbers that nobody
        has are left out."""
        indexes = {self._master.blind_index("phone", number): number for number in numbers}
        query = select(ContactPoint.index_full, ContactPoint.customer_id).where(
            col(ContactPoint.index_full).in_(list(indexes))
        )
        found: dict[str, list[int]] = {}
        for index, customer in self._session.exec(query.distinct()):
            found.setdefault(indexes[index], []).append(customer)
        return found

    def classes(self, ids: Collection[int]) -> dict[int, str]:
        """The class of each of these customers."""
        query = select(Customer.id, Customer.klass).where(col(Customer.id).in_(list(ids)))
        return {customer: klass for customer, klass in self._session.exec(query) if customer is not None}

    def by_phone_ending(self, digits: str) -> list[Customer]:
        """By the last 4, 6 or 8 digits."""
        if len(digits) not in (4, 6, 8) or not digits.isdigit():
            raise ValueError("expected 4, 6 or 8 digits")
        index = self._master.blind_index(f"phone-last{len(digits)}", digits)
        column = getattr(ContactPoint, f"index_last{len(digits)}")
        query = select(Customer).join(ContactPoint).where(column == index).order_by(col(Customer.id))
        return list(self._session.exec(query.distinct()))

    def by_name(self, text: str, limit: int = 20) -> list[Customer]:
        """One or two characters, a whole name, pinyin or initials."""
        term = "".join(text.lower().split())[:TERM_LIMIT]
        query = (
            select(Customer)
            .join(CustomerNameTerm)
            .where(CustomerNameTerm.term == term)
            .order_by(col(Customer.id))
            .limit(limit)
        )
        return list(self._session.exec(query))

    def id_number_ends(self, customer_id: int, ending: str) -> bool | None:
        """Is this how the identity number ends? None where the record has none."""
        customer = self.get(customer_id)
        if customer is None or customer.id_number_sealed is None:
            return None
        number = self._master.unseal_text(customer.id_number_sealed, f"id_number:{customer_id}")
        return hmac.compare_digest(number[-len(ending) :].upper().encode(), ending.upper().encode())

    def get(self, customer_id: int) -> Customer | None:
        return self._session.get(Customer, customer_id)

    def public(self, customer: Customer) -> CustomerPublic:
        query = (
            select(ContactPoint).where(ContactPoint.customer_id == customer.id).order_by(col(ContactPoint.id))
        )
        points = list(self._session.exec(query))

        def opened(kind: str) -> list[str]:
            context = f"{kind}:{customer.id}"
            return [self._master.unseal_text(one.sealed, context) for one in points if one.kind == kind]

        values = {**customer.model_dump(), "phones": opened(PHONE), "emails": opened(EMAIL)}
        return CustomerPublic.model_validate(values)

    def _indexes(self, e164: str) -> dict[str, str]:
        digits = e164.lstrip("+")
        indexes = {"index_full": self._master.blind_index("phone", e164)}
        for length in (4, 6, 8):
            ending = digits[-length:]
            indexes[f"index_last{length}"] = self._master.blind_index(f"phone-last{length}", ending)
        return indexes


def name_terms(name: str) -> set[str]:
    """What a name is found by: its characters, pairs of neighbours, itself, pinyin and initials."""
    from pypinyin import lazy_pinyin  # its dictionary takes a third of a second: only writers wait for it

    text = "".join(name.lower().split())
    syllables = lazy_pinyin(text)
    terms: set[str] = {text, *syllables}
    for reading in (syllables, [SURNAMES.get(text[:1], ""), *syllables[1:]]):
        if reading and reading[0]:
            terms |= {"".join(reading), "".join(s[0] for s in reading if s), reading[0]}
    terms.update(text)
    terms.update(_pairs(text))
    terms.update(word for word in name.lower().split() if word)
    return {term[:TERM_LIMIT] for term in terms if term}


def _pairs(text: str) -> Iterable[str]:
    return (text[i : i + 2] for i in range(len(text) - 1))


def _id(customer: Customer) -> int:
    if customer.id is None:
        raise ValueError("customer is not stored yet")
    return customer.id
