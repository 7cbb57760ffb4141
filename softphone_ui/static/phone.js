import { byId, call, make, say, settings, toast } from "./common.js";
import { Sound } from "./sound.js";

const AGAIN_MS = 1000;
const remembered = (what) => localStorage.getItem(`phone-${what}`) ?? "";

/** The agent's telephone in the panel: opens with the page, comes back by itself, shows how it is. */
export class BrowserPhone {
  constructor() {
    this.wanted = false;
    this.tabs = new BroadcastChannel("phone");
    this.tabs.addEventListener("message", () => this.#elsewhere());
    this.sound = new Sound(settings.ice_servers, async (sdp) => (await call("POST", "/phone", { sdp })).sdp, (state) => this.#changed(state));
    byId("phone").hidden = false;
    byId("phone-open").addEventListener("click", () => this.open());
    byId("phone-microphone").addEventListener("change", (event) => this.#choose("microphone", event.target.value));
    byId("phone-speaker").addEventListener("change", (event) => this.#choose("speaker", event.target.value));
    setInterval(() => { byId("phone-level").value = this.sound.stream ? this.sound.level : 0; }, 100);
    this.#show(remembered("wanted") ? "phone_opening" : "phone_closed");
    if (remembered("wanted")) this.open();
  }

  async open() {
    this.wanted = true;
    localStorage.setItem("phone-wanted", "1");
    this.tabs.postMessage("opened");
    this.#show("phone_opening");
    try {
      await this.sound.open(remembered("microphone"));
      await this.#fill();
    } catch (problem) {
      this.#show(problem.message, true);
      const mine = ["microphone_denied", "no_microphone", "no_secure_page"].includes(problem.message);
      if (mine) { this.wanted = false; toast(say(problem.message), true); } else this.#again();
    }
  }

  /** Another tab of this browser took the phone: one of them rings, not both in turn. */
  #elsewhere() {
    this.wanted = false;
    this.sound.close();
    this.#show("phone_elsewhere");
  }

  #again() {
    setTimeout(() => { if (this.wanted && !this.sound.connected) this.open(); }, AGAIN_MS);
  }

  #changed(state) {
    if (state === "connected") { this.#show("phone_ready"); return; }
    if (state === "unplugged") toast(say("microphone_unplugged"), true);
    this.#show(state === "unplugged" ? "microphone_unplugged" : "phone_lost", true);
    this.#again();
  }

  async #fill() {
    const { microphones, speakers } = await this.sound.devices();
    for (const [what, devices] of [["microphone", microphones], ["speaker", speakers]]) {
      byId(`phone-${what}`).replaceChildren(...devices.map((device) =>
        make("option", { value: device.deviceId, selected: device.deviceId === remembered(what) }, device.label || say(what))));
    }
    if (remembered("speaker")) await this.sound.speaker(remembered("speaker")).catch(() => localStorage.removeItem("phone-speaker"));
  }

  async #choose(what, id) {
    localStorage.setItem(`phone-${what}`, id);
    if (what === "speaker") await this.sound.speaker(id);
    else await this.open();
  }

  #show(word, bad = false) {
    const badge = byId("phone-state");
    badge.textContent = say(word);
    badge.className = `badge ${word === "phone_ready" ? "idle" : bad ? "alarm" : ""}`;
    byId("phone-open").hidden = word === "phone_ready" || word === "phone_opening";
    byId("phone-devices").hidden = word !== "phone_ready";
  }
}
