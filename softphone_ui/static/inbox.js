import { Casework } from "./casework.js";
import { byId, call, duration, make, moment, say, settings, toast } from "./common.js";
import { answerOf, Enclosures, files, letterWord, mailHead, original } from "./letters.js";

const draftOf = (id) => `draft ${id}`;
const OUTBOX = "chat-outbox";
const draft = (id) => ({ text: "", cc: "", files: [], ...JSON.parse((id && localStorage.getItem(draftOf(id))) || "{}") });

/** Written conversations beside each other: what rings, what is open, and the one that is shown. Drafts, and what is not
 * safe yet, survive a reload of the page. */
export class Inbox {
  constructor(act, now) {
    this.act = act;
    this.now = now;
    this.chats = [];
    this.shown = "";
    this.threads = new Map(); // id -> messages
    this.marks = new Map(); // id -> what its messages were like when they were fetched
    this.frames = new Map(); // message -> its original
    this.fetching = new Set();
    this.typed = 0;
    this.opened = new Set(); // messages whose original is shown
    this.outbox = JSON.parse(localStorage.getItem(OUTBOX) ?? "[]"); // {chat, client, text, cc, files}
    this.enclosures = new Enclosures(byId("thread-file"), byId("thread-files"), () => this.#save());
    byId("thread-form").addEventListener("submit", (event) => { event.preventDefault(); this.#write(); });
    byId("thread-text").addEventListener("keydown", (event) => {
      const mail = this.current?.medium === "email";
      const sends = mail ? event.ctrlKey || event.metaKey : !event.shiftKey;
      if (event.key === "Enter" && sends && !event.isComposing) { event.preventDefault(); this.#write(); }
    });
    byId("thread-text").addEventListener("input", () => this.#typing());
    byId("thread-canned")?.addEventListener("change", (event) => this.#canned(event.target));
    byId("thread-end").addEventListener("click", () => this.act(byId("thread-end"), "POST", `/chats/${this.shown}/end`));
    byId("thread-cc").addEventListener("input", () => this.#save());
    byId("thread-begin").addEventListener("change", (event) => this.#begin(event.target));
    byId("thread-wrap").addEventListener("submit", (event) => { event.preventDefault(); this.#wrapUp(); });
    document.addEventListener("visibilitychange", () => this.#read());
    const lines = [];
    call("GET", "/chats/lines").then((found) => lines.push(...found)).catch((problem) => toast(say(problem.message), true));
    this.casework = new Casework((...words) => this.act(...words), lines);
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
    const kept = draft(id);
    byId("thread-text").value = kept.text;
    byId("thread-cc").value = kept.cc;
    this.enclosures.show(kept.files, id);
    this.answer = null;
    byId("thread-code").value = byId("thread-notes").value = "";
    byId("thread-log").replaceChildren();
    this.drawn = "";
    this.#list();
    this.#thread();
    this.#read();
  }

  #list() {
    byId("chats-empty").hidden = this.chats.length > 0;
    byId("chats").replaceChildren(...this.chats.map((chat) => {
      const ringing = chat.state === "ringing";
      const word = chat.paused ? "interrupted" : { ringing: "reserved", wrapping: "wrap_up", talking: chat.medium === "email" ? "in_mail" : "in_chat", parked: "put_aside" }[chat.state] ?? chat.state;
      const head = make("div", { class: "line" }, make("b", {}, chat.party || say("visitor")),
        chat.unread && !ringing ? make("span", { class: "badge alarm" }, `${chat.unread} ${say("unread")}`)
          : make("span", { class: `badge ${chat.paused ? "hold" : chat.state}` }, say(word)));
      const subject = chat.mail ? make("div", { class: "subject" }, `✉ ${chat.mail.subject || say("no_subject")}`) : "";
      const since = chat.waits_since_ms || (ringing ? chat.queued_at_ms : 0);
      const late = since && this.now() - since > chat.target_ms;
      const foot = make("div", { class: "line aside" }, make("span", {}, chat.queue),
        chat.until_ms ? make("span", {}, `${say("until")} `, moment(chat.until_ms)) : since ? make("span", { class: late ? "late" : "" }, `${say("waits")} `, make("span", { class: "clock", "data-since": since }, duration(this.now() - since))) : "");
      if (ringing) {
        const button = (word, kind) => {
          const id = `${word}-${chat.offer}`;
          return make("button", { class: `button ${kind}`, id, type: "button",
            onclick: () => this.act(byId(id), "POST", `/chats/offers/${chat.offer}/${word}`) }, say(word === "accept" ? "accept_chat" : "decline"));
        };
        return make("li", { class: "ringing" }, head, subject, foot, make("div", { class: "row" }, button("accept", "good"), button("decline", "")));
      }
      return make("li", { class: chat.id === this.shown ? "current" : "" },
        make("button", { class: "open-chat", type: "button", id: `chat-${chat.id}`, "aria-current": chat.id === this.shown ? "true" : "false",
          onclick: () => { this.#show(chat.id); byId("thread-text").focus(); } }, head, subject, foot));
    }));
  }

  #thread() {
    const chat = this.current;
    byId("thread").hidden = !chat;
    if (!chat) return;
    const over = chat.state === "wrapping", mail = chat.medium === "email", aside = chat.state === "parked";
    byId("thread-who").textContent = chat.party || say("visitor");
    byId("thread-queue").textContent = chat.queue;
    const state = byId("thread-state");
    state.className = `badge ${over ? "wrap_up" : chat.paused ? "hold" : chat.there ? "idle" : ""}`;
    state.textContent = over ? say("wrap_up") : aside ? say("put_aside") : chat.paused ? say("interrupted") : mail ? say("in_mail") : say(chat.there ? "visitor_here" : "visitor_away");
    if (byId("thread-canned")) byId("thread-canned").hidden = over || mail || aside;
    byId("thread-begin").hidden = !mail || over || aside || !this.answer?.answers.length;
    byId("thread-cc-line").hidden = !mail || over || aside;
    byId("thread-form").hidden = byId("thread-end").hidden = over || aside;
    byId("thread-end").textContent = say(mail ? "end_mail" : "end_chat");
    byId("thread-keys").textContent = mail ? "Ctrl ↵" : "↵";
    byId("thread-text").rows = mail ? 5 : 3;
    byId("thread-text").placeholder = byId("thread-label").textContent = say(mail ? "write_mail" : "write_here");
    byId("thread").classList.toggle("is-mail", mail);
    byId("mail-head").replaceChildren(...mailHead(chat, this.act));
    byId("mail-to").textContent = this.answer ? `${say("goes_to")} ${this.answer.to.join(", ") || "–"} · ${this.answer.subject}` : "";
    if (mail && !over && this.answer === null) this.#learn(chat);
    this.casework.update(chat, this.chats, this.now);
    byId("thread-wrap").hidden = !over;
    byId("thread-note").textContent = over ? say("chat_over") : chat.typing ? say("visitor_types") : "";
    clearTimeout(this.quiet);
    if (chat.typing) this.quiet = setTimeout(() => { byId("thread-note").textContent = ""; }, 5000);
    const messages = this.threads.get(chat.id) ?? [];
    const log = byId("thread-log");
    const waiting = this.outbox.filter((one) => one.chat === chat.id);
    const drawn = JSON.stringify([chat.id, chat.state, chat.read, chat.party, messages, waiting, [...this.opened]]);
    if (drawn === this.drawn) return; // a frame that is put in its place again would load again
    this.drawn = drawn;
    const low = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    log.replaceChildren(
      ...messages.map((one) => this.#bubble(one, letterWord(one.state) || (one.by === "agent" && one.n <= chat.read ? say("was_read") : ""))),
      ...waiting.map((one) => this.#bubble({ by: "agent", name: settings.name ?? "", text: one.text }, say("sending"))));
    if (low) log.scrollTop = log.scrollHeight;
  }

  #bubble(one, mark) {
    const who = { customer: this.current?.party || say("visitor"), flow: say("assistant"), agent: one.name }[one.by];
    const chosen = one.choices ?? [];
    const chat = this.current, bad = ["dead", "bounced"].includes(one.state) || one.kind === "bounce";
    const opened = this.opened.has(one.id);
    const tools = one.head && one.by === "customer" ? make("div", { class: "row aside" },
      one.head.html ? make("button", { class: "button small", type: "button", id: `original-${one.id}`, "aria-expanded": `${opened}`, onclick: () => this.#original(one) }, say(opened ? "hide_original" : "show_original"))
        : make("a", { class: "button small", href: `/api/chats/${chat.id}/messages/${one.id}/raw`, download: `${one.id}.eml` }, say("as_it_came")),
      one.n > 1 && chat.state === "talking" ? make("button", { class: "button small", type: "button", id: `split-${one.id}`, onclick: () => this.act(byId(`split-${one.id}`), "POST", `/chats/${chat.id}/split`, { n: one.n }) }, say("split_here")) : "") : "";
    return make("div", { class: `said ${one.by}${bad ? " bad" : ""}${one.head ? " mail" : ""}`, "data-message": one.id ?? "" },
      make("div", { class: "aside" }, who, " ", one.at_ms ? moment(one.at_ms) : "", mark ? make("span", { class: bad ? "late" : "" }, ` · ${mark}`) : "", one.kind ? make("span", { class: "late" }, ` · ${say(`mail_${one.kind}`)}`) : ""),
      one.text || chosen.length ? make("div", { class: "text" }, one.text, chosen.length ? make("div", { class: "aside" }, chosen.join(" / ")) : "") : "",
      chat ? files(chat, one) : "", opened ? this.frames?.get(one.id) ?? "" : "", tools);
  }

  async #fetch(chat) {
    let known = this.threads.get(chat.id) ?? [];
    const stale = this.marks.get(chat.id) !== `${chat.letters} ${chat.merged.length} ${chat.count < known.length}`;
    if ((chat.count === known.length && !stale) || this.fetching.has(chat.id)) return;
    this.fetching.add(chat.id);
    if (chat.medium === "email" && (stale || chat.count < known.length)) known = []; // letters change after they are written, and mails their place
    try {
      const fresh = await call("GET", `/chats/${chat.id}/messages?after=${known.length}`);
      this.threads.set(chat.id, [...known, ...fresh.filter((one) => one.n > known.length)]);
      this.marks.set(chat.id, `${chat.letters} ${chat.merged.length} false`);
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

  #original(one) {
    if (!this.opened.delete(one.id)) {
      this.opened.add(one.id);
      if (!this.frames.has(one.id)) this.frames.set(one.id, original(this.current, one));
    }
    this.#thread();
  }

  async #learn(chat) {
    this.answer = undefined; // asked for
    const found = await answerOf(chat.id);
    if (chat.id !== this.shown) return;
    this.answer = found ?? undefined;
    byId("thread-begin").replaceChildren(make("option", { value: "" }, say("begin_with")),
      ...(found?.answers ?? []).map((answer, n) => make("option", { value: n }, answer.title)));
    this.#thread();
  }

  #begin(choice) {
    if (choice.value) {
      byId("thread-text").setRangeText(this.answer.answers[Number(choice.value)].text, byId("thread-text").selectionStart, byId("thread-text").selectionEnd, "end");
      this.#save();
    }
    choice.value = "";
    byId("thread-text").focus();
  }

  #save() {
    if (!this.shown) return;
    const kept = { text: byId("thread-text").value, cc: byId("thread-cc").value, files: this.enclosures.files };
    if (kept.text || kept.cc || kept.files.length) localStorage.setItem(draftOf(this.shown), JSON.stringify(kept));
    else localStorage.removeItem(draftOf(this.shown));
  }

  #typing() {
    this.#save();
    if (this.current?.medium === "email") return;
    if (Date.now() - this.typed < 2000) return;
    this.typed = Date.now();
    call("POST", `/chats/${this.shown}/typing`).catch(() => { this.typed = 0; });
  }

  #write() {
    const text = byId("thread-text").value.trim();
    const enclosed = this.enclosures.files;
    if ((!text && !enclosed.length) || !this.shown) return;
    if (!text && this.current.medium === "email") { toast(say("empty"), true); return; }
    const cc = byId("thread-cc").value.split(/[,;，；\s]+/).filter(Boolean);
    this.outbox.push({ chat: this.shown, client: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, text, cc, files: enclosed.map(({ ref, name }) => ({ ref, name })) });
    this.#keep();
    byId("thread-text").value = byId("thread-cc").value = "";
    this.enclosures.show([], this.shown);
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
          await call("POST", `/chats/${one.chat}/messages`, { client: one.client, text: one.text, cc: one.cc ?? [], files: one.files ?? [] });
        } catch (problem) {
          if (["network", "not_safe", "failed"].includes(problem.message)) return;
          toast(`${say(problem.message)} “${one.text.slice(0, 40)}”`, true);
          this.#giveBack(one);
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

  /** What was refused stands in the field again, where nothing else was begun meanwhile. */
  #giveBack(one) {
    if (one.chat !== this.shown || byId("thread-text").value) return;
    byId("thread-text").value = one.text;
    byId("thread-cc").value = (one.cc ?? []).join(", ");
    this.#save();
  }

  async #wrapUp() {
    const code = byId("thread-code").value;
    if (!code) { toast(say("pick_code"), true); byId("thread-code").focus(); return; }
    const body = { code, note: byId("thread-notes").value };
    if (await this.act(byId("thread-wrap").querySelector("button"), "POST", `/interactions/${this.shown}/wrap-up`, body)) toast(say("saved"));
  }
}
