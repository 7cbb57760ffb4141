import { byId, call, duration, make, moment, money, reasonWord, say, settings, toast } from "./common.js";
import { CallControls, parkedRows } from "./call.js";
import { Inbox } from "./inbox.js";
import { Link } from "./link.js";
import { messageRows } from "./messages.js";
import { renderOverview } from "./overview.js";
import { BrowserPhone } from "./phone.js";
import { Seat } from "./seat.js";

const isAgent = settings.role === "agent";
let state = { agent: null, queues: [], agents: [], calls: [], parked: [], contacts: [], alarms: [], messages: [], chats: [], announcement: {} };
let skew = 0;
let wrapping = ""; // the interaction that the wrap-up form is about
let offered = ""; // the offer that is shown
let talkedBefore = "";
let found = null; // while nobody is in hand: customers that were looked for, or one of them
const now = () => Date.now() + skew;

new Link(
  (kind, body) => {
    if (kind === "state") {
      skew = body.now_ms - Date.now();
      state = body;
      if (body.version !== settings.version) { outdated(body); }
    } else {
      Object.assign(state, body);
    }
    render();
  },
  (online) => { byId("offline").hidden = online; },
);

/** This page is from before an upgrade: with nothing in hand it is loaded anew, else it says so and waits. */
function outdated(body) {
  byId("outdated").hidden = false;
  const writing = document.activeElement?.value && ["INPUT", "TEXTAREA"].includes(document.activeElement.tagName);
  const once = sessionStorage.getItem("reloaded") === body.version; // a cache in between must not make it a circle
  if (body.contacts.length || body.chats.length || writing || once) return;
  sessionStorage.setItem("reloaded", body.version);
  location.reload();
}

/** Do something at the server; the button shows that it is under way, a toast says why it failed. */
async function act(button, method, path, body) {
  button?.setAttribute("aria-busy", "true");
  try {
    await call(method, path, body);
    return true;
  } catch (problem) {
    toast(say(problem.message), true);
    if (problem.message === "not_logged_in" || problem.message === "csrf") location.assign("/login");
    return false;
  } finally {
    button?.removeAttribute("aria-busy");
  }
}

const phone = settings.device === "browser" ? new BrowserPhone() : null;
const controls = isAgent ? new CallControls(act) : null;
const inbox = isAgent && settings.chat ? new Inbox(act, now) : null;

function render() {
  const focused = document.activeElement?.id; // what is drawn anew gets the focus back
  draw();
  if (focused && document.activeElement === document.body) byId(focused)?.focus();
}

function draw() {
  phone?.state(state.contacts);
  renderState();
  renderQueues();
  if (!isAgent) { renderOverview(state, act, now); tick(); return; }
  const order = ["talking", "calling", "consulting", "wrapping"];
  const current = state.contacts.filter((c) => c.state !== "ringing").sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state))[0] ?? null;
  renderContacts(current);
  byId("parked").replaceChildren(...parkedRows(state.parked, current, act, now));
  byId("parked-empty").hidden = state.parked.length > 0;
  byId("messages").replaceChildren(...messageRows(state.messages, act, mayCall()));
  byId("messages-empty").hidden = state.messages.length > 0;
  renderCall(current);
  inbox?.update(state.chats);
  if (!current && inbox?.current) byId("call").replaceChildren();
  const shown = current ?? state.contacts[0] ?? inbox?.current;
  byId("find").hidden = Boolean(shown);
  if (shown) { found = null; renderCustomer(shown.customer, true); } else renderFound();
  renderOffer(state.contacts.find((c) => c.state === "ringing") ?? null);
  renderWrapUp(current);
  tick();
}

function renderState() {
  const agent = state.agent;
  const badge = byId("state-badge");
  badge.className = `badge ${agent?.state ?? ""}`;
  const writes = agent?.state === "talking" && !state.contacts.some((contact) => contact.state === "talking");
  byId("state-word").textContent = agent ? say(writes && state.chats.length ? "in_chat" : agent.state) : say(settings.role === "agent" ? "loading" : "overview");
  const reason = agent?.reason ? reasonWord(agent.reason) : "";
  byId("state-reason").textContent = agent?.next === "not_ready" ? say("then_not_ready") : reason;
  if (isAgent) byId("dial").disabled = !mayCall();
  if (isAgent) byId("ready").disabled = agent?.state === "idle" || agent?.state === "talking";
}

