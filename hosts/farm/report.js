"use strict";
for (const slider of document.querySelectorAll("input[data-wipe]")) {
  const picture = document.getElementById(slider.dataset.wipe);
  slider.addEventListener("input", () => picture.style.setProperty("--at", slider.value));
}
document.documentElement.dataset.ready = "yes";
