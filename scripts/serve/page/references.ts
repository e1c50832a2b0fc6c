import { byId, copyOf, partOf } from "./dom.ts";
import { paint, pixelsOf, pngOf } from "./pixels.ts";

/** The pictures that a prompt is about, for models that take several. */
export class References {
  readonly #most: number;
  readonly #list = byId("references", HTMLUListElement);
  readonly #file = byId("picture-file", HTMLInputElement);
  readonly #files = new Map<Element, Blob>();
  /** Called when one comes or goes. */
  onChange: () => void = () => {};

  /** For pictures of at most so many pixels: larger ones are made smaller. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Their PNGs, in order. */
  get images(): readonly Blob[] {
    return [...this.#list.children].map((row) => this.#files.get(row)!);
  }

  /** Takes one more. Throws a TypeError where it is no picture. */
  async add(file: Blob): Promise<void> {
    this.#file.value = "";
    const pixels = await pixelsOf(file, this.#most);
    const png = await pngOf(pixels);
    const row = copyOf("reference");
    this.#files.set(row, png);
    paint(partOf<HTMLCanvasElement>(row, "canvas"), pixels);
    const remove = partOf<HTMLButtonElement>(row, "button");
    remove.addEventListener("click", () => {
      row.remove();
      this.#files.delete(row);
      this.#number();
      this.#file.focus();
    });
    this.#list.append(row);
    this.#number();
  }

  /** Takes these in place of those that are there. */
  async fill(files: readonly Blob[]): Promise<void> {
    this.#list.replaceChildren();
    this.#files.clear();
    this.#number();
    for (const file of files) await this.add(file);
  }

  /** Their numbers are what a prompt calls them by. */
  #number(): void {
    for (const [i, row] of [...this.#list.children].entries()) {
      partOf(row, "canvas").ariaLabel = `Picture ${i + 1}`;
      partOf(row, "button").ariaLabel = `Remove picture ${i + 1}`;
      partOf(row, ".name").textContent = String(i + 1);
    }
    this.onChange();
  }
}
