import { byId, call as ask, duration, make, say, toast } from "./common.js";

/** Controls of a call in hand: buttons, guests, keypad, and the dialog of whom to consult or transfer to. */
export class CallControls {
  constructor(act) {
    this.act = act;
    this.contact = null;
    this.keypad = false;
    this.calling = false; // the dialog is for a new call, not for one in hand
    byId("whom-form").addEventListener("submit", (event) => { event.preventDefault(); this.#number(this.calling ? "call" : "consult"); });
    byId("whom-transfer").addEventListener("click", () => this.#number("transfer"));
    byId("whom-close").addEventListener("click", () => byId("whom").close());
  }

  /** The controls for this contact, as it is now. */
  render(contact) {
    this.contact = contact;
    if (contact.state === "consulting") return make("p", { class: "aside" }, say("you_ask"));
    if (contact.state !== "talking") { this.keypad = false; return ""; }
    return make("div", {},
      make("div", { class: "row controls" },
        this.#button("hold", contact.held ? "unhold" : "hold", "o", () => this.hold(), contact.held),
        this.#button("mute", contact.muted ? "unmute" : "mute", "m", () => this.mute(), contact.muted),
        this.#button("keypad", "keypad", "k", () => this.toggleKeypad(), this.keypad),
        this.#button("hand-on", "hand_on", "t", () => this.open()),
        this.#button("park", "park", "p", () => this.park()),
        contact.recording
          ? this.#button("pause-recording", contact.recording_paused ? "resume_recording" : "pause_recording", "u", () => this.pauseRecording(), contact.recording_paused)
          : ""),
      this.#keyEntry(contact),
      contact.guests.length ? this.#guests(contact) : "",
      this.keypad ? this.#keys() : "");
  }

  hold() { return this.#post("hold", "hold", { on: !this.contact.held }); }
  mute() { return this.#post("mute", "mute", { on: !this.contact.muted }); }
  pauseRecording() { return this.#post("pause-recording", "recording", { on: this.contact.recording_paused }); }
  park() { return this.#post("park", "park"); }

  toggleKeypad() {
    this.keypad = !this.keypad;
    byId("keypad").setAttribute("aria-pressed", String(this.keypad));
    byId("keypad").closest(".controls").parentElement.replaceWith(this.render(this.contact));
    (this.keypad ? document.querySelector(".keypad button") : byId("keypad")).focus();
  }

  /** For a call in hand, or, with `calling`, to begin one. */
  async open(calling = false) {
    const dialog = byId("whom");
    this.calling = calling;
    byId("whom-title").textContent = say(calling ? "call_whom" : "to_whom");
    byId("whom-consult").textContent = say(calling ? "call_out" : "consult");
    byId("whom-transfer").hidden = byId("whom-queues-part").hidden = calling;
    byId("whom-error").hidden = true;
    byId("whom-agents").replaceChildren(make("p", { class: "empty" }, say("loading")));
    byId("whom-queues").replaceChildren();
    dialog.showModal();
    try {
      const whom = await ask("GET", "/directory");
      const others = whom.agents.filter((agent) => agent.login !== dialog.dataset.self);
      byId("whom-agents").replaceChildren(...(others.length ? others.map((agent) => this.#agent(agent)) : [make("p", { class: "empty" }, say("no_agents"))]));
      byId("whom-queues").replaceChildren(...whom.queues.map((queue) => this.#queue(queue)));
    } catch (problem) {
      dialog.close();
      toast(say(problem.message), true);
    }
  }

  /** Keys for the machine alone: how many came, and whether they fit. */
  #keyEntry(contact) {
    if (contact.key_entry) {
      return make("p", { class: "row key-entry", role: "status" }, make("span", { class: "aside" }, say("key_entry_hint")), make("b", {}, "•".repeat(contact.key_count).padEnd(6, "◦")),
        make("button", { class: "button", id: "key-entry", type: "button", onclick: () => this.#post("key-entry", "key-entry", { on: false }) }, say("key_entry_cancel")));
    }
    if (!contact.customer?.id || contact.verified === "id_number") return "";
    return make("p", { class: "row key-entry" },
      make("button", { class: "button", id: "key-entry", type: "button", onclick: () => this.#post("key-entry", "key-entry", { on: true }) }, say("key_entry")),
      contact.key_result ? make("span", { class: contact.key_result === "matched" ? "aside" : "badge alarm" }, say(`key_${contact.key_result}`)) : "");
  }

  #button(id, word, key, action, pressed) {
    return make("button", { class: "button", id, type: "button", "aria-keyshortcuts": key, "aria-pressed": pressed === undefined ? null : String(pressed), onclick: action },
      say(word), make("kbd", {}, key.toUpperCase()));
  }

  #post(id, path, body) {
    return this.act(byId(id), "POST", `/interactions/${this.contact.id}/${path}`, body);
  }

  #guests(contact) {
    const consulted = contact.guests.some((guest) => guest.joined && guest.purpose === "consult");
    return make("div", { class: "guests" },
      ...contact.guests.map((guest) => make("div", { class: "line" },
        make("span", {}, make("b", {}, guest.name || say("withheld")), " ",
          make("span", { class: `badge ${guest.joined ? "talking" : "ringing"}` }, say(guest.joined ? (guest.mode === "hold" ? "held" : "in_call") : "guest_ringing"))),
        make("button", { class: "button quiet", id: `drop-${guest.leg}`, type: "button",
          onclick: () => this.#post(`drop-${guest.leg}`, "drop", { leg: guest.leg }) }, say("drop")))),
      make("div", { class: "row" },
        make("button", { class: "button", id: "take-back", type: "button", onclick: () => this.#post("take-back", "take-back") }, say("take_back")),
        ...(consulted ? [
          make("button", { class: "button", id: "swap", type: "button", onclick: () => this.#post("swap", "swap") }, say("swap")),
          make("button", { class: "button", id: "join", type: "button", onclick: () => this.#post("join", "join") }, say("join")),
          make("button", { class: "button primary", id: "complete", type: "button", onclick: () => this.#post("complete", "complete") }, say("complete")),
        ] : [])));
  }

  #keys() {
    return make("div", { class: "keypad", role: "group", "aria-label": say("keypad") },
      ...[..."123456789*0#"].map((key) => make("button", { class: "button", id: `key-${key}`, type: "button",
        onclick: () => this.#post(`key-${key}`, "keys", { keys: key }) }, key)));
  }

  #agent(agent) {
    const free = agent.state === "idle";
    const ringable = free || agent.state === "not_ready";
    return make("div", { class: "line" },
      make("span", {}, `${agent.name} `, make("span", { class: "aside" }, agent.login), " ",
        make("span", { class: `badge ${agent.state}` }, make("span", { class: "dot" }), say(agent.state))),
      this.calling
        ? make("button", { class: "button", type: "button", disabled: !ringable, onclick: () => this.#go("call", { agent: agent.login }) }, say("call_out"))
        : make("span", { class: "row" },
        make("button", { class: "button", type: "button", disabled: !ringable, onclick: () => this.#go("consult", { agent: agent.login }) }, say("consult")),
        make("button", { class: "button", type: "button", disabled: !free, onclick: () => this.#go("transfer", { agent: agent.login }) }, say("transfer"))));
  }

  #queue(queue) {
    return make("div", { class: "line" },
      make("span", {}, `${queue.title} `, make("span", { class: "aside" }, `${queue.waiting} ${say("waiting")}`)),
      make("button", { class: "button", type: "button", onclick: () => this.#go("transfer", { queue: queue.name }) }, say("transfer")));
  }

  #number(how) {
    const number = byId("whom-number").value.replaceAll(/[\s-]/g, "");
    if (!/^\+?[0-9]{2,20}$/.test(number)) {
      byId("whom-error").textContent = say("bad_number");
      byId("whom-error").hidden = false;
      byId("whom-number").focus();
      return;
    }
    byId("whom-error").hidden = true;
    this.#go(how, { number });
  }

  async #go(how, whom) {
    if (await this.act(null, "POST", how === "call" ? "/calls" : `/interactions/${this.contact.id}/${how}`, whom)) {
      byId("whom").close();
      byId("whom-number").value = "";
    }
  }
}

/** Calls that were put aside: whoever is ready takes one; who talks may bring one in. */
export function parkedRows(rows, current, act, now) {
  return rows.map((row) => make("li", {},
    make("div", { class: "line" }, make("b", {}, row.party || say("withheld")),
      make("span", { class: "aside clock" }, duration(now() - row.since_ms))),
    make("div", { class: "line" }, make("span", { class: "aside" }, row.queue),
      current?.state === "talking"
        ? make("button", { class: "button", id: `bring-${row.id}`, type: "button",
            onclick: () => act(byId(`bring-${row.id}`), "POST", `/interactions/${current.id}/bring`, { parked: row.id }) }, say("bring"))
        : make("button", { class: "button", id: `take-${row.id}`, type: "button",
            onclick: () => act(byId(`take-${row.id}`), "POST", `/interactions/${row.id}/take`) }, say("take")))));
}
