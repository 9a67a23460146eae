// Makes the pages nicer; every page works without it.
// R1 Quantities refresh by themselves, only while the page is seen, and an unchanged answer costs no body (ETag).
// R2 A form marked data-once is sent once: its button says so and takes no second click.

const areas = document.querySelectorAll("[data-refresh-seconds]");
const shownNumber = new Intl.NumberFormat("en-GB");

function show(badge, available) {
  const text = available === 0 ? "sold out" : `${shownNumber.format(available)} left`;
  if (badge.textContent === text) return;
  badge.textContent = text;
  badge.classList.toggle("none", available === 0);
  badge.classList.toggle("few", available > 0 && available <= 5);
  badge.classList.add("changed");
  setTimeout(() => badge.classList.remove("changed"), 1200);
}

async function refresh(badges) {
  const ids = [...new Set([...badges].map((badge) => badge.dataset.stock))].sort().slice(0, 100);
  const response = await fetch(`/stock?ids=${ids.join(",")}`);
  if (!response.ok) return;
  const { available } = await response.json();
  for (const badge of badges) show(badge, available[badge.dataset.stock] ?? 0);
}

const badges = document.querySelectorAll("[data-stock]");
if (areas.length && badges.length) {
  const pause = Number(areas[0].dataset.refreshSeconds) * 1000;
  const again = async () => {
    try {
      if (!document.hidden) await refresh(badges);
    } catch {
      // The network is away for a moment; the next round asks again.
    } finally {
      setTimeout(again, pause);
    }
  };
  setTimeout(again, pause);
}

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    const button = form.querySelector("button");
    button.dataset.words = button.textContent;
    button.textContent = form.dataset.once;
    button.setAttribute("aria-disabled", "true");
  });
}

// Coming back by the browser's history shows the page as it was left: make its forms usable again.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    const button = form.querySelector("button");
    button.textContent = button.dataset.words;
    button.removeAttribute("aria-disabled");
  }
});

const clock = document.querySelector("[data-seconds-left]");
if (clock) {
  const end = performance.now() + Number(clock.dataset.secondsLeft) * 1000;
  const words = (seconds) => {
    if (seconds < 60) return `${seconds} s`;
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, "0")} s`;
    return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  };
  setInterval(() => {
    clock.textContent = words(Math.max(0, Math.floor((end - performance.now()) / 1000)));
  }, 1000);
}

document.querySelector("[data-focus]")?.focus();
