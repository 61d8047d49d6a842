// What the theme leaves unnamed, or names twice, for readers who do not see the page.
// The theme's icons are swapped for drawings whenever Font Awesome gets to it, before or after `load`.
// Three of them, titled Light, Dark and System Settings, of which one is shown: the button's own name says more.
const hush = (button) => {
  for (const icon of button.querySelectorAll(":scope > :is(i, svg)")) {
    icon.querySelector("title")?.remove();
    icon.removeAttribute("title");
    icon.removeAttribute("aria-labelledby");
    icon.setAttribute("aria-hidden", "true");
  }
};
addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll(".theme-switch-button")) {
    hush(button);
    new MutationObserver(() => hush(button)).observe(button, { childList: true });
  }
});
addEventListener("load", () => {
  for (const named of document.querySelectorAll(":is(button, summary)[aria-label]"))
    if (named.textContent.trim()) named.removeAttribute("aria-label");
  for (const summary of document.querySelectorAll("summary"))
    if (!summary.textContent.trim()) summary.setAttribute("aria-label", "Show or hide the sections");
  // docutils calls the bibliography a list, and its entries something else.
  for (const list of document.querySelectorAll(".citation-list[role=list]")) list.removeAttribute("role");
  // A wide table scrolls in its own box on a phone: let the arrow keys do it, too.
  for (const table of document.querySelectorAll("article table"))
    if (table.scrollWidth > table.clientWidth) table.tabIndex = 0;
  const sidebar = document.querySelector(".bd-sidebar-primary");
  sidebar?.setAttribute("role", "complementary");
  sidebar?.setAttribute("aria-label", "Book");
});
