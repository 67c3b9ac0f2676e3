// Tells the viewer which row of the table was pressed; no server is involved.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-region]");
  if (!button) return;
  document.dispatchEvent(new CustomEvent("inspector:region", { detail: Number(button.dataset.region) }));
});
