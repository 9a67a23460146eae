// A form marked data-once is sent once: the button that sent it says so and takes no second click.

let sending = null; // the form that is on its way, and its button

addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-once]")) return;
  if (form.dataset.sent) return event.preventDefault();
  const button = event.submitter ?? form.querySelector("button");
  form.dataset.sent = "yes";
  sending = { form, button, words: button.textContent };
  button.textContent = form.dataset.once;
  button.setAttribute("aria-disabled", "true");
});

// Coming back by the browser's history shows the page as it was left: make its form usable again.
addEventListener("pageshow", (event) => {
  if (!event.persisted || !sending) return;
  delete sending.form.dataset.sent;
  sending.button.textContent = sending.words;
  sending.button.removeAttribute("aria-disabled");
  sending = null;
});
