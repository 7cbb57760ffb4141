/** One telephone in this page: microphone out, the far end in. Used by the agent's panel and by the web call. */
const GATHER_MS = 1500;

export class Sound {
  /** `send(sdp)` takes our description to the server and answers theirs; `changed(state)` hears connected, lost. */
  constructor(iceServers, send, changed) {
    this.iceServers = iceServers;
    this.send = send;
    this.changed = changed;
    this.pc = null;
    this.stream = null;
    this.level = 0;
    this.audio = new Audio();
    this.audio.autoplay = true;
  }

  get connected() { return this.pc?.connectionState === "connected"; }

  /** Open, or open anew after the connection was lost. Throws Error with a word of ours. */
  async open(microphone = "") {
    if (!navigator.mediaDevices?.getUserMedia) throw new Error("no_secure_page");
    await this.#listen(microphone);
    const old = this.pc;
    const pc = this.pc = new RTCPeerConnection({ iceServers: this.iceServers });
    for (const track of this.stream.getAudioTracks()) pc.addTrack(track, this.stream);
    pc.addEventListener("track", (event) => { this.audio.srcObject = event.streams[0] ?? new MediaStream([event.track]); });
    pc.addEventListener("connectionstatechange", () => {
      if (pc !== this.pc) return;
      if (pc.connectionState === "connected") this.changed("connected");
      if (["failed", "disconnected", "closed"].includes(pc.connectionState)) this.changed("lost");
    });
    await pc.setLocalDescription(await pc.createOffer());
    await gathered(pc);
    const answer = await this.send(pc.localDescription.sdp);
    await pc.setRemoteDescription({ type: "answer", sdp: answer });
    old?.close();
  }

  close() {
    const pc = this.pc;
    this.pc = null;
    pc?.close();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.context?.close();
    this.context = null;
  }

  /** Another headset for what is heard, where the browser can. */
  async speaker(id) { await this.audio.setSinkId?.(id); }

  /** What the microphone hears in this time. */
  record(ms) {
    return new Promise((resolve, reject) => {
      const recorder = new MediaRecorder(this.stream);
      const parts = [];
      recorder.ondataavailable = (event) => parts.push(event.data);
      recorder.onerror = reject;
      recorder.onstop = () => resolve(new Blob(parts, { type: recorder.mimeType }));
      recorder.start();
      setTimeout(() => recorder.stop(), ms);
    });
  }

  async playBack(blob, speaker) {
    const sound = new Audio(URL.createObjectURL(blob));
    if (speaker) await sound.setSinkId?.(speaker);
    await new Promise((resolve, reject) => { sound.onended = resolve; sound.onerror = reject; sound.play().catch(reject); });
    URL.revokeObjectURL(sound.src);
  }

  async devices() {
    const all = await navigator.mediaDevices.enumerateDevices();
    return { microphones: all.filter((one) => one.kind === "audioinput"), speakers: all.filter((one) => one.kind === "audiooutput") };
  }

  async #listen(microphone) {
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        audio: { deviceId: microphone || undefined, echoCancellation: true, noiseSuppression: true, channelCount: 1 },
      });
    } catch (problem) {
      throw new Error(problem.name === "NotAllowedError" ? "microphone_denied" : "no_microphone");
    }
    for (const track of this.stream.getAudioTracks()) track.addEventListener("ended", () => this.changed("unplugged"));
    this.context?.close();
    this.context = new AudioContext();
    const meter = this.context.createAnalyser();
    meter.fftSize = 512;
    this.context.createMediaStreamSource(this.stream).connect(meter);
    const samples = new Uint8Array(meter.fftSize);
    const context = this.context;
    const look = () => {
      if (this.context !== context) return;
      meter.getByteTimeDomainData(samples);
      this.level = Math.min(1, Math.max(...samples.map((value) => Math.abs(value - 128))) / 100);
      setTimeout(look, 100);
    };
    look();
  }
}

function gathered(pc) {
  if (pc.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    setTimeout(resolve, GATHER_MS);
    pc.addEventListener("icegatheringstatechange", () => { if (pc.iceGatheringState === "complete") resolve(); });
  });
}
