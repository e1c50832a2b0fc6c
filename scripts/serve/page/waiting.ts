import { byId, copyOf, partOf } from "./dom.ts";
import type { Turn } from "./line.ts";
import { factsOf } from "./request.ts";

/** What the user does with one that waits or has failed. */
interface Acts {
  cancel(turn: Turn): void;
  retry(turn: Turn): void;
}

/** The list of what waits, in its order, and of what has failed behind others. */
export class Waiting {
  readonly #acts: Acts;
  readonly #list = byId("waiting-list", HTMLUListElement);
  readonly #rows = new Map<Turn, HTMLElement>();

  constructor(acts: Acts) {
    this.#acts = acts;
  }

  /** Shows these. `isFull` while the server has no room for those that it does not have. */
  show(turns: readonly Turn[], isFull: boolean): void {
    const rows = turns.map((turn) => this.#rowOf(turn));
    for (const [turn, row] of this.#rows) if (!turns.includes(turn)) this.#remove(turn, row);
    for (const [i, row] of rows.entries()) {
      if (this.#list.children[i] !== row) this.#list.insertBefore(row, this.#list.children[i] ?? null);
      this.#tell(turns[i]!, row, isFull);
    }
    const failed = turns.filter(({ error }) => error).length;
    const waiting = turns.length - failed;
    byId("waiting", HTMLElement).hidden = turns.length === 0;
    byId("waiting-title", HTMLElement).textContent = [
      waiting > 0 && (waiting === 1 ? "1 waits" : `${waiting} wait`),
      failed > 0 && `${failed} failed`,
    ].filter(Boolean).join(", ");
    byId("cancel-all", HTMLElement).hidden = waiting < 2;
  }

  #rowOf(turn: Turn): HTMLElement {
    const known = this.#rows.get(turn);
    if (known) return known;
    const { kind, request } = turn.wish;
    const row = copyOf("waiting-row");
    const words = request.prompt || request.model;
    partOf(row, ".words").textContent = kind === "profile" ? `A step's profile: ${words}` : words;
    partOf(row, ".facts").textContent = factsOf(request, request.size);
    partOf(row, ".again").addEventListener("click", () => this.#acts.retry(turn));
    partOf(row, ".leave").addEventListener("click", () => this.#acts.cancel(turn));
    this.#rows.set(turn, row);
    return row;
  }

  /** Says how it stands with one. */
  #tell({ wish: { request }, job, error }: Turn, row: HTMLElement, isFull: boolean): void {
    const isHeld = isFull && job === undefined && !error;
    partOf(row, ".held").textContent = isHeld
      ? "The server's queue is full: this is sent when there is room."
      : "";
    const why = partOf(row, ".error");
    if (error && why.textContent === "") why.textContent = error.message; // which is read out once
    partOf(row, ".again").hidden = error === undefined;
    partOf(row, ".leave").ariaLabel = `${error ? "Remove" : "Cancel"} ${request.prompt || request.model}`;
  }

  /** Removes a row; the focus goes to the one beside it, or to the form. */
  #remove(turn: Turn, row: HTMLElement): void {
    const beside = row.nextElementSibling ?? row.previousElementSibling;
    const hadFocus = row.contains(document.activeElement);
    row.remove();
    this.#rows.delete(turn);
    if (hadFocus) (beside ? partOf(beside, ".leave") : byId("draw", HTMLElement)).focus();
  }
}
