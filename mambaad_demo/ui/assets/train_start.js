(leftOut, ...values) => {
  const boxes = document.querySelectorAll("#train-preflight input[data-leave]:checked");
  return [[...new Set([...boxes].map((box) => box.dataset.leave))], ...values];
}
