"""Customers: found by what callers and agents know of them, unreadable on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import Engine, inspect
from sqlmodel import Session, select

from callcenter.kernel.envelope import MasterKey
from crm_core.customers import (
    ContactPoint,
    Customer,
    CustomerCreate,
    CustomerService,
    CustomerUpdate,
    name_terms,
)
from crm_core.db import session
from tests.databases import content_of

MASTER = MasterKey(bytes(range(32)))


@pytest.fixture
def db(records: Engine) -> Iterator[Session]:
    with session(records) as opened:
        yield opened


@pytest.fixture
def service(db: Session) -> CustomerService:
    return CustomerService(db, MASTER)


def named(found: list[Customer]) -> list[str]:
    return [customer.name for customer in found]


def add(service: CustomerService, name: str, *phones: str, **more: str) -> Customer:
    return service.create(CustomerCreate(name=name, phones=list(phones), **more))  # type: ignore[arg-type]


# --- numbers -----------------------------------------------------------------------------------------


def test_a_caller_is_found_by_their_number_however_it_was_written(service: CustomerService) -> None:
    add(service, "王芳", "138-0013-8000", "010-62345678")
    add(service, "李强", "13900139000")
    assert named(service.by_phone("+8613800138000")) == ["王芳"]
    assert named(service.by_phone("+861062345678")) == ["王芳"]
    assert service.by_phone("+8613800138001") == []
    assert service.by_phone("") == []


def test_a_shared_number_finds_everybody_oldest_first(service: CustomerService) -> None:
    for name in ("王芳", "王强", "王小明"):
        add(service, name, "13800138000")
    assert named(service.by_phone("+8613800138000")) == ["王芳", "王强", "王小明"]


def test_two_numbers_that_are_one_find_one_customer(service: CustomerService) -> None:
    add(service, "王芳", "13800138000", "+86 138 0013 8000")
    assert named(service.by_phone("+8613800138000")) == ["王芳"]
    assert named(service.by_phone_ending("8000")) == ["王芳"]


@pytest.mark.parametrize("digits", ["8000", "138000", "00138000"])
def test_the_last_digits_find(service: CustomerService, digits: str) -> None:
    add(service, "王芳", "13800138000")
    add(service, "李强", "13900139999")
    assert named(service.by_phone_ending(digits)) == ["王芳"]


@pytest.mark.parametrize("digits", ["", "800", "13800", "0138000", "13800138000", "80a0", "8 00", "-800"])
def test_other_lengths_are_refused(service: CustomerService, digits: str) -> None:
    with pytest.raises(ValueError, match="4, 6 or 8"):
        service.by_phone_ending(digits)


@pytest.mark.parametrize("phone", ["", "abc", "110", "9" * 30])
def test_what_is_no_number_is_not_kept(service: CustomerService, phone: str) -> None:
    with pytest.raises(ValueError, match="not a telephone number"):
        add(service, "王芳", phone)


def test_numbers_are_shown_to_who_may_see_the_customer(service: CustomerService) -> None:
    shown = service.public(add(service, "王芳", "13800138000", "010-62345678"))
    assert shown.phones == ["+8613800138000", "+861062345678"]
    assert (shown.name, shown.org_id) == ("王芳", 1)


def test_a_sealed_number_belongs_to_its_customer(service: CustomerService, db: Session) -> None:
    one, other = add(service, "王芳", "13800138000"), add(service, "李强", "13900139000")
    db.flush()
    stolen = db.exec(select(ContactPoint).where(ContactPoint.customer_id == one.id)).one()
    stolen.customer_id = other.id or 0
    db.flush()
    with pytest.raises(ValueError, match="does not open"):
        service.public(other)


# --- names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["欧阳明华", "欧", "明", "华", "欧阳", "阳明", "明华", "ouyangminghua", "OuYangMingHua", "ouyang minghua", "oymh",
     "OYMH", "ming", " 欧阳 明华 "],
)  # fmt: skip
def test_a_name_is_found_by_what_one_remembers(service: CustomerService, text: str) -> None:
    add(service, "欧阳明华")
    add(service, "李强")
    assert named(service.by_name(text)) == ["欧阳明华"]


@pytest.mark.parametrize("text", ["王芳", "wangfang", "wf", "王", "芳", "fang", "wang"])
def test_two_characters_are_a_whole_name(service: CustomerService, text: str) -> None:
    add(service, "王芳")
    assert named(service.by_name(text)) == ["王芳"]


@pytest.mark.parametrize("text", ["", " ", "x", "芳王", "wangf", "王芳芳", "%", "_", "' OR 1=1 --"])
def test_nobody_is_found_by_something_else(service: CustomerService, text: str) -> None:
    add(service, "王芳")
    assert service.by_name(text) == []


@pytest.mark.parametrize("text", ["John Smith", "john", "SMITH", "johnsmith", "John  Smith"])
def test_names_in_latin_letters(service: CustomerService, text: str) -> None:
    add(service, "John Smith")
    assert named(service.by_name(text)) == ["John Smith"]


@pytest.mark.parametrize(
    ("name", "pinyin"),
    [("曾国强", "zengguoqiang"), ("单小红", "shanxiaohong"), ("仇英", "qiuying"), ("解晓东", "xiexiaodong"),
     ("查良", "zhaliang"), ("区志明", "ouzhiming"), ("朴树", "piaoshu"), ("任静", "renjing"), ("覃丽", "qinli"),
     ("吕芳", "lvfang"), ("尉迟刚", "yuchigang")],
)  # fmt: skip
def test_a_surname_is_read_as_a_surname(service: CustomerService, name: str, pinyin: str) -> None:
    add(service, name)
    assert named(service.by_name(pinyin)) == [name]


def test_many_of_one_name_are_limited_and_in_order(service: CustomerService) -> None:
    for number in range(30):
        add(service, f"王{'芳' if number % 2 else '强'}")
    assert len(service.by_name("王")) == 20
    found = service.by_name("王芳", limit=5)
    assert named(found) == ["王芳"] * 5
    assert [customer.id for customer in found] == sorted(customer.id or 0 for customer in found)


@given(st.text(min_size=1, max_size=12))
def test_a_whole_name_is_always_a_term_of_itself(name: str) -> None:
    terms = name_terms(name)
    whole = "".join(name.lower().split())
    assert "" not in terms
    assert not whole or whole in terms
    assert all(character in terms for character in whole)


@pytest.mark.parametrize(
    "name",
    ["阿卜杜热合曼·麦麦提吐尔逊", "中国石油化工股份有限公司北京石油分公司客户服务部电话营销中心", "A" * 80],
)
def test_terms_of_long_names_fit_their_column(records: Engine, name: str) -> None:
    """SQLite lets a longer one pass, PostgreSQL refuses the customer."""
    columns = {column["name"]: column for column in inspect(records).get_columns("customer_name_terms")}
    limit = getattr(columns["term"]["type"], "length", None) or 10_000
    assert max(len(term) for term in name_terms(name)) <= limit


# --- changes -----------------------------------------------------------------------------------------


def test_a_new_name_is_found_and_the_old_one_is_not(service: CustomerService, db: Session) -> None:
    customer = add(service, "王芳", "13800138000")
    service.update(customer, CustomerUpdate(name="王芳华", klass="vip", note="改名"))
    db.flush()
    assert named(service.by_name("芳华")) == ["王芳华"]
    assert named(service.by_name("wangfanghua")) == ["王芳华"]
    assert service.by_name("王芳华")[0].klass == "vip"
    assert service.by_name("wangfang") == []
    assert named(service.by_phone("+8613800138000")) == ["王芳华"]


def test_what_is_not_named_in_an_update_stays(service: CustomerService, db: Session) -> None:
    customer = service.create(CustomerCreate(name="王芳", klass="gold", do_not_call=True, note="旧"))
    service.update(customer, CustomerUpdate(language="en"))
    db.flush()
    db.expire_all()
    found = service.get(customer.id or 0)
    assert found is not None
    assert (found.name, found.klass, found.do_not_call, found.note, found.language) == (
        "王芳",
        "gold",
        True,
        "旧",
        "en",
    )
    assert named(service.by_name("王芳")) == ["王芳"]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "x" * 81},
        {"name": None},
        {"language": "chinese"},
        {"note": "x" * 501},
        {"klass": None},
    ],
)
def test_an_update_is_held_to_the_same_rules_as_a_new_record(changes: dict[str, str | None]) -> None:
    with pytest.raises(ValidationError):
        CustomerUpdate(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [{"name": ""}, {"name": "x" * 81}, {"sex": "FM"}, {"note": "x" * 501}])
def test_a_new_record_is_checked(values: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        CustomerCreate(**{"name": "王芳", **values})  # type: ignore[arg-type]


def test_nobody_is_there_before_they_were_made(service: CustomerService) -> None:
    assert service.get(99) is None


# --- on the disk ---------------------------------------------------------------------------------------


def test_no_number_no_id_and_no_birth_date_stands_in_the_file(records: Engine, tmp_path: Path) -> None:
    with session(records) as db:
        service = CustomerService(db, MASTER)
        customer = service.create(
            CustomerCreate(
                name="王芳",
                phones=["13800138000", "010-62345678"],
                id_number="11010119900307123X",
                birth_date="1990-03-07",
            )
        )
        db.commit()
        customer_id = customer.id
    records.dispose()
    content = content_of(records)
    assert "王芳".encode() in content, "names lie in clear"
    for secret in ("13800138000", "138000", "62345678", "11010119900307123X", "19900307", "1990-03-07"):
        assert secret.encode() not in content, secret
    with session(records) as db:
        found = db.get(Customer, customer_id)
        assert found is not None
        assert found.id_number_sealed
        opened = MASTER.unseal_text(found.id_number_sealed, f"id_number:{customer_id}")
        assert opened == "11010119900307123X"


def test_another_master_key_finds_and_opens_nothing(records: Engine) -> None:
    with session(records) as db:
        add(CustomerService(db, MASTER), "王芳", "13800138000")
        db.commit()
        stranger = CustomerService(db, MasterKey(bytes([9]) * 32))
        assert stranger.by_phone("+8613800138000") == []
        (customer,) = stranger.by_name("王芳")
        with pytest.raises(ValueError, match="does not open"):
            stranger.public(customer)
