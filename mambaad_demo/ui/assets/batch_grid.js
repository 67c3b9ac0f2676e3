// Tells the server which picture or page of the batch was pressed.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-inspection], [data-offset]");
  if (!button) return;
  if (button.dataset.inspection) trigger("choose", { inspection: Number(button.dataset.inspection) });
  else trigger("choose", { offset: Number(button.dataset.offset) });
});