function renderQueues() {
  byId("queues").replaceChildren(
    ...state.queues.filter((queue) => queue.medium === "voice" || queue.waiting).map((queue) =>
      make("span", { class: queue.waiting ? "busy" : "" }, `${queue.title}: `,
        queue.waiting
          ? make("b", {}, `${queue.waiting} ${say("waiting")}, ${say("longest")} ${duration(queue.longest_ms)}`)
          : make("span", { class: "aside" }, say("nobody_waits")))),
  );
}

const party = (contact) => contact.colleague || contact.customer?.name || contact.caller || say("withheld");

function renderContacts(current) {
  byId("contacts").replaceChildren(
    ...state.contacts.map((contact) =>
      make("li", { class: contact === current ? "current" : "" },
        make("div", { class: "line" }, make("b", {}, party(contact)),
          make("span", { class: `badge ${contact.state}` }, say(stateWord(contact.state)))),
        make("div", { class: "aside" }, contact.queue))),
  );
  byId("contacts-empty").hidden = state.contacts.length > 0;
}

const stateWord = (contactState) => ({ ringing: "reserved", wrapping: "wrap_up" })[contactState] ?? contactState;

function facts(contact) {
  const rows = [
    ["caller", contact.caller || say("withheld")],
    ["number", contact.number],
    ["queue", contact.queue],
    ["keyed", contact.keyed.map((step) => step[settings.language]).join(" → ") || "–"],
  ];
  return make("dl", { class: "facts" },
    ...rows.flatMap(([term, text]) => [make("dt", {}, say(term)), make("dd", {}, text)]));
}

function renderCall(contact) {
  const bar = byId("bar-call");
  if (!contact || contact.state !== "talking") bar.replaceChildren();
  else {
    bar.replaceChildren(make("span", {}, say("talking")), make("span", { class: "clock", "data-since": contact.answered_at_ms }),
      contact.recording ? make("span", { class: contact.recording_paused ? "aside" : "rec" }, "● ", say(contact.recording_paused ? "recording_paused" : "recording")) : "");
  }
  if (!contact) {
    byId("call").replaceChildren(make("p", { class: "empty" }, say("no_call")));
    if (talkedBefore) loadLast();
    talkedBefore = "";
    return;
  }
  if (contact.state === "talking") talkedBefore = contact.id;
  const talking = contact.state === "talking";
  byId("call").replaceChildren(
    make("div", { class: "card" },
      make("div", { class: "call-head" },
        make("div", {}, make("div", { class: "call-who" }, party(contact)),
          make("span", { class: `badge ${contact.held ? "held" : contact.state}` }, make("span", { class: "dot" }), say(contact.held ? "held" : stateWord(contact.state))),
          contact.verified ? make("span", { class: "badge idle" }, "✓ ", say(`verified_${contact.verified}`)) : "",
          contact.muted ? make("span", { class: "badge muted" }, say("muted")) : ""),
        talking ? make("div", { class: "call-clock clock", "data-since": contact.answered_at_ms }) : ""),
      facts(contact),
      controls.render(contact),
      talking || contact.state === "calling"
        ? make("button", { class: "button danger", id: "hang-up", type: "button", "aria-keyshortcuts": "h", onclick: hangUp },
            say("hang_up"), make("kbd", {}, "H"))
        : ""),
  );
}

function renderCustomer(card, hasContact) {
  const box = byId("customer");
  if (!card || card.loading || !card.name) {
    box.replaceChildren(make("p", { class: "empty" }, card?.loading ? say("loading") : hasContact ? say("no_customer") : "–"));
    return;
  }
  box.replaceChildren(
    make("div", { class: "who" }, card.name),
    make("div", { class: "tags" }, make("span", { class: `badge ${card.klass}` }, say(card.klass)),
      card.do_not_call ? make("span", { class: "badge alarm" }, say("do_not_call")) : ""),
    make("ul", { class: "phones" }, ...card.phones.map((phone, n) => make("li", { class: "line" }, make("span", {}, phone),
      make("button", { class: "button quiet", type: "button", id: `call-${card.id}-${n}`, disabled: card.do_not_call || !mayCall(),
        onclick: () => act(byId(`call-${card.id}-${n}`), "POST", "/calls", { customer: card.id, phone: n }) }, say("call_out"))))),
    make("h2", {}, say("policies")),
    ...(card.policies.length ? card.policies.map(policy) : [make("p", { class: "empty" }, say("no_policies"))]),
    make("h2", {}, say("last_contacts")),
    ...(card.contacts.length ? [make("ul", { class: "contacts" }, ...card.contacts.map(pastContact))]
      : [make("p", { class: "empty" }, say("no_past"))]),
  );
}

