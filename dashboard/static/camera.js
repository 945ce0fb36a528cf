// A guided camera: says which photo comes next, shows where the face belongs, and hands what was taken to the queue of
// photos.js. Nothing is taken or sent without a press of the button, and what is dropped stays nowhere.

const dialog = document.getElementById("camera");
const open = document.querySelector("[data-camera]");

if (dialog && open && navigator.mediaDevices?.getUserMedia) {
  const video = dialog.querySelector("video");
  const says = dialog.querySelector("[data-says]");
  const left = dialog.querySelector("[data-left]");
  const poses = JSON.parse(dialog.dataset.poses);
  let stream = null;
  let at = 0;

  const show = () => {
    says.textContent = poses[at % poses.length];
    left.textContent = `${Math.min(at + 1, poses.length)} / ${poses.length}`;
  };
  const stop = () => {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    video.srcObject = null;
  };
  const start = async () => {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: { facingMode: "user", width: { ideal: 1920 }, height: { ideal: 1440 } } });
    } catch {
      // Refused, or there is no camera: the other ways stay, and the page says so.
      dialog.close();
      document.getElementById("messages").textContent = dialog.dataset.none;
      return;
    }
    video.srcObject = stream;
    await video.play().catch(() => {});
  };
  const take = () => {
    if (!video.videoWidth) return;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    const name = `camera-${at + 1}-${Date.now()}.jpg`;
    canvas.toBlob((picture) => {
      if (!picture) return;
      const file = new File([picture], name, { type: "image/jpeg", lastModified: Date.now() });
      document.dispatchEvent(new CustomEvent("photos-taken", { detail: [file] }));
      at += 1;
      if (at === poses.length) dialog.close();
      else show();
    }, "image/jpeg", 0.95);
  };

  open.hidden = false;
  open.addEventListener("click", () => { at = 0; show(); dialog.showModal(); start(); });
  dialog.querySelector("[data-take]").addEventListener("click", take);
  dialog.querySelector("[data-skip]").addEventListener("click", () => { at += 1; if (at >= poses.length) dialog.close(); else show(); });
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => { stop(); open.focus(); });
}
