import { fullPath, shapeText } from "../figures.ts";
import type { Profile, ProfileRow } from "../form.ts";

/**
 * What all views of a page show together: the rows that the filter lets through, and those that are selected.
 */
export class State {
  /** For each row whether the filter lets it through. */
  wanted: readonly boolean[];
  /** True while the filter leaves rows out. */
  isFiltered = false;
  /** Indices of the selected rows. */
  selected: ReadonlySet<number> = new Set();
  /** Their name. */
  title = "";
  readonly #texts: readonly string[];
  readonly #listeners: (() => void)[] = [];

  constructor({ rows }: Profile) {
    this.#texts = rows.map(searchedText);
    this.wanted = rows.map(() => true);
  }

  /** Lets rows through that have all words of a text in their module, kernel or shape. */
  filter(text: string): void {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.isFiltered = words.length > 0;
    this.wanted = this.#texts.map((own) => words.every((word) => own.includes(word)));
    this.#changed();
  }

  /** Selects rows; none with an empty list. */
  select(title: string, rows: Iterable<number>): void {
    this.title = title;
    this.selected = new Set(rows);
    this.#changed();
  }

  /**
   * True for rows that stand out now: the selected ones that the filter lets through, or all of these where
   * none is selected.
   */
  isLit(row: number): boolean {
    return this.wanted[row]! && (this.selected.size === 0 || this.selected.has(row));
  }

  /** Calls a function now and after each change. */
  watch(listener: () => void): void {
    this.#listeners.push(listener);
    listener();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

function searchedText(row: ProfileRow): string {
  return `${fullPath(row)} ${row.kernel} ${shapeText(row)}`.toLowerCase();
}