const mayCall = () => ["idle", "not_ready"].includes(state.agent?.state);

/** Nobody is in hand: what was looked for. */
function renderFound() {
  if (found && !Array.isArray(found)) { renderCustomer(found, true); return; }
  byId("customer").replaceChildren(
    found == null ? "" : found.length
      ? make("ul", { class: "contacts" }, ...found.map((one) => make("li", {},
          make("button", { class: "button quiet", type: "button", id: `found-${one.id}`, onclick: () => showCustomer(one.id) }, one.name), " ",
          make("span", { class: `badge ${one.klass}` }, say(one.klass)))))
      : make("p", { class: "empty" }, say("none_found")));
}

async function look(path) {
  try { found = await call("GET", path); } catch (problem) { toast(say(problem.message), true); return; }
  renderFound();
}
const showCustomer = (id) => look(`/customers/${id}`);

function policy(row) {
  return make("div", { class: "policy" },
    make("div", { class: "line" }, make("b", {}, row.product), make("span", { class: row.state }, say(row.state))),
    make("div", { class: "aside" }, row.number),
    make("div", { class: "line aside" },
      make("span", {}, `${say("premium")} ${money(row.premium_cents, row.currency)} ${say(row.premium_mode)}`),
      row.due_on ? make("span", {}, `${say("due")} ${row.due_on}`) : ""));
}

const codeTitle = (code) => settings.codes.find((c) => c.code === code)?.[`title_${settings.language}`] ?? "";

function pastContact(row) {
  return make("li", {},
    make("div", { class: "line" }, make("b", {}, row.caller || codeTitle(row.wrap_up_code) || say(row.outcome || "ongoing")), moment(row.arrived_at_ms)),
    make("div", { class: "aside" }, [say(row.outcome || "ongoing"), codeTitle(row.wrap_up_code), row.note].filter(Boolean).join(" · ")));
}

function renderOffer(contact) {
  const box = byId("offer");
  box.hidden = !contact;
  if (!contact) { offered = ""; document.title = document.title.replace(/^● /, ""); return; }
  const atPanel = contact.answer_at === "panel";
  box.replaceChildren(
    make("div", { class: "left", id: "offer-left" }),
    make("div", { class: "line" }, make("h2", { id: "offer-title" }, say("offer"))),
    make("div", { class: "who" }, party(contact)),
    contact.customer?.klass ? make("span", { class: `badge ${contact.customer.klass}` }, say(contact.customer.klass)) : "",
    make("dl", { class: "facts" },
      make("dt", {}, say("caller")), make("dd", {}, contact.caller || say("withheld")),
      make("dt", {}, say("queue")), make("dd", {}, contact.queue),
      make("dt", {}, say("keyed")), make("dd", {}, contact.keyed.map((step) => step[settings.language]).join(" → ") || "–"),
      make("dt", {}, say("waited")), make("dd", { class: "clock", "data-since": contact.queued_at_ms })),
    contact.dialling && !atPanel ? make("p", { class: "aside" }, say("on_phone")) : "",
    contact.dialling && atPanel ? make("p", { class: "aside" }, say("dialling")) : "",
    make("div", { class: "actions" },
      atPanel && !contact.dialling
        ? make("button", { class: "button good", id: "answer", type: "button", "aria-keyshortcuts": "a", onclick: answer },
            say("answer"), make("kbd", {}, "A"))
        : "",
      make("button", { class: "button", id: "decline", type: "button", "aria-keyshortcuts": "d", onclick: decline },
        say("decline"), make("kbd", {}, "D"))),
  );
  if (offered !== contact.offer) {
    offered = contact.offer;
    document.title = `● ${document.title.replace(/^● /, "")}`;
    const first = byId("answer") ?? byId("decline");
    if (!["INPUT", "TEXTAREA", "SELECT"].includes(document.activeElement?.tagName)) first.focus();
    notify(contact);
  }
}

function notify(contact) {
  if ("Notification" in window && Notification.permission === "granted") {
    new Notification(`${say("offer")} · ${contact.queue}`, { body: party(contact), tag: contact.offer });
  }
}

