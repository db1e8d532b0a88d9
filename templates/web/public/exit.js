// Whoever must leave a page at once sees nothing of it from then on, however slow the next one is, and "back" does not lead here.
// Without this script it is a plain link.
"use strict";

for (const link of document.querySelectorAll(".exit a")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    document.documentElement.hidden = true;
    document.title = "\u200e";
    location.replace(link.href);
  });
}
