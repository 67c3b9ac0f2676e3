// Boxes of one photo agree with each other, a group can be ticked at once, and the count follows. Start reads
// the ticked boxes itself. Text reaches the page through textContent only.
const boxes = () => [...element.querySelectorAll("input[data-leave]:not([data-refused])")];

function count() {
  const out = new Set(boxes().filter((box) => box.checked).map((box) => box.dataset.leave));
  const place = element.querySelector("[data-photos]");
  if (!place) return;
  const all = Number(place.dataset.photos);
  place.textContent = out.size ? `${all - out.size} of ${all} photos` : `${all} photos`;
  place.closest("p").classList.toggle("tone-reject", all - out.size < Number(place.dataset.fewest));
}

element.addEventListener("change", (event) => {
  const name = event.target.dataset?.leave;
  if (name === undefined) return;
  for (const box of boxes()) if (box.dataset.leave === name) box.checked = event.target.checked;
  count();
});

element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-tick]");
  if (!button) return;
  const group = [...button.closest("section").querySelectorAll("input[data-leave]:not([data-first])")];
  const checked = !group.every((box) => box.checked);
  const names = new Set(group.map((box) => box.dataset.leave));
  for (const box of boxes()) if (names.has(box.dataset.leave)) box.checked = checked;
  count();
});
