// Sends forms once and says how long they take; without it every form works, and is as safe.
// F1 A form marked data-once is sent once: its button says so in the words of data-once and takes no second click.
// F2 After one second the button shows that it waits. After ten the form's data-slow template says so honestly, and offers
//    to send the same form again (data-again): for a purchase the same key, so it finds the order or places it, once.
// F3 Coming back by the browser's history shows the page as it was left: its forms can be used again.
// F4 A form marked data-in-place is sent by this script, which goes where the answer says (HX-Redirect), a refusal's too, or
//    shows it. What the shop refuses otherwise changed nothing: the browser sends the form itself and shows the whole page.
// F5 Where no answer of the shop comes, the page says just that. A form with a data-lost template can be sent again without
//    harm, for it has a key; any other one is not sent again by itself.

const WAITING_MS = 1_000;
const SLOW_MS = 10_000;
const TOLD_MS = 10_000; // good news goes away by itself, so that nothing stays covered

const sent = new Map(); // form -> what to undo

function send(form, button) {
  const words = [...button.childNodes];
  const place = form.querySelector("[data-slow-place]");
  const slow = form.querySelector("template[data-slow]");
  button.replaceChildren(form.dataset.once);
  button.setAttribute("aria-disabled", "true");
  const timers = [
    setTimeout(() => {
      button.classList.add("waiting");
      if (place) place.replaceChildren(form.dataset.once);
    }, WAITING_MS),
    setTimeout(() => {
      if (place && slow) place.replaceChildren(slow.content.cloneNode(true));
    }, SLOW_MS),
  ];
  sent.set(form, () => {
    timers.forEach(clearTimeout);
    place?.replaceChildren();
    button.classList.remove("waiting");
    button.removeAttribute("aria-disabled");
    button.replaceChildren(...words);
  });
}

function release(form) {
  sent.get(form)?.();
  sent.delete(form);
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.once || event.defaultPrevented) return;
  const asksAgain = event.submitter?.hasAttribute("data-again");
  if (sent.has(form) && !asksAgain) {
    event.preventDefault();
    return;
  }
  release(form);
  const button = asksAgain ? form.querySelector("button") : event.submitter ?? form.querySelector("button");
  if (form.hasAttribute("data-in-place") && !form.dataset.leaves) {
    event.preventDefault();
    sendInPlace(form, button);
  }
  if (button) send(form, button);
});

addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  [...sent.keys()].forEach(release);
  for (const form of document.querySelectorAll("form[data-leaves]")) delete form.dataset.leaves;
});

// There before anything is said, else a screen reader would not say it.
const told = document.createElement("div");
if (document.querySelector("form[data-in-place]")) {
  told.className = "told";
  told.role = "status";
  document.querySelector("main").append(told);
}

const attempts = new Map(); // form -> how often it was sent

async function sendInPlace(form, button) {
  const attempt = (attempts.get(form) ?? 0) + 1;
  attempts.set(form, attempt);
  const { answer, text } = await ask(button?.getAttribute("formaction") ?? form.getAttribute("action"), form);
  if (answer?.redirected) return location.assign(answer.url); // to log in first
  if (answer?.headers.has("HX-Redirect")) return location.assign(answer.headers.get("HX-Redirect"));
  if (answer?.ok) {
    show(text);
    return release(form);
  }
  if (attempts.get(form) !== attempt) return; // asked again meanwhile
  const repeatable = form.querySelector("template[data-lost]");
  const fromShop = answer && answer.headers.get("X-Served-By") !== "load_balancer";
  if (fromShop && (repeatable || answer.status < 500)) return leave(form, button);
  release(form);
  if (repeatable) form.querySelector("[data-slow-place]").replaceChildren(repeatable.content.cloneNode(true));
  else sayLost(form.dataset.inPlace);
}

async function ask(address, form) {
  try {
    const body = new URLSearchParams(new FormData(form));
    const answer = await fetch(address, { method: "POST", body, headers: { "HX-Request-Type": "partial" } });
    return { answer, text: await answer.text() };
  } catch {
    return {}; // cut off before or within the answer
  }
}

function sayLost(words) {
  const notice = Object.assign(document.createElement("div"), { className: "notice warn" });
  notice.append(Object.assign(document.createElement("p"), { textContent: words }));
  told.replaceChildren(notice);
}

function leave(form, button) {
  release(form);
  form.dataset.leaves = "yes";
  form.requestSubmit(button?.hasAttribute("data-again") ? null : button);
}

function show(text) {
  const answer = new DOMParser().parseFromString(text, "text/html");
  const news = [...answer.querySelectorAll(".notice")];
  told.replaceChildren(...news);
  setTimeout(() => news.forEach((one) => one.remove()), TOLD_MS);
  const link = answer.querySelector("template");
  if (link) document.querySelector('header a[href="/cart"]')?.replaceChildren(...link.content.childNodes);
}
