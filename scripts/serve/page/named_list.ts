import { byId, copyOf, fillChoice, partOf } from "./dom.ts";

/** A list of names, to which a choice adds: LoRAs with scales, or textual inversions, which have none but perhaps a token. */
export class NamedList {
  readonly #choice: HTMLSelectElement;
  readonly #list: HTMLUListElement;
  readonly #field: HTMLElement;
  readonly #hasScale: boolean;
  #offered: readonly string[] = [];

  /** The field whose parts have ids that begin with `id`. */
  constructor(id: string, { hasScale }: { hasScale: boolean }) {
    this.#choice = byId(id, HTMLSelectElement);
    this.#list = byId(`${id}-list`, HTMLUListElement);
    this.#field = byId(`${id}-field`, HTMLElement);
    this.#hasScale = hasScale;
    byId(`${id}-add`, HTMLButtonElement).addEventListener("click", () => {
      const { value } = this.#choice;
      if (!this.#rows().some(({ name }) => name === value)) this.#add(value, "1", []);
    });
  }

  /** Shows what may be named, each with a text for people; those that are no longer offered leave the list. */
  offer(pairs: readonly (readonly [name: string, text: string])[]): void {
    this.#offered = pairs.map(([name]) => name);
    fillChoice(this.#choice, [["", pairs]]);
    for (const { name, row } of this.#rows()) if (!this.#offered.includes(name)) row.remove();
    this.#field.hidden = pairs.length === 0;
  }

  /** The names as requests have them: "style:0.8". */
  read(): string[] {
    return this.#rows().map(({ name, row }) => {
      const more = row.dataset["more"] ?? [];
      if (!this.#hasScale) return [name, more].flat().join("=");
      const { value } = partOf<HTMLInputElement>(row, "input");
      return [name, value, more].flat().join(":");
    });
  }

  /** Takes names as requests have them. Returns those that are not offered. */
  fill(names: readonly string[]): string[] {
    this.#list.replaceChildren();
    return names.flatMap((text) => {
      const [name = "", ...more] = text.split(this.#hasScale ? ":" : "=");
      if (!this.#offered.includes(name)) return [name];
      const hasScale = this.#hasScale && Number.isFinite(Number(more[0]));
      this.#add(name, hasScale ? more[0]! : "1", hasScale ? more.slice(1) : more);
      return [];
    });
  }

  #rows(): { readonly name: string; readonly row: HTMLElement }[] {
    const rows = [...this.#list.children] as HTMLElement[];
    return rows.map((row) => ({ name: row.dataset["name"]!, row }));
  }

  /** `more` is what else stands behind the name: blocks and parts of the steps, or a token. */
  #add(name: string, scale: string, more: readonly string[]): void {
    if (name === "") return;
    const row = copyOf("named-row");
    row.dataset["name"] = name;
    if (more.length > 0) row.dataset["more"] = more.join(this.#hasScale ? ":" : "=");
    const text = [...this.#choice.options].find(({ value }) => value === name)?.text ?? name;
    partOf(row, ".name").textContent = [text, ...more].join(" · ");
    const field = partOf<HTMLInputElement>(row, "input");
    if (this.#hasScale) Object.assign(field, { value: scale, ariaLabel: `Scale of ${name}` });
    else field.remove();
    const remove = partOf<HTMLButtonElement>(row, "button");
    remove.ariaLabel = `Remove ${name}`;
    remove.addEventListener("click", () => {
      row.remove();
      this.#choice.focus();
    });
    this.#list.append(row);
  }
}
