// Tells the server which sample part was pressed, and on the Inspect page marks the one that the viewer
// shows.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-sample]");
  if (button) trigger("choose", { index: Number(button.dataset.sample) });
});

document.addEventListener("inspector:shown", (event) => {
  if (!element.closest("#shelf")) return;
  element.querySelectorAll("[data-sample]").forEach((button) => {
    button.setAttribute("aria-pressed", String(Number(button.dataset.sample) === event.detail));
  });
});
