"""Believable sample data: 200 customers with Chinese names, their policies, and sales agents.

The same seed makes the same people, so that documentation and tests can name them. Nobody here exists;
mobile numbers lie in a block that the generator fills in order.
"""

from __future__ import annotations

import random
from datetime import date, timedelta

from sqlmodel import Session, select

from callcenter.kernel.envelope import MasterKey
from crm_core.customers import Customer, CustomerCreate, CustomerService
from crm_core.policies import PolicyCreate, PolicyService
from crm_core.sales_agents import ACTIVE, LEFT, SUSPENDED, SalesAgentCreate, SalesAgentService
from crm_core.wrap_up import WrapUpService

SEED = 20261122
FIRST_PHONE = 13800138000
_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁"
    "任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
_GIVEN_F = (
    "芳 娜 敏 静 丽 艳 娟 霞 秀英 桂英 玉兰 淑珍 雪梅 晓燕 婷婷 欣怡 雨涵 梓涵 佳琪 思雨 若曦 诗涵 海燕 丹丹"
)
_GIVEN_M = (
    "伟 强 磊 军 洋 勇 杰 涛 明 超 建国 志强 建华 文博 浩然 子轩 宇航 俊杰 天佑 国栋 鹏飞 海涛 晓东 永刚"
)
_PRODUCTS = (
    ("康宁终身重大疾病保险", 30_000_000, 620_000),
    ("安心百万医疗保险", 200_000_000, 36_800),
    ("福满一生两全保险（分红型）", 10_000_000, 1_000_000),
    ("金彩少儿教育年金保险", 15_000_000, 500_000),
    ("如意综合意外伤害保险", 50_000_000, 19_900),
    ("颐养天年养老年金保险", 40_000_000, 1_200_000),
)
_BRANCHES = ("北京分公司", "上海分公司", "广东分公司", "江苏分公司", "四川分公司", "湖北分公司")
_STATES = ("in_force",) * 8 + ("grace", "lapsed", "matured", "claim")


def fill(session: Session, master: MasterKey, today: date, customers: int = 200) -> int:
    """Add sample people where there are no customers yet; answers how many were added."""
    WrapUpService(session).seed()
    if session.exec(select(Customer)).first() is not None:
        return 0
    dice = random.Random(SEED)  # noqa: S311 - invented people, not secrets
    sales_agents = _sales_agents(session, master, dice)
    service, policies = CustomerService(session, master), PolicyService(session)
    for n in range(customers):
        customer = service.create(_customer(dice, n))
        for _ in range(dice.choice((1, 1, 1, 2, 2, 3))):
            policies.create(_policy(dice, customer, dice.choice(sales_agents), today))
    session.flush()
    return customers


def _customer(dice: random.Random, n: int) -> CustomerCreate:
    sex = dice.choice("FM")
    name = dice.choice(_SURNAMES) + dice.choice((_GIVEN_F if sex == "F" else _GIVEN_M).split())
    born = date(1955, 1, 1) + timedelta(days=dice.randrange(48 * 365))
    phones = [str(FIRST_PHONE + n)]
    if dice.random() < 0.25:
        phones.append(f"010-6{dice.randrange(1_000_000, 9_999_999)}")
    return CustomerCreate(
        name=name,
        sex=sex,
        klass=dice.choices(("vip", "gold", "standard", "low"), (6, 14, 72, 8))[0],
        language="en" if dice.random() < 0.03 else "zh",
        do_not_call=dice.random() < 0.05,
        phones=phones,
        emails=[f"customer{n + 1}@example.com"],
        id_number=f"110101{born:%Y%m%d}{dice.randrange(1000):03d}X",
        birth_date=born.isoformat(),
    )


def _policy(dice: random.Random, customer: Customer, sales_agent_id: int, today: date) -> PolicyCreate:
    product, sum_insured, premium = dice.choice(_PRODUCTS)
    effective = today - timedelta(days=dice.randrange(60, 3600))
    state = dice.choice(_STATES)
    due: date | None = today + timedelta(days=dice.randrange(5, 360))
    if state == "grace":
        due = today - timedelta(days=dice.randrange(1, 50))
    elif state in ("matured", "lapsed"):
        due = None
    factor = dice.choice((1, 1, 2, 3))
    return PolicyCreate(
        customer_id=customer.id or 0,
        sales_agent_id=sales_agent_id,
        number=f"P{effective.year}{customer.id:05d}{dice.randrange(10_000):04d}",
        product=product,
        state=state,
        sum_insured_cents=sum_insured * factor,
        premium_cents=premium * factor,
        premium_mode=dice.choice(("yearly", "yearly", "monthly", "single")),
        effective_on=effective,
        due_on=due,
    )


def _sales_agents(session: Session, master: MasterKey, dice: random.Random) -> list[int]:
    service = SalesAgentService(session, master)
    made = []
    for n in range(40):
        given = dice.choice((_GIVEN_F + " " + _GIVEN_M).split())
        state = SUSPENDED if n % 13 == 5 else LEFT if n % 11 == 7 else ACTIVE
        made.append(
            service.create(
                SalesAgentCreate(
                    employee_number=str(10001 + n),
                    licence_number=f"0200{dice.randrange(10**10):010d}{n:03d}",
                    name=dice.choice(_SURNAMES) + given,
                    branch=dice.choice(_BRANCHES),
                    state=state,
                    may_sell="人寿保险、健康保险、意外伤害保险",
                )
            )
        )
    session.flush()
    return [sales_agent.id or 0 for sales_agent in made]
