// Switches the theme, and lets a picture be pasted anywhere on the page.
element.addEventListener("click", (event) => {
  if (event.target.closest(".theme-button")) document.body.classList.toggle("dark");
});

document.addEventListener("paste", (event) => {
  if (event.target.closest("input, textarea")) return; // somebody is typing
  const file = [...event.clipboardData.files].find((candidate) => candidate.type.startsWith("image/"));
  const input = document.querySelector("#photo input[type=file]");
  if (!file || !input) return;
  const files = new DataTransfer();
  files.items.add(file);
  input.files = files.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});
