"""Who it is becomes certain by a code that goes to an address on record and is written back, and by nothing less."""

from __future__ import annotations

from typing import Any

import pytest

from callcenter.kernel.errors import NotAllowed
from callcenter.messaging.casework import Casework
from callcenter.messaging.identity import Identity
from tests.callcenter.messaging.test_desk import Site

KNOWN = "zhang@customer.example"


class Certain(Site):
    """A visitor in talk with ann, who may send codes."""

    def __init__(self) -> None:
        super().__init__()
        self.identity = Identity(self.centre.host, self.desk, self.centre.mail)
        self.chat = self.talk()

    def send(self, address: str = KNOWN) -> str:
        """A code goes out; what it is."""
        self.identity.send_code("ann", self.chat, 7, address)
        self.centre.settle()
        letters: Any = self.centre.host.book.letters.outbox
        text = self.centre.private.get(list(letters.values())[-1].ref)
        return next(word[:6] for word in text.replace("是 ", " ").split() if word[:6].isdigit())

    @property
    def sure(self) -> tuple[str, str, int]:
        one = self.open(self.chat)
        return one.verified, one.linked, one.customer


@pytest.fixture
def site() -> Certain:
    return Certain()


def test_the_code_written_back_proves_it_and_links_the_customer(site: Certain) -> None:
    code = site.send()
    (letter,) = site.centre.host.book.letters.outbox.values()
    assert letter.interaction == site.chat
    site.write(site.chat, f"验证码 {code}，谢谢")
    site.centre.settle()
    assert site.sure == ("code", "code", 7)
    assert site.identity.counts["matched"] == 1


def test_it_is_good_once_for_ten_minutes_and_a_few_tries(site: Certain) -> None:
    code = site.send()
    for n in range(5):
        site.write(site.chat, f"{(int(code) + n + 1) % 1_000_000:06}")
    site.write(site.chat, code)
    site.centre.settle()
    assert site.sure == ("", "", 0)
    code = site.send()
    site.centre.wait(601)
    site.write(site.chat, code)
    site.centre.settle()
    assert site.sure == ("", "", 0)
    code = site.send()
    site.write(site.chat, code)
    site.centre.settle()
    assert site.sure == ("code", "code", 7)
    site.work.link("ann", site.chat, 0)
    site.write(site.chat, code)
    site.centre.settle()
    assert site.sure[1:] == ("undone", 0)


@pytest.mark.parametrize("said", ["12345", "9{code}", "{code}9", "code", "１２３４５６"])
def test_what_is_no_code_of_six_digits_is_no_try(site: Certain, said: str) -> None:
    code = site.send()
    site.write(site.chat, said.format(code=code))
    site.centre.settle()
    assert site.sure == ("", "", 0)


def test_only_who_serves_it_may_send_one_and_only_to_an_address(site: Certain) -> None:
    with pytest.raises(NotAllowed, match="not_yours"):
        site.identity.send_code("bob", site.chat, 7, KNOWN)
    with pytest.raises(NotAllowed, match="no_address"):
        site.identity.send_code("ann", site.chat, 7, "")
    with pytest.raises(NotAllowed, match="no_mail"):
        Identity(site.centre.host, site.desk, None).send_code("ann", site.chat, 7, KNOWN)


def test_an_agent_decides_and_takes_it_back(site: Certain) -> None:
    work: Casework = site.work
    with pytest.raises(NotAllowed, match="not_yours"):
        work.link("bob", site.chat, 9)
    work.link("ann", site.chat, 9)
    site.centre.settle()
    assert site.sure == ("", "agent", 9)
    work.link("ann", site.chat, 0)
    site.centre.settle()
    assert site.sure == ("", "undone", 0)
