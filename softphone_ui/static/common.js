export const settings = JSON.parse(document.getElementById("settings").textContent);
export const words = settings.words;
export const say = (key) => words[key] ?? key;
export const byId = (id) => document.getElementById(id);

/** A reason for not being ready, in words: the centre's own, else one that the system gives. */
export function reasonWord(code) {
  return settings.reasons?.find((reason) => reason.code === code)?.[`title_${settings.language}`] ?? say(code);
}

/** An element with attributes, and children that are elements or text (never markup). */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null && child !== ""));
  return element;
}

/** mm:ss, h:mm:ss past an hour. */
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const pad = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h ? `${h}:${pad(m)}:${pad(s)}` : `${pad(m)}:${pad(s)}`;
}

export function moment(ms) {
  const date = new Date(ms);
  const locale = settings.language === "zh" ? "zh-CN" : "en-GB";
  const short = date.toLocaleString(locale, { month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" });
  return make("time", { datetime: date.toISOString(), title: date.toLocaleString(locale) }, short);
}

export function money(cents, currency) {
  const locale = settings.language === "zh" ? "zh-CN" : "en-GB";
  return new Intl.NumberFormat(locale, { style: "currency", currency, minimumFractionDigits: 2 }).format(cents / 100);
}

/** Call the API; throws Error whose message is the refusal's code. */
export async function call(method, path, body) {
  let response;
  try {
    response = await fetch(`/api${path}`, {
      method,
      headers: { "Content-Type": "application/json", "X-CSRF-Token": settings.csrf ?? "" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Error("network");
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  const answer = await response.json().catch(() => ({}));
  throw Object.assign(new Error(answer.error ?? "failed"), { fields: answer.fields });
}

export function toast(text, bad = false) {
  const element = make("div", { class: bad ? "toast bad" : "toast" }, text);
  byId("toasts").append(element);
  setTimeout(() => element.remove(), bad ? 6000 : 3000);
}
