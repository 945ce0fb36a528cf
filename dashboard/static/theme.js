// Loaded before anything is painted, so that a remembered choice does not flash. Without a choice the system decides.
(() => {
  document.documentElement.classList.add("js");
  let chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch { /* storage may be closed to us */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
