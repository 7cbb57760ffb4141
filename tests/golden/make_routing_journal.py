"""How `routing-v1.jsonl` was made: a seeded shift in an invented contact centre.

Kept as documentation. A journal that is stored is never made anew: when the engine changes its mind, the
change goes behind a policy flag and a new journal is stored beside the old one.

    python -m tests.golden.make_routing_journal > tests/golden/routing-v1.jsonl
"""

from __future__ import annotations

import json
import random
from dataclasses import replace

from routing import Activation, AgentPolicy, OfferContact, Policy, QueuePolicy, RoutingEngine
from routing import facts as f
from routing.policy import Skills, skills_of
from routing.state import CONNECTED
from tests.routing.replay import digest

ACTIVATIONS = 3_000
AGENTS = tuple(f"a{n:02}" for n in range(14))
QUEUES = (
    QueuePolicy("service", skills_of({}), 20_000, 0, 20_000),
    QueuePolicy("claims", skills_of({"claims": 3}), 30_000, 1, 15_000, max_waiting=6),
    QueuePolicy("claims_en", skills_of({"claims": 3, "en": 5}), 30_000, 1, 15_000),
    QueuePolicy("vip", skills_of({"service": 6}), 10_000, 3, 12_000, max_waiting=4),
)


class Shift:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.engine = RoutingEngine()
        self.now = 1_700_000_000_000
        self.contacts: list[str] = []
        self.offers: list[str] = ["o0-0"]
        self.arrived = 0

    def policy(self) -> Policy:
        """Everybody has skills of their own; now and then somebody is missing, or a queue is."""
        pick = self.random
        agents = [
            AgentPolicy(agent, self.skills(), pick.choice((0, 15_000, 30_000)))
            for agent in AGENTS
            if pick.random() < 0.93
        ]
        queues = [replace(queue, priority=pick.randint(0, 3)) for queue in QUEUES if pick.random() < 0.95]
        return Policy(
            {queue.name: queue for queue in queues},
            {agent.agent: agent for agent in agents},
            missed_action=pick.choice(("not_ready", "stay_ready")),
            decline_pause_ms=pick.choice((5_000, 10_000)),
            device_pause_ms=pick.choice((10_000, 30_000)),
        )

    def skills(self) -> Skills:
        names = [name for name in ("claims", "en", "service") if self.random.random() < 0.7]
        return skills_of({name: self.random.randint(1, 10) for name in names})

    def arrival(self) -> f.Fact:
        self.arrived += 1
        contact = f"c{self.arrived:05}"
        self.contacts.append(contact)
        queue = self.random.choice(("service", "service", "claims", "claims_en", "vip", "nowhere"))
        occurred_at_ms = self.now - self.random.choice((0, 0, 40, 900))
        if self.random.random() < 0.03:
            agent = self.random.choice(("", "", *AGENTS))
            return f.ContactAdopted(contact, queue, occurred_at_ms, self.now - 5_000, agent)
        return f.ContactArrived(contact, queue, occurred_at_ms, self.random.choice((0, 0, 0, 60_000)))

    def about_an_offer(self) -> f.Fact:
        open_offers = [offer.id for offer in self.engine.offer_views()]
        offer = self.random.choice(open_offers * 4 + self.offers[-2:])
        cause = self.random.choice(("busy", "not_found", "unreachable", "no_answer", "error"))
        failed = f.OfferFailed(offer, self.now, cause)
        refused = f.OfferDeclined(offer, self.now)
        return self.random.choices((f.OfferAnswered(offer, self.now), refused, failed), (10, 2, 1))[0]

    def about_a_contact(self) -> f.Fact:
        views = filter(None, map(self.engine.contact_view, self.contacts))
        talking = [view.id for view in views if view.state == CONNECTED]
        if talking and self.random.random() < 0.8:
            kind = self.random.choices((f.ContactEnded, f.ContactRequeued), (20, 1))[0]
            return kind(self.random.choice(talking), self.now)
        kind = self.random.choices((f.ContactAbandoned, f.ContactEnded, f.ContactRequeued), (10, 2, 1))[0]
        return kind(self.random.choice([*self.contacts, "c00000"]), self.now)

    def about_an_agent(self) -> f.Fact:
        agent = self.random.choice(AGENTS)
        return self.random.choices(
            (
                f.AgentReady(agent),
                f.WrapUpEnded(agent, self.now),
                f.AgentNotReady(agent, self.random.choice(("", "lunch", "training"))),
                f.AgentLoggedIn(agent),
                f.AgentLoggedOut(agent),
            ),
            (12, 4, 2, 2, 1),
        )[0]

    def about_a_queue(self) -> f.Fact:
        queue = self.random.choice(QUEUES).name
        return self.random.choices((f.QueueClosed(queue), f.QueueOpened(queue)), (1, 5))[0]

    def facts(self) -> list[f.Fact]:
        self.contacts = [contact for contact in self.contacts if self.engine.contact_view(contact)]
        sources = {
            self.arrival: 11 if self.engine.seq // 250 % 2 else 4,
            self.about_an_offer: 2 + 2 * len(self.engine.offer_views()),
            self.about_a_contact: 7,
            self.about_an_agent: 6,
            self.about_a_queue: 0.4,
        }
        count = self.random.choices((1, 2, 5), (20, 4, 1))[0]
        found = [source() for source in self.random.choices(list(sources), list(sources.values()), k=count)]
        if self.random.random() < 0.004:
            found.append(f.PolicyReplaced(self.policy()))
        return found

    def step(self) -> dict[str, object]:
        due = self.engine.next_deadline_ms
        self.now += self.random.choice((0, 50, 400, 1_500, 4_000))
        if due is not None and due <= self.now:
            self.now = max(due, self.now - self.random.choice((0, 5_000)))
            facts = self.facts() if self.random.random() < 0.1 else []
        else:
            facts = self.facts()
        if self.engine.seq == 0:
            facts = [f.PolicyReplaced(self.policy()), *map(f.AgentReady, AGENTS)]
        plain = [f.to_plain(fact) for fact in facts]
        done = self.engine.activate(Activation(self.engine.seq + 1, self.now, tuple(facts)))
        self.offers += [command.offer for command in done.commands if isinstance(command, OfferContact)]
        return {"seq": done.seq, "now_ms": self.now, "facts": plain, "digest": digest(done)}


if __name__ == "__main__":
    shift = Shift(20_260_801)
    for _ in range(ACTIVATIONS):
        print(json.dumps(shift.step(), separators=(",", ":")))
