// Small repairs to the theme's markup, so that a screen reader hears what the eye sees.
document.addEventListener("DOMContentLoaded", () => {
  // The search button shows "Search Ctrl K" and calls itself "Search": the visible text is the name.
  document.querySelectorAll(".search-button-field").forEach((b) => b.removeAttribute("aria-label"));
  // Folded code calls itself "Toggle hidden content" and shows "Show the code": the latter is its name.
  document.querySelectorAll("details.hide > summary[aria-label]").forEach((s) => s.removeAttribute("aria-label"));
  // docutils makes a list of citations whose entries are no list items.
  document.querySelectorAll(".citation-list[role=list]").forEach((l) => l.removeAttribute("role"));
});
