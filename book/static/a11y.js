// The theme labels some buttons twice, and leaves its sidebar without a landmark.
document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll("button[aria-label]"))
    if (button.textContent.trim()) button.removeAttribute("aria-label");
  const sidebar = document.querySelector(".bd-sidebar-primary");
  sidebar?.setAttribute("role", "complementary");
  sidebar?.setAttribute("aria-label", "Book");
});
