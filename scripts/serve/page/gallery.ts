import { byId, copyOf, partOf } from "./dom.ts";
import type { PictureRecord, Records } from "./records.ts";

const AT_ONCE = 48; // pictures that are read from the store together

/** Small pictures of all that is kept, the newest first. */
export class Gallery {
  readonly #records: Records;
  readonly #choose: (record: PictureRecord) => void;
  readonly #list = byId("cards", HTMLUListElement);
  readonly #more = byId("more", HTMLButtonElement);
  readonly #cards = new Map<number, HTMLElement>();

  /** `choose` is called for the picture that the user takes. */
  constructor(records: Records, choose: (record: PictureRecord) => void) {
    this.#records = records;
    this.#choose = choose;
    this.#more.addEventListener("click", () => this.showMore());
    records.onChange = ({ added, removed }) => {
      if (added) this.add(added);
      if (removed !== undefined) this.#drop(removed);
    };
  }

  /** Shows older pictures than it does, as many as are read together. */
  async showMore(): Promise<void> {
    const oldest = Math.min(Infinity, ...this.#cards.keys());
    const found = await this.#records.before(oldest, AT_ONCE);
    for (const record of found) this.#list.append(this.#cardOf(record));
    this.#more.hidden = found.length < AT_ONCE;
    this.#update();
  }

  /** Shows a new picture. */
  add(record: PictureRecord): void {
    this.#list.prepend(this.#cardOf(record));
    this.#update();
  }

  /** Forgets a picture; the focus goes to the one beside it, or to the prompt. */
  async remove({ id }: PictureRecord): Promise<void> {
    await this.#records.remove(id);
    const card = this.#cards.get(id);
    const beside = card?.nextElementSibling ?? card?.previousElementSibling;
    this.#drop(id);
    (beside?.querySelector("button") ?? byId("prompt", HTMLElement)).focus();
  }

  #drop(id: number): void {
    const card = this.#cards.get(id);
    if (!card) return;
    URL.revokeObjectURL(partOf<HTMLImageElement>(card, "img").src);
    card.remove();
    this.#cards.delete(id);
    this.#update();
  }

  /** Marks the picture that is shown large; none without one. */
  mark(record?: PictureRecord): void {
    for (const [id, card] of this.#cards) {
      partOf(card, "button").ariaPressed = String(id === record?.id);
    }
  }

  #cardOf(record: PictureRecord): HTMLElement {
    const card = copyOf("card");
    const image = partOf<HTMLImageElement>(card, "img");
    image.src = URL.createObjectURL(record.small ?? record.png);
    image.alt = record.request.prompt || `Seed ${record.request.seed}`;
    const button = partOf(card, "button");
    button.ariaPressed = "false";
    button.addEventListener("click", () => this.#choose(record));
    this.#cards.set(record.id, card);
    return card;
  }

  #update(): void {
    byId("gallery", HTMLElement).hidden = this.#cards.size === 0;
  }
}