function renderWrapUp(contact) {
  const form = byId("wrap-up");
  form.hidden = !contact || contact.state === "consulting";
  if (form.hidden) {
    if (wrapping) byId("conversation").focus();
    wrapping = "";
    return;
  }
  if (wrapping !== contact.id) {
    wrapping = contact.id;
    form.reset();
    byId("wrap-error").hidden = true;
  }
  byId("wrap-hint").hidden = contact.state !== "talking";
  if (contact.state === "wrapping" && form.dataset.focused !== contact.id) {
    form.dataset.focused = contact.id;
    byId("code").focus();
  }
}

function tick() {
  if (state.agent?.since_ms) byId("state-clock").textContent = duration(now() - state.agent.since_ms);
  for (const clock of document.querySelectorAll("[data-since]")) {
    clock.textContent = duration(now() - Number(clock.dataset.since));
  }
  const ringing = state.contacts.find((c) => c.state === "ringing");
  const left = byId("offer-left");
  if (ringing && left) left.style.transform = `scaleX(${Math.max(0, Math.min(1, (ringing.expires_at_ms - now()) / 20000))})`;
  const wrapClock = byId("wrap-clock");
  if (wrapClock) {
    const until = state.agent?.state === "wrap_up" ? state.agent.until_ms : 0;
    wrapClock.textContent = until ? `${say("time_left")} ${duration(until - now())}` : "";
  }
}
setInterval(tick, 500);

async function loadLast() {
  try {
    const rows = await call("GET", "/contacts");
    byId("last").replaceChildren(...rows.map(pastContact));
    byId("last-empty").hidden = rows.length > 0;
  } catch (problem) {
    toast(say(problem.message), true);
  }
}

const answer = () => offered && act(byId("answer"), "POST", `/offers/${offered}/answer`);
const decline = () => offered && act(byId("decline"), "POST", `/offers/${offered}/decline`);
const hangUp = () => wrapping && act(byId("hang-up"), "POST", `/interactions/${wrapping}/hang-up`);
const ready = () => act(byId("ready"), "POST", "/agent/ready");
const notReady = () => act(byId("not-ready"), "POST", "/agent/not-ready", { reason: byId("reason").value });

async function saveWrapUp() {
  const error = byId("wrap-error");
  const code = byId("code").value;
  error.hidden = Boolean(code);
  if (!code) {
    error.textContent = say("pick_code");
    byId("code").focus();
    return;
  }
  const button = byId("wrap-up").querySelector("button");
  if (await act(button, "POST", `/interactions/${wrapping}/wrap-up`, { code, note: byId("note").value })) {
    toast(say("saved"));
    loadLast();
  }
}

const shortcuts = {
  r: ready, n: notReady, a: answer, d: decline, h: () => byId("hang-up") && hangUp(),
  o: () => byId("hold") && controls.hold(), m: () => byId("mute") && controls.mute(),
  u: () => byId("pause-recording") && controls.pauseRecording(),
  k: () => byId("keypad") && controls.toggleKeypad(), t: () => byId("hand-on") && controls.open(), p: () => byId("park") && controls.park(),
  c: () => controls.open(true), w: () => byId("code").focus(), "?": () => byId("shortcuts").showModal(),
};

if (isAgent) {
  byId("ready").addEventListener("click", () => {
    if ("Notification" in window && Notification.permission === "default") Notification.requestPermission();
    ready();
  });
  byId("not-ready").addEventListener("click", notReady);
  byId("dial").addEventListener("click", () => controls.open(true));
  byId("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = byId("find-text").value.trim();
    if (text) look(`/customers?${new URLSearchParams({ text })}`);
  });
  byId("wrap-up").addEventListener("submit", (event) => { event.preventDefault(); saveWrapUp(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.ctrlKey && wrapping) { event.preventDefault(); saveWrapUp(); return; }
    const typing = ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName);
    if (typing || event.ctrlKey || event.metaKey || event.altKey || byId("shortcuts").open || byId("whom").open) return;
    if (controls.keypad && byId("keypad") && /^[0-9*#]$/.test(event.key)) { event.preventDefault(); byId(`key-${event.key}`)?.click(); return; }
    const action = shortcuts[event.key.toLowerCase()];
    if (action) { event.preventDefault(); action(); }
  });
  loadLast();
}
if (byId("seat")) new Seat(byId("seat"), act);
byId("help").addEventListener("click", () => byId("shortcuts").showModal());
byId("sign-out").addEventListener("click", async () => {
  if (await act(byId("sign-out"), "DELETE", "/session")) location.assign("/login");
});
