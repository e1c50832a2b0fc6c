import { byId } from "./dom.ts";
import { PictureIn } from "./picture_in.ts";
import { References } from "./references.ts";
import type { PageRequest } from "./request.ts";

const MASK_BLUR = 4; // A1111's
const NO_MASK = { "mask-blur": undefined, "mask-content": undefined };

/** The picture that is changed, with its mask, or those that the prompt is about, as the model takes them. */
export class Originals {
  readonly #picture: PictureIn;
  readonly #references: References;
  #most = 1;

  /** For pictures of at most so many pixels: larger ones are made smaller. `onSize` gets the size of each that is to be changed. */
  constructor(pixels: number, onSize: ConstructorParameters<typeof PictureIn>[1]) {
    this.#picture = new PictureIn(pixels, onSize);
    this.#references = new References(pixels);
    this.#references.onChange = () => this.#show();
  }

  /** Shows one picture, or as many as the model takes. */
  suit(most: number): void {
    this.#most = most;
    this.#show();
  }

  /** Takes a picture to change, or one more that the prompt is about. Throws a TypeError where it is none. */
  async take(file: Blob): Promise<void> {
    if (this.#most > 1) await this.#references.add(file);
    else await this.#picture.take(file);
  }

  /** The settings of a request; what belongs to a picture is undefined without one. */
  read(): Partial<Record<keyof PageRequest, unknown>> {
    const none = { ...NO_MASK, strength: undefined, resize: undefined };
    if (this.#most > 1) return { ...none, image: this.#references.images };
    const { image, mask } = this.#picture;
    if (!image) return none;
    if (!mask) return { ...NO_MASK, image };
    return { image, mask, "mask-blur": Number(byId("mask-blur", HTMLInputElement).value) || MASK_BLUR };
  }

  /** Takes the pictures of a request. */
  async fill({ image, mask }: Partial<PageRequest>): Promise<void> {
    const images = [image ?? []].flat();
    await this.#references.fill(this.#most > 1 ? images : []);
    await this.#picture.take(this.#most > 1 ? undefined : images[0], mask);
  }

  #show(): void {
    const isOne = this.#most === 1;
    byId("picture-title", HTMLElement).textContent = isOne
      ? "Picture to change"
      : "Pictures that the prompt is about";
    byId("references", HTMLElement).hidden = isOne;
    byId("picture-none", HTMLElement).hidden = isOne
      ? this.#picture.image !== undefined
      : this.#references.images.length >= this.#most;
    byId("picture-some", HTMLElement).hidden = !isOne || this.#picture.image === undefined;
  }
}
