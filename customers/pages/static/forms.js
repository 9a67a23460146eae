// Sends forms once and says how long they take; without it every form works, and is as safe.
// F1 A form marked data-once is sent once: its button says so in the words of data-once and takes no second click.
// F2 After one second the button shows that it waits. After ten the form's data-slow template says so honestly, and offers
//    to send the same form again (data-again): for a purchase the same key, so it finds the order or places it, once.
// F3 Coming back by the browser's history shows the page as it was left: its forms can be used again.

const WAITING_MS = 1_000;
const SLOW_MS = 10_000;

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
  if (button) send(form, button);
});

addEventListener("pageshow", (event) => {
  if (event.persisted) [...sent.keys()].forEach(release);
});
