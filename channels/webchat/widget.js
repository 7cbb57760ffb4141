/* The chat of an insurer's contact centre, for any of its pages: one script tag with `defer` and data-lang, data-title,
 * data-identity (a signed JWT, which the page may renew), data-call (a number: a button rings it from the browser),
 * data-transcript (a transcript by mail is offered). No framework, no inline style, nothing global. */
(() => {
  "use strict";
  const script = document.currentScript;
  const server = new URL(script.src);
  const lang = script.dataset.lang === "en" ? "en" : "zh";
  const KEY = `chat-visit ${server.host}`;
  const W = {
    zh: {
      open: "在线客服", title: "在线客服", close: "收起", end: "结束对话", send: "发送", placeholder: "请输入…",
      you: "我", flow: "智能助手", connecting: "正在连接…", offline: "网络中断，正在重新连接…",
      waiting: (n) => (n > 1 ? `正在排队，您前面还有 ${n - 1} 位` : "马上为您接入人工客服"),
      talking: (name) => `${name} 正在为您服务`, typing: "对方正在输入…", over: "对话已结束", again: "开始新的对话",
      sending: "发送中", failed: "未发送", read: "已读", too_often: "发送得太快，请稍等片刻再试。",
      too_long: "消息太长，请分几次发送。", empty: "", conversation_over: "对话已结束。", bad_identity: "身份信息已过期，请刷新页面。",
      full: "咨询人数较多，请稍后再试。", log: "对话内容", unread: (n) => `${n} 条新消息`, really: "确定要结束对话吗？", yes: "结束", no: "继续",
      attach: "发送文件", call: "语音通话", rate: "请为本次服务评分", stars: (n) => `${n} 星`, thanks: "感谢您的评价！", mail: "把对话记录发送到邮箱",
      mail_sent: "已发送。", mail_to: "邮箱地址", bad_address: "邮箱地址不正确。", too_large: "文件过大。", type_refused: "不接受此类文件。", archive_bomb: "不接受此压缩包。",
      malware: "文件含有恶意软件。", unscanned: "暂时无法接收文件，请稍后再试。", not_sent: "未能发送，请重试。",
    },
    en: {
      open: "Chat with us", title: "Chat", close: "Minimise", end: "End chat", send: "Send", placeholder: "Write here…",
      you: "You", flow: "Assistant", connecting: "Connecting…", offline: "Connection lost, trying again…",
      waiting: (n) => (n > 1 ? `You are in line, ${n - 1} before you` : "You are next, one moment please"),
      talking: (name) => `You are talking to ${name}`, typing: "Typing…", over: "This chat has ended", again: "Start a new chat",
      sending: "sending", failed: "not sent", read: "read", too_often: "Too fast. Please wait a moment and try again.",
      too_long: "This message is too long. Please send it in parts.", empty: "", conversation_over: "This chat has ended.",
      bad_identity: "Your login has expired. Please reload the page.", full: "We are very busy. Please try again later.",
      log: "Conversation", unread: (n) => `${n} new`, really: "End this chat?", yes: "End", no: "Go on",
      attach: "Send a file", call: "Call us", rate: "How did we do?", stars: (n) => `${n} of 5`, thanks: "Thank you!", mail: "Send this conversation by mail",
      mail_sent: "Sent.", mail_to: "Mail address", bad_address: "That is no mail address.", too_large: "This file is too large.", type_refused: "We do not take files of this type.", archive_bomb: "We do not take this archive.",
      malware: "This file holds malware.", unscanned: "We cannot take files right now.", not_sent: "Not sent. Please try again.",
    },
  }[lang];
  const STYLE = `
    :host { all: initial; }
    * { box-sizing: border-box; font: 15px/1.5 system-ui, "Noto Sans SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
    button { cursor: pointer; }
    button:focus-visible, textarea:focus-visible, .log:focus-visible { outline: 3px solid #0f5c63; outline-offset: 2px; }
    .open { position: fixed; inset-inline-end: 20px; inset-block-end: 20px; z-index: 2147483000; padding: 12px 20px; border: 0;
      border-radius: 24px; background: #0f5c63; color: #fff; font-weight: 600; box-shadow: 0 4px 16px rgb(0 0 0 / .2); }
    .open .count { margin-inline-start: 8px; padding: 1px 8px; border-radius: 10px; background: #fff; color: #0f5c63; }
    .box { position: fixed; inset-inline-end: 20px; inset-block-end: 20px; z-index: 2147483000; width: 370px; height: 560px;
      max-width: calc(100vw - 24px); max-height: calc(100dvh - 24px); display: flex; flex-direction: column; overflow: hidden;
      border: 1px solid #d5dde0; border-radius: 12px; background: #fff; color: #16211f; box-shadow: 0 8px 32px rgb(0 0 0 / .22); }
    [hidden] { display: none !important; }
    .head { display: flex; align-items: center; gap: 8px; padding: 10px 8px 10px 16px; background: #0f5c63; color: #fff; }
    .head h2 { margin: 0; flex: 1; font-size: 16px; font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
    .head button { padding: 6px 10px; border: 0; border-radius: 6px; background: transparent; color: #fff; }
    .head button:hover { background: rgb(255 255 255 / .15); }
    .head button:focus-visible { outline-color: #fff; }
    .standing { padding: 6px 16px; background: #eef4f4; color: #37504f; font-size: 13px; min-height: 32px; }
    .standing.bad { background: #fdf1e3; color: #7a4a00; }
    .log { flex: 1; overflow-y: auto; padding: 12px 16px; overscroll-behavior: contain; }
    .one { margin: 0 0 12px; max-width: 88%; width: fit-content; }
    .one.me { margin-inline-start: auto; }
    .who { font-size: 12px; color: #5b6b6a; margin-bottom: 2px; }
    .me .who { text-align: end; }
    .text { padding: 8px 12px; border-radius: 10px; background: #eef1f2; white-space: pre-wrap; overflow-wrap: anywhere; }
    .me .text { background: #d9eceb; }
    .choices { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 8px; }
    .choices button { padding: 6px 12px; border: 1px solid #0f5c63; border-radius: 16px; background: #fff; color: #0f5c63; }
    .choices button:hover { background: #eef4f4; }
    .choices button:disabled { border-color: #c5cfd0; color: #75827f; cursor: default; background: #fff; }
    .typing { padding: 0 16px 6px; font-size: 13px; color: #5b6b6a; min-height: 24px; }
    .error { padding: 6px 16px; background: #fdecea; color: #8a1c12; font-size: 13px; }
    form { display: flex; gap: 8px; padding: 10px 12px; border-top: 1px solid #e2e8e9; }
    textarea { flex: 1; min-height: 42px; max-height: 120px; resize: none; padding: 9px 10px; border: 1px solid #b8c4c6; border-radius: 8px; color: inherit; background: #fff; }
    .primary { padding: 0 16px; border: 0; border-radius: 8px; background: #0f5c63; color: #fff; font-weight: 600; min-height: 42px; }
    .plain { padding: 0 12px; border: 1px solid #b8c4c6; border-radius: 8px; background: #fff; color: inherit; min-height: 42px; }
    .file { display: inline-block; color: inherit; overflow-wrap: anywhere; } .file img { display: block; max-width: 180px; max-height: 140px; border-radius: 6px; }
    .after { padding: 10px 12px; border-top: 1px solid #e2e8e9; } .after p { margin: 0 0 6px; } .stars button { padding: 2px 8px; border: 0; background: transparent; font-size: 24px; line-height: 1; color: #b8c4c6; } .stars button[aria-pressed="true"] { color: #b06a00; }
    .after form { border: 0; padding: 8px 0 0; } .after input { flex: 1; min-width: 0; padding: 8px 10px; border: 1px solid #b8c4c6; border-radius: 8px; background: #fff; color: inherit; }
    .ask { display: flex; align-items: center; gap: 8px; padding: 10px 12px; border-top: 1px solid #e2e8e9; }
    .ask span { flex: 1; }
    @media (max-width: 480px) { .box { inset: 0; width: 100vw; height: 100dvh; max-width: none; max-height: none; border: 0; border-radius: 0; } }
    @media (prefers-color-scheme: dark) {
      .box { background: #16211f; color: #e8efee; border-color: #33433f; }
      .standing { background: #22302e; color: #bcd0ce; } .standing.bad { background: #3a2c14; color: #f3d6a3; }
      .text { background: #26332f; } .me .text { background: #1d4a4b; } .who, .typing { color: #a4b5b2; }
      textarea, .choices button, .plain { background: #1c2826; color: #e8efee; border-color: #51625e; }
      form, .ask, .after { border-color: #33433f; } .after input { background: #1c2826; border-color: #51625e; } .stars button[aria-pressed="true"] { color: #f0b429; } .error { background: #4a1d18; color: #ffd9d3; } .choices button:disabled { background: #1c2826; color: #8b9a97; }
    }`;

  const host = document.createElement("div");
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [sheet];
  const make = (tag, attributes = {}, ...children) => {
    const one = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "on") for (const [event, run] of Object.entries(value)) one.addEventListener(event, run);
      else if (value === true) one.setAttribute(name, "");
      else if (value !== false && value !== null) one.setAttribute(name, value);
    }
    one.append(...children);
    return one;
  };

  const count = make("span", { class: "count", hidden: true });
  const opener = make("button", { class: "open", type: "button", on: { click: () => show(true) } }, W.open, count);
  const standing = make("div", { class: "standing", role: "status" }, W.connecting);
  const log = make("div", { class: "log", role: "log", "aria-label": W.log, tabindex: "0" });
  const typing = make("div", { class: "typing", "aria-live": "polite" });
  const error = make("div", { class: "error", role: "alert", hidden: true });
  const field = make("textarea", { rows: "1", maxlength: "4000", placeholder: W.placeholder, "aria-label": W.placeholder });
  const picker = make("input", { type: "file", multiple: true, hidden: true, on: { change: () => { for (const file of picker.files) upload(file); picker.value = ""; } } });
  const form = make("form", {}, make("button", { class: "plain", type: "button", "aria-label": W.attach, title: W.attach, on: { click: () => picker.click() } }, "📎"), picker, field, make("button", { class: "primary", type: "submit" }, W.send));
  const thanks = make("p", { role: "status" });
  const stars = make("div", { class: "stars", role: "group", "aria-label": W.rate }, ...[1, 2, 3, 4, 5].map((n) =>
    make("button", { type: "button", "aria-label": W.stars(n), "aria-pressed": "false", on: { click: () => rate(n) } }, "★")));
  const mailTo = make("input", { type: "email", autocomplete: "email", placeholder: W.mail_to, "aria-label": W.mail_to, maxlength: "200" });
  const mailing = make("form", { on: { submit: (event) => { event.preventDefault(); transcript(); } } }, mailTo, make("button", { class: "plain", type: "submit" }, W.mail));
  mailing.hidden = !("transcript" in script.dataset);
  const after = make("div", { class: "after", hidden: true }, make("p", {}, W.rate), stars, thanks, mailing);
  const again = make("div", { class: "ask", hidden: true }, make("span", {}, W.over),
    make("button", { class: "primary", type: "button", on: { click: () => startAgain() } }, W.again));
  const ending = make("div", { class: "ask", hidden: true }, make("span", {}, W.really),
    make("button", { class: "primary", type: "button", on: { click: () => leave() } }, W.yes),
    make("button", { class: "plain", type: "button", on: { click: () => { ending.hidden = true; field.focus(); } } }, W.no));
  const title = script.dataset.title || W.title;
  const end = make("button", { type: "button", on: { click: () => { ending.hidden = false; ending.querySelector("button").focus(); } } }, W.end);
  const box = make("section", { class: "box", role: "dialog", "aria-label": title, hidden: true, lang: lang === "zh" ? "zh-CN" : "en" },
    make("header", { class: "head" }, make("h2", {}, title), ...(script.dataset.call ? [make("button", { type: "button", on: { click: () => callUs() } }, W.call)] : []), end,
      make("button", { type: "button", "aria-label": W.close, title: W.close, on: { click: () => show(false) } }, "—")),
    standing, log, typing, error, form, ending, after, again);
  root.append(opener, box);

  /* --- what is kept over a reload of the page: the visit, what was said, and what is not yet safe --- */
  const blank = () => ({ visit: "", messages: [], outbox: [], draft: "", over: false, open: false });
  let state = blank();
  try { state = { ...blank(), ...JSON.parse(sessionStorage.getItem(KEY) || "{}") }; } catch { /* begin anew */ }
  const keep = () => { try { sessionStorage.setItem(KEY, JSON.stringify(state)); } catch { /* it lives as long as the page */ } };
  let socket = null, retry = 0, timer = 0, beat = 0, unread = 0, typed = 0, quiet = 0, read = 0;

  function show(open) {
    state.open = open;
    box.hidden = !open;
    opener.hidden = open;
    keep();
    if (open) {
      unread = 0;
      count.hidden = true;
      if (!socket && !state.over) connect();
      field.focus();
      log.scrollTop = log.scrollHeight;
      sayRead();
    } else opener.focus();
  }

  function connect() {
    clearTimeout(timer);
    const address = `${server.protocol === "https:" ? "wss" : "ws"}://${server.host}/chat/socket`;
    const mine = (socket = new WebSocket(address));
    mine.onopen = () => {
      const last = state.messages.length ? state.messages[state.messages.length - 1].n : 0;
      const identity = script.dataset.identity;
      mine.send(JSON.stringify(state.visit ? { resume: state.visit, after: last } : { start: { lang, ...(identity && { identity }) } }));
      for (const one of state.outbox) mine.send(JSON.stringify({ send: one.text, id: one.id }));
      clearInterval(beat);
      beat = setInterval(() => say({ beat: true }), 25000);
    };
    mine.onmessage = (event) => { if (mine === socket) heard(JSON.parse(event.data)); };
    mine.onclose = (event) => {
      if (mine !== socket) return;
      socket = null;
      clearInterval(beat);
      if (state.over) return;
      if (event.code === 4410) return finish();
      stand(W.offline, true);
      const busy = event.code === 4429 || event.code === 4403;
      timer = setTimeout(connect, Math.min(30000, (busy ? 8000 : 500) * 2 ** retry) * (0.7 + Math.random() * 0.6));
      retry = Math.min(retry + 1, 6);
    };
  }

  const say = (words) => { if (socket && socket.readyState === 1) socket.send(JSON.stringify(words)); };

  function heard(words) {
    if (words.visit) state.visit = words.visit;
    if (words.kept) {
      state.outbox = state.outbox.filter((one) => one.id !== words.kept);
      draw();
    }
    if (words.messages) {
      retry = 0;
      const last = state.messages.length ? state.messages[state.messages.length - 1].n : 0;
      const fresh = words.messages.filter((one) => one.n > last);
      state.messages.push(...fresh);
      const theirs = fresh.filter((one) => one.by !== "customer").length;
      if (box.hidden && theirs) {
        unread += theirs;
        count.textContent = unread;
        count.setAttribute("aria-label", W.unread(unread));
        count.hidden = false;
      }
      draw();
      sayRead();
    }
    if (words.standing) {
      retry = 0;
      const now = words.standing;
      read = now.read;
      if (now.state === "over") finish();
      else stand(now.state === "waiting" ? W.waiting(now.position) : now.state === "talking" ? W.talking(now.agent) : "");
      typing.textContent = now.typing ? W.typing : "";
      clearTimeout(quiet);
      if (now.typing) quiet = setTimeout(() => { typing.textContent = ""; }, 5000);
      draw();
    }
    if (words.refused) {
      state.outbox.forEach((one) => { if (one.id === words.id) one.failed = true; });
      complain(W[words.refused] || W.full);
      if (words.refused === "too_often" && words.id) setTimeout(resend, 4000, words.id);
      draw();
    }
    keep();
  }

  function resend(id) {
    const one = state.outbox.find((other) => other.id === id);
    if (!one) return;
    one.failed = false;
    say({ send: one.text, id });
    draw();
  }

  function stand(text, bad = false) {
    standing.textContent = text;
    standing.classList.toggle("bad", bad);
  }

  function complain(text) {
    error.textContent = text;
    error.hidden = !text;
    if (text) setTimeout(() => { error.hidden = true; }, 6000);
  }

  function sayRead() {
    const last = state.messages.length ? state.messages[state.messages.length - 1].n : 0;
    if (!box.hidden && document.visibilityState === "visible" && last) say({ read: last });
  }

  function bubble(one, mark) {
    const mine = one.by === "customer";
    const name = mine ? W.you : one.by === "flow" ? W.flow : one.name;
    return make("div", { class: mine ? "one me" : "one" },
      make("div", { class: "who" }, mark ? `${name} · ${mark}` : name),
      ...(one.text ? [make("div", { class: "text" }, one.text)] : []),
      ...(one.files || []).map((file) => make("div", { class: "text" }, link(one.n, file))));
  }

  /** A file of the conversation: a picture is shown, anything else is downloaded. */
  function link(n, file) {
    const address = `${server.origin}/chat/aside/files/${n}/${file.id}?visit=${encodeURIComponent(state.visit)}`;
    const picture = /^image\/(png|jpeg|gif|webp)$/.test(file.type);
    return make("a", { class: "file", href: address, target: "_blank", rel: "noopener", ...(!picture && { download: file.name }) }, ...(picture ? [make("img", { src: address, alt: file.name })] : [`📎 ${file.name}`]));
  }

  /** Beside the socket, with the word of the visit. Answers false where it was refused, and says why. */
  async function aside(path, values, body) {
    const query = new URLSearchParams({ visit: state.visit, ...values });
    try {
      const answer = await fetch(`${server.origin}/chat/aside/${path}?${query}`, { method: "POST", body });
      if (answer.ok) return true;
      const words = await answer.json().catch(() => ({}));
      complain(W[words.error] || W.not_sent);
    } catch { complain(W.not_sent); }
    return false;
  }

  /** As plain bytes, so that browsers need not ask first; the same id again is the same message. */
  async function upload(file) {
    if (!state.visit || state.over) return;
    const id = `f${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`;
    await aside("files", { id, name: file.name }, new Blob([file], { type: "text/plain" }));
  }

  async function rate(n) {
    [...stars.children].forEach((star, index) => star.setAttribute("aria-pressed", String(index < n)));
    if (await aside("rating", { stars: n })) thanks.textContent = W.thanks;
  }

  async function transcript() {
    if (await aside("transcript", { to: mailTo.value.trim() })) { thanks.textContent = W.mail_sent; mailTo.value = ""; }
  }

  function callUs() {
    const query = new URLSearchParams({ number: script.dataset.call, lang });
    if (script.dataset.identity) query.set("identity", script.dataset.identity);
    window.open(`${server.origin}/call?${query}`, "_blank", "noopener,width=420,height=640");
  }

  function draw() {
    const low = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    const lastMine = state.messages.reduce((n, one) => (one.by === "customer" ? one.n : n), 0);
    const parts = state.messages.map((one, index) => {
      const part = bubble(one, one.n === lastMine && read >= one.n ? W.read : "");
      const choices = one.choices || [];
      if (choices.length) {
        const live = index === state.messages.length - 1 && !state.over && !state.outbox.length;
        part.append(make("div", { class: "choices" }, ...choices.map((words) =>
          make("button", { type: "button", disabled: !live, on: { click: () => write(words) } }, words))));
      }
      return part;
    });
    parts.push(...state.outbox.map((one) => bubble({ by: "customer", text: one.text }, one.failed ? W.failed : W.sending)));
    log.replaceChildren(...parts);
    if (low || state.outbox.length) log.scrollTop = log.scrollHeight;
  }

  function write(text) {
    text = text.trim();
    if (!text || state.over) return;
    const one = { id: `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`, text };
    state.outbox.push(one);
    keep();
    say({ send: text, id: one.id });
    draw();
  }

  function finish() {
    state.over = true;
    stand(W.over);
    typing.textContent = "";
    form.hidden = ending.hidden = end.hidden = true;
    again.hidden = false;
    after.hidden = !state.visit;
    keep();
    draw();
    if (socket) socket.close();
  }

  function leave() {
    ending.hidden = true;
    say({ leave: true });
  }

  function startAgain() {
    state = { ...blank(), open: true };
    read = 0;
    form.hidden = end.hidden = false;
    again.hidden = after.hidden = true;
    thanks.textContent = "";
    for (const star of stars.children) star.setAttribute("aria-pressed", "false");
    keep();
    draw();
    stand(W.connecting);
    connect();
    field.focus();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    write(field.value);
    field.value = state.draft = "";
    keep();
    field.focus();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  field.addEventListener("input", () => {
    state.draft = field.value;
    keep();
    if (Date.now() - typed > 2000) {
      typed = Date.now();
      say({ typing: true });
    }
  });
  box.addEventListener("keydown", (event) => { if (event.key === "Escape") show(false); });
  document.addEventListener("visibilitychange", sayRead);
  window.addEventListener("online", () => { if (!socket && state.visit && !state.over) { retry = 0; connect(); } });

  const begin = () => {
    document.body.append(host);
    field.value = state.draft;
    if (state.over) finish();
    if (state.visit && !state.over) connect();
    draw();
    if (state.open) {
      box.hidden = false;
      opener.hidden = true;
    }
  };
  if (document.body) begin();
  else document.addEventListener("DOMContentLoaded", begin);
})();
