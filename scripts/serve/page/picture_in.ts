import { byId, SMALL } from "./dom.ts";
import { MaskEditor } from "./mask_editor.ts";
import { paint, pixelsOf, pngOf } from "./pixels.ts";

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
  /** Pictures that came so far: one that is read slowly does not take the place of a later one. */
  #taken = 0;

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
    const turn = ++this.#taken;
    this.#file.value = "";
    const pixels = file && await pixelsOf(file, this.#most);
    const image = pixels && await pngOf(pixels);
    const ground = mask && await pixelsOf(mask, this.#most);
    if (turn !== this.#taken) return;
    [this.#pixels, this.image, this.mask] = [pixels, image, mask];
    this.#editor.begin(pixels, ground);
    this.#onSize(pixels);
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
    byId("mask-fields", HTMLElement).hidden = this.mask === undefined;
    byId("mask-open", HTMLButtonElement).textContent = this.mask ? "Change the mask" : "Paint a mask";
    this.#shown.ariaLabel = this.mask ? "The picture to change, with its mask" : "The picture to change";
    if (!picture) return;
    paint(this.#shown, picture);
    this.#shown.classList.toggle("small", picture.width < SMALL);
    const context = this.#shown.getContext("2d")!;
    context.globalAlpha = 0.6;
    context.drawImage(this.#editor.painted, 0, 0);
  }
}
