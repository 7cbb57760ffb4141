import { byId, call, make, moment, say, toast } from "./common.js";

const EVERY_MS = 5000;
let drawn = "";

async function act(path, body) {
  try {
    await call("POST", path, body);
    toast(say("saved"));
    await look();
  } catch (problem) {
    toast(say(problem.message), true);
  }
}

/** A letter that nobody took, to be mended and sent again. */
function dead(letter) {
  const field = (word, element) => make("div", { class: "field" }, make("label", { for: element.id }, say(word)), element);
  const to = make("input", { id: `to-${letter.message}`, value: letter.to.join(", "), maxlength: 2000, autocomplete: "off" });
  const subject = make("input", { id: `subject-${letter.message}`, value: letter.subject, maxlength: 300, autocomplete: "off" });
  const text = make("textarea", { id: `text-${letter.message}`, rows: 5, maxlength: 20000 }, letter.text);
  return make("form", { class: "card", onsubmit: (event) => {
    event.preventDefault();
    act(`/post/letters/${letter.message}/resend`, { to: to.value.split(/[,;，；\s]+/).filter(Boolean), subject: subject.value, text: text.value });
  } },
  make("p", {}, make("span", { class: "badge alarm" }, say("letter_dead")), " ", moment(letter.written_at_ms), ` · ${letter.attempt} ${say("attempts")} · `, make("b", {}, letter.reason || "–")),
  field("recipient", to), field("mail_subject", subject), field("text", text),
  make("div", { class: "row" }, make("button", { class: "button primary", type: "submit" }, say("resend")),
    make("button", { class: "button danger", type: "button", onclick: () => act(`/post/letters/${letter.message}/drop`) }, say("drop"))));
}

async function look() {
  let found;
  try {
    found = await call("GET", "/post");
  } catch (problem) {
    if (problem.message === "not_logged_in") { location.assign("/login"); return; }
    byId("unread").textContent = say(problem.message);
    return;
  }
  byId("unread").textContent = found.unread ? `${found.unread} ${say("unread_mail")}` : "";
  const known = found.dead.map((letter) => letter.message).join();
  if (known !== drawn) { // what somebody is mending stays as they have it
    drawn = known;
    byId("dead").replaceChildren(...found.dead.map(dead));
  }
  byId("dead-empty").hidden = found.dead.length > 0;
  byId("waiting").replaceChildren(...found.waiting.map((letter) => make("tr", {}, make("td", {}, moment(letter.written_at_ms)), make("td", { class: "wrap" }, letter.to.join(", ")),
    make("td", { class: "wrap" }, letter.subject), make("td", { class: "wrap" }, letter.reason || "–"), make("td", {}, letter.next_at_ms ? moment(letter.next_at_ms) : "–"))));
  byId("waiting-empty").hidden = found.waiting.length > 0;
  byId("waiting-table").hidden = !found.waiting.length;
  byId("kept").replaceChildren(...found.kept_out.map((mail) => make("tr", {}, make("td", {}, moment(mail.at_ms)), make("td", {}, say(`mail_${mail.kind}`)), make("td", { class: "wrap" }, mail.from || "–"),
    make("td", { class: "wrap" }, mail.subject || say("no_subject")), make("td", {}, make("button", { class: "button small", type: "button", onclick: () => act(`/post/mails/${mail.mail}/release`) }, say("release"))))));
  byId("kept-empty").hidden = found.kept_out.length > 0;
  byId("kept-table").hidden = !found.kept_out.length;
}

look();
setInterval(look, EVERY_MS);
