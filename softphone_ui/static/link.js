/** The one WebSocket: resumes where it was, comes back by itself, says when it is away. */
export class Link {
  constructor(onMessage, onOnline) {
    this.onMessage = onMessage;
    this.onOnline = onOnline;
    this.boot = "";
    this.seq = 0;
    this.tries = 0;
    this.open();
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws`);
    socket.addEventListener("open", () => socket.send(JSON.stringify({ boot: this.boot, seq: this.seq })));
    socket.addEventListener("message", (event) => {
      const message = JSON.parse(event.data);
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
      this.onOnline(false);
      this.tries += 1;
      setTimeout(() => this.open(), Math.min(600, 150 * this.tries));
    });
  }
}
