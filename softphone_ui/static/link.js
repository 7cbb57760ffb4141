const SILENCE_MS = 12000;

/** The one WebSocket: resumes where it was, comes back by itself, says when it is away. */
export class Link {
  constructor(onMessage, onOnline) {
    this.onMessage = onMessage;
    this.onOnline = onOnline;
    this.boot = "";
    this.seq = 0;
    this.tries = 0;
    this.heard = Date.now();
    this.open();
    setInterval(() => this.#listen(), 1000);
  }

  /** A network that carries nothing any more says nothing either: silence is the sign. */
  #listen() {
    if (Date.now() - this.heard < SILENCE_MS || this.socket.readyState > WebSocket.OPEN) return;
    this.heard = Date.now();
    this.onOnline(false);
    this.socket.close();
    this.#lost();
  }

  #lost() {
    if (this.waiting) return;
    this.onOnline(false);
    this.tries += 1;
    this.waiting = setTimeout(() => { this.waiting = 0; this.open(); }, Math.min(600, 150 * this.tries));
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = this.socket = new WebSocket(`${scheme}://${location.host}/ws`);
    socket.addEventListener("open", () => socket.send(JSON.stringify({ boot: this.boot, seq: this.seq })));
    socket.addEventListener("message", (event) => {
      this.heard = Date.now();
      const message = JSON.parse(event.data);
      if (message.t === "beat") return;
      this.tries = 0;
      this.boot = message.boot;
      this.seq = message.seq;
      this.onOnline(true);
      if (message.t !== "resumed") this.onMessage(message.t, message.body);
    });
    socket.addEventListener("close", (event) => {
      if (event.code === 4403) {
        location.assign("/login");
        return;
      }
      if (socket === this.socket) this.#lost();
    });
  }
}
