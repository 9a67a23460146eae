// The catalogue's results follow what is typed and chosen, in place (htmx). Without this the button "Show" does the same.
// C1 Each choice is a step of the browser's history; letters typed one after the other are one step.
// C2 What goes wrong is told by the shop's own page for it, at the address that was asked for.

let typing = false; // whether the newest step of the history came from typing

addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
  const fields = ctx.request.body;
  for (const [name, value] of [...fields]) if (!value || (name === "sort" && value === "name")) fields.delete(name);
  const letters = ctx.sourceEvent.type === "input";
  if (letters && typing) {
    ctx.push = null;
    ctx.replace = "true";
  }
  typing = letters;
});

// The same search again is no step.
addEventListener("htmx:before:history:update", (event) => {
  if (event.detail.history.path === location.pathname + location.search) event.preventDefault();
});

for (const failure of ["htmx:response:error", "htmx:error"]) {
  addEventListener(failure, ({ detail: { ctx } }) => {
    if (ctx) location.assign(ctx.request.action);
  });
}
