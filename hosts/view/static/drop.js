// Environments dropped on the page: on the picture to light it alone, elsewhere to be added.

export function acceptDrops(page, take) {
  const onPicture = (event) => page.stage.contains(event.target);
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    page.drop.hidden = false;
    page.drop.textContent = onPicture(event)
      ? "Light the picture with this alone"
      : "Add this to the lights";
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) page.drop.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    page.drop.hidden = true;
    const [file] = event.dataTransfer.files;
    if (!file) return;
    event.preventDefault();
    take(file, onPicture(event));
  });
}
