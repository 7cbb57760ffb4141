/* A button that opens the hotline in a small window, for any page of the insurer's. Load this file by a script tag with
 * `defer`; data-label, data-number, data-lang and data-identity (a signed JWT) say the rest. */
(() => {
  const script = document.currentScript;
  const origin = new URL(script.src).origin;
  const { label = "📞", number = "", identity = "", lang = "zh" } = script.dataset;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.className = "web-call-button";
  button.addEventListener("click", () => {
    const said = new URLSearchParams();
    if (number) said.set("number", number);
    const token = script.dataset.identity || identity; // a page may renew it
    if (token) said.set("identity", token);
    const place = `${origin}/call?lang=${encodeURIComponent(lang)}#${said}`;
    window.open(place, "web-call", "popup,width=380,height=720");
  });
  script.after(button);
})();
