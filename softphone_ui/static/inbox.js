import { byId, call, duration, make, moment, say, settings, toast } from "./common.js";

const draftOf = (id) => `draft ${id}`;
const OUTBOX = "chat-outbox";

/** Written conversations beside each other: what rings, what is open, and the one that is shown. Drafts, and what is not
 * safe yet, survive a reload of the page. */
export class Inbox {
  constructor(act, now) {
    this.act = act;
    this.now = now;
    this.chats = [];
    this.shown = "";
    this.threads = new Map(); // id -> messages
    this.fetching = new Set();
    this.typed = 0;
    this.outbox = JSON.parse(localStorage.getItem(OUTBOX) ?? "[]"); // {chat, client, text}
    byId("thread-form").addEventListener("submit", (event) => { event.preventDefault(); this.#write(); });
    byId("thread-text").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); this.#write(); }
    });
    byId("thread-text").addEventListener("input", () => this.#typing());
    byId("thread-canned")?.addEventListener("change", (event) => this.#canned(event.target));
    byId("thread-end").addEventListener("click", () => this.act(byId("thread-end"), "POST", `/chats/${this.shown}/end`));
    byId("thread-to").addEventListener("change", (event) => this.#transfer(event.target));
    byId("thread-wrap").addEventListener("submit", (event) => { event.preventDefault(); this.#wrapUp(); });
    document.addEventListener("visibilitychange", () => this.#read());
    call("GET", "/chats/lines").then((lines) => byId("thread-to").append(
      ...lines.map((line) => make("option", { value: line.name }, line.title)))).catch((problem) => toast(say(problem.message), true));
    setInterval(() => this.#flush(), 3000);
  }

  /** The conversation that is shown, if any. */
  get current() { return this.chats.find((chat) => chat.id === this.shown) ?? null; }

  update(chats) {
    this.chats = chats;
    for (const id of this.threads.keys()) if (!chats.some((chat) => chat.id === id)) this.#forget(id);
    if (!this.current || this.current.state === "ringing") {
      const next = chats.find((chat) => chat.state === "talking") ?? chats.find((chat) => chat.state === "wrapping");
      this.#show(next?.id ?? "");
    }
    this.#list();
    this.#thread();
    for (const chat of chats) if (chat.state !== "ringing") this.#fetch(chat);
    this.#flush();
  }

  #forget(id) {
    this.threads.delete(id);
    localStorage.removeItem(draftOf(id));
    this.outbox = this.outbox.filter((one) => one.chat !== id);
    this.#keep();
  }

  #keep() { localStorage.setItem(OUTBOX, JSON.stringify(this.outbox)); }

  #show(id) {
    if (id === this.shown) return;
    this.shown = id;
    byId("thread-text").value = id ? localStorage.getItem(draftOf(id)) ?? "" : "";
    byId("thread-code").value = byId("thread-notes").value = "";
    byId("thread-log").replaceChildren();
    this.#list();
    this.#thread();
    this.#read();
  }

  #list() {
    byId("chats-empty").hidden = this.chats.length > 0;
    byId("chats").replaceChildren(...this.chats.map((chat) => {
      const ringing = chat.state === "ringing";
      const head = make("div", { class: "line" }, make("b", {}, chat.party || say("visitor")),
        chat.unread && !ringing ? make("span", { class: "badge alarm" }, `${chat.unread} ${say("unread")}`)
          : make("span", { class: `badge ${chat.state}` }, say({ ringing: "reserved", wrapping: "wrap_up", talking: "in_chat" }[chat.state] ?? chat.state)));
      const since = chat.waits_since_ms || (ringing ? chat.queued_at_ms : 0);
      const late = since && this.now() - since > chat.target_ms;
      const foot = make("div", { class: "line aside" }, make("span", {}, chat.queue),
        since ? make("span", { class: late ? "late" : "" }, `${say("waits")} `, make("span", { class: "clock", "data-since": since }, duration(this.now() - since))) : "");
      if (ringing) {
        const button = (word, kind) => {
          const id = `${word}-${chat.offer}`;
          return make("button", { class: `button ${kind}`, id, type: "button",
            onclick: () => this.act(byId(id), "POST", `/chats/offers/${chat.offer}/${word}`) }, say(word === "accept" ? "accept_chat" : "decline"));
        };
        return make("li", { class: "ringing" }, head, foot, make("div", { class: "row" }, button("accept", "good"), button("decline", "")));
      }
      return make("li", { class: chat.id === this.shown ? "current" : "" },
        make("button", { class: "open-chat", type: "button", id: `chat-${chat.id}`, "aria-current": chat.id === this.shown ? "true" : "false",
          onclick: () => { this.#show(chat.id); byId("thread-text").focus(); } }, head, foot));
    }));
  }

  #thread() {
    const chat = this.current;
    byId("thread").hidden = !chat;
    if (!chat) return;
    const over = chat.state === "wrapping";
    byId("thread-who").textContent = chat.party || say("visitor");
    byId("thread-queue").textContent = chat.queue;
    const state = byId("thread-state");
    state.className = `badge ${over ? "wrap_up" : chat.there ? "idle" : ""}`;
    state.textContent = over ? say("wrap_up") : say(chat.there ? "visitor_here" : "visitor_away");
    if (byId("thread-canned")) byId("thread-canned").hidden = over;
    byId("thread-form").hidden = byId("thread-end").hidden = byId("thread-to").hidden = over;
    byId("thread-wrap").hidden = !over;
    byId("thread-note").textContent = over ? say("chat_over") : chat.typing ? say("visitor_types") : "";
    clearTimeout(this.quiet);
    if (chat.typing) this.quiet = setTimeout(() => { byId("thread-note").textContent = ""; }, 5000);
    const messages = this.threads.get(chat.id) ?? [];
    const log = byId("thread-log");
    const low = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    log.replaceChildren(
      ...messages.map((one) => this.#bubble(one, one.by === "agent" && one.n <= chat.read ? say("was_read") : "")),
      ...this.outbox.filter((one) => one.chat === chat.id).map((one) => this.#bubble({ by: "agent", name: settings.name ?? "", text: one.text }, say("sending"))));
    if (low) log.scrollTop = log.scrollHeight;
  }

  #bubble(one, mark) {
    const who = { customer: this.current?.party || say("visitor"), flow: say("assistant"), agent: one.name }[one.by];
    const chosen = one.choices ?? [];
    return make("div", { class: `said ${one.by}` },
      make("div", { class: "aside" }, who, " ", one.at_ms ? moment(one.at_ms) : "", mark ? ` · ${mark}` : ""),
      make("div", { class: "text" }, one.text, chosen.length ? make("div", { class: "aside" }, chosen.join(" / ")) : ""));
  }

  async #fetch(chat) {
    const known = this.threads.get(chat.id) ?? [];
    if (chat.count <= known.length || this.fetching.has(chat.id)) return;
    this.fetching.add(chat.id);
    try {
      const fresh = await call("GET", `/chats/${chat.id}/messages?after=${known.length}`);
      this.threads.set(chat.id, [...known, ...fresh.filter((one) => one.n > known.length)]);
    } catch (problem) {
      if (problem.message !== "not_yours") toast(say(problem.message), true);
    } finally { this.fetching.delete(chat.id); }
    if (chat.id === this.shown) { this.#thread(); this.#read(); }
  }

  #read() {
    const chat = this.current;
    const last = this.threads.get(this.shown)?.length ?? 0;
    if (!chat?.unread || chat.state !== "talking" || document.visibilityState !== "visible" || !last || this.told === `${chat.id} ${last}`) return;
    this.told = `${chat.id} ${last}`;
    call("PUT", `/chats/${chat.id}/read`, { n: last }).catch(() => { this.told = ""; });
  }

  #typing() {
    localStorage.setItem(draftOf(this.shown), byId("thread-text").value);
    if (Date.now() - this.typed < 2000) return;
    this.typed = Date.now();
    call("POST", `/chats/${this.shown}/typing`).catch(() => { this.typed = 0; });
  }

  #write() {
    const text = byId("thread-text").value.trim();
    if (!text || !this.shown) return;
    this.outbox.push({ chat: this.shown, client: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, text });
    this.#keep();
    byId("thread-text").value = "";
    localStorage.removeItem(draftOf(this.shown));
    this.#thread();
    this.#flush();
  }

  /** One after the other, so that they arrive in order; what fails for the network's sake is sent again. */
  async #flush() {
    if (this.flushing) return;
    this.flushing = true;
    try {
      while (this.outbox.length) {
        const one = this.outbox[0];
        try {
          await call("POST", `/chats/${one.chat}/messages`, { client: one.client, text: one.text });
        } catch (problem) {
          if (["network", "not_safe", "failed"].includes(problem.message)) return;
          toast(`${say(problem.message)} “${one.text.slice(0, 40)}”`, true);
        }
        this.outbox.shift();
        this.#keep();
      }
    } finally {
      this.flushing = false;
      this.#thread();
    }
  }

  /** A canned answer in the language of the conversation, put where the cursor stands. */
  #canned(choice) {
    const answer = settings.answers[Number(choice.value)];
    const field = byId("thread-text");
    if (choice.value && this.current) {
      const names = { customer: this.current.party, agent: settings.name };
      const text = (this.current.language === "en" ? answer.en : answer.zh).replace(/\{(\w+)\}/g, (_, name) => names[name] ?? "");
      field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
      this.#typing();
    }
    choice.value = "";
    field.focus();
  }

  async #transfer(choice) {
    if (choice.value) await this.act(choice, "POST", `/chats/${this.shown}/transfer`, { queue: choice.value });
    choice.value = "";
  }

  async #wrapUp() {
    const code = byId("thread-code").value;
    if (!code) { toast(say("pick_code"), true); byId("thread-code").focus(); return; }
    const body = { code, note: byId("thread-notes").value };
    if (await this.act(byId("thread-wrap").querySelector("button"), "POST", `/interactions/${this.shown}/wrap-up`, body)) toast(say("saved"));
  }
}
