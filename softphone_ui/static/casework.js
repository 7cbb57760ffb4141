import { byId, call, make, moment, say, toast } from "./common.js";

const HOUR = 3600000;

/** Notes, putting aside, handing on, joining: small forms that open under the head of a conversation. */
export class Casework {
  constructor(act, lines) {
    this.act = act;
    this.lines = lines;
    this.open = "";
    for (const name of ["note", "park", "hand", "merge", "before", "whose"])
      byId(`tool-${name}`).addEventListener("click", () => this.#toggle(name));
    byId("tool-unpark").addEventListener("click", () => this.act(byId("tool-unpark"), "POST", `/chats/${this.chat.id}/unpark`));
  }

  update(chat, chats, now) {
    if (this.chat?.id !== chat?.id) this.#close();
    this.chat = chat;
    this.chats = chats;
    this.now = now;
    if (!chat) return;
    const talking = chat.state === "talking", parked = chat.state === "parked";
    byId("thread-tools").hidden = !(talking || parked);
    byId("tool-park").hidden = !talking;
    byId("tool-unpark").hidden = !parked;
    byId("tool-before").hidden = !chat.goes_on;
    byId("tool-merge").hidden = !talking || chat.medium !== "email" || !this.#others().length;
    byId("notes").hidden = !chat.notes.length;
    byId("notes").replaceChildren(...chat.notes.map((note) => make("li", {}, make("span", { class: "aside" }, note.by, " ", moment(note.at_ms)), " ", note.text)));
  }

  #others() {
    return this.chats.filter((one) => one.id !== this.chat.id && one.medium === "email" && ["talking", "parked"].includes(one.state));
  }

  #toggle(name) {
    const opened = this.open === name;
    this.#close();
    if (opened) return;
    this.open = name;
    byId(`tool-${name}`).setAttribute("aria-expanded", "true");
    const form = this[`_${name}`]();
    byId("tool-form").replaceChildren(form);
    form.querySelector("input, select, textarea")?.focus();
  }

  #close() {
    if (this.open) byId(`tool-${this.open}`).setAttribute("aria-expanded", "false");
    this.open = "";
    byId("tool-form").replaceChildren();
  }

  #form(path, body, ...children) {
    const button = make("button", { class: "button primary", type: "submit", id: "tool-do" }, say("do_it"));
    return make("form", { class: "row tool", onsubmit: async (event) => {
      event.preventDefault();
      const words = body();
      if (words && await this.act(button, "POST", path(), words)) this.#close();
    } }, ...children, button);
  }

  #labelled(word, element) {
    element.setAttribute("aria-label", say(word));
    return element;
  }

  _note() {
    const text = this.#labelled("note", make("input", { class: "long", maxlength: 2000, placeholder: say("note_hint") }));
    return this.#form(() => `/chats/${this.chat.id}/notes`, () => (text.value.trim() ? { text: text.value } : null), text);
  }

  _park() {
    const morning = (days) => { const day = new Date(this.now()); day.setDate(day.getDate() + days); day.setHours(9, 0, 0, 0); return day.getTime(); };
    const local = (ms) => new Date(ms - new Date(ms).getTimezoneOffset() * 60000).toISOString().slice(0, 16);
    const time = this.#labelled("until", make("input", { type: "datetime-local", value: local(this.now() + HOUR), required: true }));
    const preset = (word, ms) => make("button", { class: "button small", type: "button", onclick: () => { time.value = local(ms); } }, say(word));
    const text = this.#labelled("note", make("input", { class: "long", maxlength: 2000, placeholder: say("note_hint") }));
    return this.#form(() => `/chats/${this.chat.id}/park`, () => ({ until_ms: new Date(time.value).getTime(), note: text.value }),
      preset("in_an_hour", this.now() + HOUR), preset("tomorrow_morning", morning(1)), preset("in_three_days", morning(3)), time, text);
  }

  _hand() {
    const to = this.#labelled("hand_on_to", make("select", { required: true }, make("option", { value: "" }, say("hand_on_to"))));
    to.append(make("optgroup", { label: say("queues") }, ...this.lines.filter((line) => line.medium === this.chat.medium).map((line) => make("option", { value: `q ${line.name}` }, line.title))));
    call("GET", "/chats/colleagues").then((people) => to.append(make("optgroup", { label: say("colleagues") },
      ...people.map((person) => make("option", { value: `a ${person.login}` }, `${person.name} · ${say(person.state)}`))))).catch((problem) => toast(say(problem.message), true));
    const text = this.#labelled("note", make("input", { class: "long", maxlength: 2000, placeholder: say("note_hint") }));
    return this.#form(() => `/chats/${this.chat.id}/hand-on`, () => {
      const [kind, name] = [to.value.slice(0, 1), to.value.slice(2)];
      return to.value ? { agent: kind === "a" ? name : "", queue: kind === "q" ? name : "", note: text.value } : null;
    }, to, text);
  }

  /** Whose it is: found by name or number, linked by decision, or proved by a code to a known address. */
  _whose() {
    const text = this.#labelled("find_customer", make("input", { class: "long", maxlength: 80, placeholder: say("find_customer_hint"), required: true }));
    const list = make("ul", { class: "earlier", hidden: true });
    const send = (path, method, customer, id) => this.act(byId(id), method, `/chats/${this.chat.id}/${path}`, { customer });
    const form = make("form", { class: "tool", onsubmit: async (event) => {
      event.preventDefault();
      try {
        const found = await call("GET", `/customers?text=${encodeURIComponent(text.value)}`);
        list.hidden = false;
        list.replaceChildren(...(found.length ? found.map((one) => make("li", { class: "row" }, make("span", {}, `${one.name} · ${one.phones?.[0] ?? ""}`),
          make("button", { class: "button small", type: "button", id: `link-${one.id}`, onclick: async () => { if (await send("customer", "PUT", one.id, `link-${one.id}`)) this.#close(); } }, say("link")),
          make("button", { class: "button small", type: "button", id: `code-${one.id}`, onclick: async () => { if (await send("code", "POST", one.id, `code-${one.id}`)) toast(say("code_sent")); } }, say("send_code"))))
          : [make("li", { class: "aside" }, say("nothing_found"))]));
      } catch (problem) { toast(say(problem.message), true); }
    } }, make("div", { class: "row" }, text, make("button", { class: "button primary", type: "submit" }, say("find")),
      this.chat.customer?.name ? make("button", { class: "button small", type: "button", id: "unlink", onclick: async () => { if (await send("customer", "PUT", 0, "unlink")) this.#close(); } }, say("unlink")) : ""), list);
    return form;
  }

  /** What was written with the same customer before, of every medium. */
  _before() {
    const list = make("ul", { class: "earlier", tabindex: "0", "aria-label": say("before") });
    call("GET", `/search/before/${this.chat.id}`).then((rows) => list.replaceChildren(...(rows.length ? rows.map((row) => make("li", {},
      make("span", { class: "aside" }, moment(row.at_ms), ` ${say(`medium_${row.medium}`)} · ${row.by === "agent" ? row.name : say(row.by === "customer" ? "customer" : "assistant")} `), row.text))
      : [make("li", { class: "aside" }, say("nothing_found"))]))).catch((problem) => toast(say(problem.message), true));
    return list;
  }

  _merge() {
    const which = this.#labelled("merge", make("select", { required: true }, ...this.#others().map((one) => make("option", { value: one.id }, `${one.mail?.subject || say("no_subject")} · ${one.party}`))));
    return this.#form(() => `/chats/${which.value}/merge`, () => ({ into: this.chat.id }), make("span", { class: "aside" }, say("merge_hint")), which);
  }
}
