import { byId, call, make, say, settings, toast } from "./common.js";

const PROOFS = { pass: "idle", fail: "alarm", softfail: "alarm", none: "", neutral: "", temperror: "", permerror: "" };
const STATES = { waiting: "letter_waiting", sent: "letter_sent", dead: "letter_dead", bounced: "letter_bounced", dropped: "letter_dropped" };

/** How far a letter is, in words; "" for what has not to be carried. */
export const letterWord = (state) => (STATES[state] ? say(STATES[state]) : "");

/** bytes as people read them */
export function size(bytes) {
  return bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Files of a message: pictures are shown, the rest is downloaded, what was refused is named with its reason. */
export function files(chat, message) {
  if (!message.files?.length) return "";
  return make("ul", { class: "files" }, ...message.files.map((file) => {
    const name = `${file.name} · ${size(file.size)}`;
    if (file.trouble) return make("li", { class: "refused" }, name, make("span", { class: "aside" }, ` ${say(`file_${file.trouble}`)}`));
    const href = `/api/chats/${chat.id}/messages/${message.id}/files/${file.id}`;
    const picture = /^image\/(png|jpeg|gif|webp)$/.test(file.type);
    return make("li", {}, make("a", { href, download: picture ? null : file.name, target: picture ? "_blank" : null, rel: "noopener" },
      picture ? make("img", { class: "thumb", src: href, alt: file.name, loading: "lazy" }) : "", name));
  }));
}

/** What stands above a mail: subject, sender, whether its domain stands for it, mails that were joined to it. */
export function mailHead(chat, act) {
  const mail = chat.mail;
  if (!mail) return [];
  const proof = mail.proof?.dmarc;
  const from = mail.name && mail.name !== mail.from ? `${mail.name} <${mail.from}>` : mail.from;
  return [
    make("div", { class: "mail-subject" }, mail.subject || say("no_subject")),
    make("div", { class: "aside mail-from" }, from, " ",
      proof ? make("span", { class: `badge ${PROOFS[proof] ?? ""}`, title: Object.entries(mail.proof).map(([k, v]) => `${k.toUpperCase()} ${v}`).join(" · ") },
        say(proof === "pass" ? "sender_proved" : proof === "fail" ? "sender_forged" : "sender_not_proved")) : "",
      mail.reply_to && mail.reply_to !== mail.from ? make("span", { class: "late" }, ` ${say("answers_go_to")} ${mail.reply_to}`) : "",
      mail.cc.length ? ` · ${say("cc")} ${mail.cc.join(", ")}` : ""),
    ...chat.merged.map((other) => make("div", { class: "aside" }, `${say("merged_here")} “${other.subject || say("no_subject")}” `,
      make("button", { class: "button small", type: "button", id: `unmerge-${other.id}`,
        onclick: () => act(byId(`unmerge-${other.id}`), "POST", `/chats/${other.id}/unmerge`) }, say("undo")))),
  ];
}

/** The HTML of a mail, in a frame that can do nothing; pictures from elsewhere come when they are asked for. */
export function original(chat, message) {
  const source = (remote) => `/api/chats/${chat.id}/messages/${message.id}/html${remote ? "?remote=true" : ""}`;
  const frame = make("iframe", { class: "mail-html", sandbox: "allow-popups", referrerpolicy: "no-referrer", title: say("original"), src: source(false) });
  return make("div", {}, frame, make("div", { class: "row" },
    make("button", { class: "button small", type: "button", onclick: (event) => { frame.src = source(true); event.target.remove(); } }, say("show_pictures")),
    make("a", { class: "button small", href: `/api/chats/${chat.id}/messages/${message.id}/raw`, download: `${message.id}.eml` }, say("as_it_came"))));
}

/** Files that an agent encloses: brought at once, so that they survive a reload, and named under the field. */
export class Enclosures {
  constructor(field, list, changed) {
    this.files = [];
    this.list = list;
    this.changed = changed;
    field.addEventListener("change", async () => {
      const chosen = [...field.files];
      field.value = "";
      for (const file of chosen) await this.#bring(file);
    });
  }

  show(files, chat) {
    this.files = files;
    this.chat = chat;
    this.#draw();
  }

  async #bring(file) {
    const form = new FormData();
    form.append("file", file);
    const chat = this.chat;
    try {
      const response = await fetch(`/api/chats/${chat}/files`, { method: "POST", headers: { "X-CSRF-Token": settings.csrf ?? "" }, body: form });
      const answer = await response.json().catch(() => ({}));
      if (!response.ok) throw new Error(answer.error ?? "failed");
      if (chat === this.chat) this.files.push(answer);
      this.changed();
      this.#draw();
    } catch (problem) {
      toast(`${file.name}: ${say(problem instanceof TypeError ? "network" : `file_${problem.message}` in settings.words ? `file_${problem.message}` : problem.message)}`, true);
    }
  }

  #draw() {
    this.list.hidden = !this.files.length;
    this.list.replaceChildren(...this.files.map((file, n) => make("li", {}, `${file.name} · ${size(file.size)} `,
      make("button", { class: "button small", type: "button", "aria-label": `${say("remove")} ${file.name}`,
        onclick: () => { this.files.splice(n, 1); this.changed(); this.#draw(); } }, "×"))));
  }
}

/** Beginnings of answers, and to whom an answer would go. */
export async function answerOf(chat) {
  try {
    return await call("GET", `/chats/${chat}/answer`);
  } catch (problem) {
    toast(say(problem.message), true);
    return null;
  }
}
