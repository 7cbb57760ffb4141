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
    byId("phone-ring").addEventListener("change", (event) => localStorage.setItem("phone-ring", event.target.value));
    byId("phone-echo").addEventListener("click", () => this.#echo());
    this.ring = new Audio("/static/ring.wav");
    this.ring.loop = true;
    this.light = "mic_idle";
    setInterval(() => this.#meter(), 100);
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

  /** What the panel shows now: a call that rings, and whether anybody hears me. */
  state(contacts) {
    const talking = contacts.find((contact) => ["talking", "consulting"].includes(contact.state));
    this.light = talking ? (talking.muted ? "mic_muted" : "mic_live") : "mic_idle";
    const rings = this.wanted && contacts.some((contact) => contact.state === "ringing");
    if (rings && this.ring.paused) {
      this.ring.setSinkId?.(remembered("ring")).catch(() => localStorage.removeItem("phone-ring"));
      this.ring.play().catch(() => {}); // a page that nobody has touched yet may not make a sound
    } else if (!rings && !this.ring.paused) {
      this.ring.pause();
      this.ring.currentTime = 0;
    }
  }

  #meter() {
    const level = this.sound.stream ? this.sound.level : 0;
    byId("phone-level").value = level;
    const light = byId("phone-mute");
    const speaking = this.light === "mic_muted" && level > 0.25;
    const word = speaking ? "muted_speaking" : this.light;
    if (light.dataset.word === word) return;
    light.dataset.word = word;
    light.textContent = say(word);
    light.className = `badge ${{ mic_live: "talking", mic_muted: "alarm", muted_speaking: "alarm" }[word] ?? ""}`;
  }

  /** Three seconds of the microphone, back through the chosen headset. */
  async #echo() {
    const button = byId("phone-echo");
    button.disabled = true;
    try {
      button.textContent = say("echo_speak");
      const sound = await this.sound.record(3000);
      button.textContent = say("echo_heard");
      await this.sound.playBack(sound, remembered("speaker"));
    } catch {
      toast(say("echo_failed"), true);
    } finally {
      button.textContent = say("echo_test");
      button.disabled = false;
    }
  }

  /** Another tab of this browser took the phone: one of them rings, not both in turn. */
  #elsewhere() {
    this.wanted = false;
    this.sound.close();
    this.#show("phone_elsewhere");
  }

  /** `silent`: the connection stands, but nothing speaks into it any more. */
  #again(silent = false) {
    setTimeout(() => { if (this.wanted && (silent || !this.sound.connected)) this.open(); }, AGAIN_MS);
  }

  #changed(state) {
    if (state === "connected") { this.#show("phone_ready"); return; }
    if (state === "unplugged") toast(say("microphone_unplugged"), true);
    this.#show(state === "unplugged" ? "microphone_unplugged" : "phone_lost", true);
    this.#again(state === "unplugged");
  }

  async #fill() {
    const { microphones, speakers } = await this.sound.devices();
    for (const [what, devices] of [["microphone", microphones], ["speaker", speakers], ["ring", speakers]]) {
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
