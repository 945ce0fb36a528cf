// Initials, or a photo of one's own, as a square picture for directories. Both are made in this browser and sent nowhere.

const SIDE = 648;
const save = (source, width, height, name) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const side = Math.min(width, height);
  canvas.getContext("2d").drawImage(source, (width - side) / 2, (height - side) / 2, side, side, 0, 0, SIDE, SIDE);
  canvas.toBlob((picture) => {
    if (!picture) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(picture);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }, "image/png");
};

const initials = document.querySelector("img[data-initials]");
document.querySelector("[data-save-initials]")?.addEventListener("click", () => save(initials, initials.naturalWidth || SIDE, initials.naturalHeight || SIDE, "initials.png"));

document.querySelector("[data-own-photo]")?.addEventListener("change", async (event) => {
  const said = document.querySelector("[data-own-said]");
  const [file] = event.target.files;
  event.target.value = "";
  try {
    const picture = await createImageBitmap(file);
    save(picture, picture.width, picture.height, "my-photo.png");
    said.textContent = said.dataset.done;
  } catch { said.textContent = said.dataset.failed; }
});
