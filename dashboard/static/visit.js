// What pages of the visit can do beyond plain forms. Everything here has a way that works without it.

// The button under the headshots says what it will do with what is ticked.
const count = () => {
  const button = document.querySelector("[data-labels]");
  if (!button) return;
  const labels = JSON.parse(button.dataset.labels);
  const ticked = document.querySelectorAll("[data-pick]:checked").length;
  button.textContent = labels[Math.min(ticked, labels.length - 1)];
};
document.addEventListener("change", (event) => {
  if (event.target instanceof Element && event.target.matches("[data-pick]")) count();
});
document.addEventListener("htmx:afterSettle", count);
count();

// The arrow keys lead on, as the links of the page do. In a page that is read from the right they are the other way round.
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || (event.target instanceof Element && event.target.closest("input, textarea, select"))) return;
  const turned = document.documentElement.dir === "rtl" ? { ArrowLeft: "ArrowRight", ArrowRight: "ArrowLeft" } : {};
  document.querySelector(`a[data-key="${turned[event.key] ?? event.key}"]`)?.click();
});
