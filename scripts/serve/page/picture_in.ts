import { byId, SMALL } from "./dom.ts";
import { MaskEditor } from "./mask_editor.ts";

/** The picture that is changed, and its mask. */
export class PictureIn {
  /** Its PNG. */
  image: Blob | undefined;
  /** The PNG of a picture that is white where it is drawn anew. */
  mask: Blob | undefined;
  readonly #most: number;
  readonly #onSize: (size?: { readonly width: number; readonly height: number }) => void;
  readonly #shown = byId("picture-shown", HTMLCanvasElement);
  readonly #file = byId("picture-file", HTMLInputElement);
  readonly #editor = new MaskEditor();
  #pixels: HTMLCanvasElement | undefined;

  /** For pictures of at most so many pixels: larger ones are made smaller. `onSize` gets the size of each that comes. */
  constructor(most: number, onSize: (size?: { readonly width: number; readonly height: number }) => void) {
    this.#most = most;
    this.#onSize = onSize;
    byId("picture-remove", HTMLButtonElement).addEventListener("click", async () => {
      await this.take(undefined);
      this.#file.focus();
    });
    byId("mask-open", HTMLButtonElement).addEventListener("click", () => this.#paint());
  }

  /** Takes a file and perhaps a mask, or nothing. Throws a TypeError where it is no picture. */
  async take(file: Blob | undefined, mask?: Blob): Promise<void> {
    this.#file.value = "";
    this.#pixels = file && await pixelsOf(file, this.#most);
    this.image = this.#pixels && await pngOf(this.#pixels);
    this.mask = mask;
    this.#editor.begin(this.#pixels, mask && await pixelsOf(mask, this.#most));
    this.#onSize(this.#pixels);
    this.#show();
  }

  async #paint(): Promise<void> {
    const canvas = await this.#editor.paint();
    this.mask = canvas && await pngOf(canvas);
    this.#show();
    byId("mask-open", HTMLButtonElement).focus();
  }

  #show(): void {
    const picture = this.#pixels;
    byId("picture-none", HTMLElement).hidden = picture !== undefined;
    byId("picture-some", HTMLElement).hidden = picture === undefined;
    byId("mask-open", HTMLButtonElement).textContent = this.mask ? "Change the mask" : "Paint a mask";
    this.#shown.ariaLabel = this.mask ? "The picture to change, with its mask" : "The picture to change";
    if (!picture) return;
    Object.assign(this.#shown, { width: picture.width, height: picture.height });
    this.#shown.classList.toggle("small", picture.width < SMALL);
    const context = this.#shown.getContext("2d")!;
    context.drawImage(picture, 0, 0);
    context.globalAlpha = 0.6;
    context.drawImage(this.#editor.painted, 0, 0);
  }
}

/** A picture's pixels, turned as its camera says; transparent ones on white. */
async function pixelsOf(file: Blob, most: number): Promise<HTMLCanvasElement> {
  const picture = await createImageBitmap(file).catch(() => {
    throw new TypeError("Cannot read the picture: expected a PNG, JPEG or WebP");
  });
  const scale = Math.min(1, Math.sqrt(most / (picture.width * picture.height)));
  const [width, height] = [picture.width, picture.height].map((side) =>
    Math.max(1, Math.floor(side * scale))
  );
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d")!;
  context.fillStyle = "white";
  context.fillRect(0, 0, width!, height!);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, width!, height!);
  return canvas;
}

function pngOf(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) => {
    canvas.toBlob(
      (blob) => blob ? resolve(blob) : reject(new Error("Cannot write the picture")),
      "image/png",
    );
  });
}
