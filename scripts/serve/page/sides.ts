import type { Sides } from "../../generate/usual.ts";
import { byId } from "./dom.ts";

/** Width and height of what is drawn; what is left empty is as is usual. */
export class SidesFields {
  readonly #width = byId("width", HTMLInputElement);
  readonly #height = byId("height", HTMLInputElement);
  #usual: Sides = { size: { width: 0, height: 0 }, multiple: 1 };

  constructor() {
    byId("swap", HTMLButtonElement).addEventListener("click", () => {
      const { width, height } = this.#said;
      this.#write(height, width);
    });
  }

  /** Shows what is usual, and takes multiples of what divides it. */
  suit(usual: Sides): void {
    this.#usual = usual;
    for (const [side, field] of [["width", this.#width], ["height", this.#height]] as const) {
      field.min = field.step = String(usual.multiple);
      field.placeholder = String(usual.size[side]);
    }
  }

  /** The size as requests have it; undefined where none is said. */
  read(): string | undefined {
    if (this.#width.value === "" && this.#height.value === "") return undefined;
    const { width, height } = this.#said;
    return `${width}x${height}`;
  }

  /** Takes a size as requests have it. */
  fill(size: string | undefined): void {
    const [width = "", height = ""] = size?.split("x") ?? [];
    this.#write(width, height);
  }

  /** Takes as many pixels as are usual, in the shape of a picture; the usual size without one. */
  fit(picture?: { readonly width: number; readonly height: number }): void {
    if (!picture) return this.#write("", "");
    const { size, multiple } = this.#usual;
    const scale = Math.sqrt(size.width * size.height / (picture.width * picture.height));
    const fitting = (side: number) => String(Math.max(1, Math.round(side * scale / multiple)) * multiple);
    this.#write(fitting(picture.width), fitting(picture.height));
  }

  get #said(): { readonly width: string; readonly height: string } {
    const { width, height } = this.#usual.size;
    return {
      width: this.#width.value.trim() || String(width),
      height: this.#height.value.trim() || String(height),
    };
  }

  #write(width: string, height: string): void {
    [this.#width.value, this.#height.value] = [width, height];
  }
}
