import type { Stretch } from "./records.ts";

/** The stretches of work that scripts name by `device.mark`, for profiles and for errors of checks. */
export class Marks {
  /** Told of every stretch that begins. */
  onBegin: ((stretch: Stretch) => void) | undefined;
  /** Those that go on, the outermost first. */
  readonly #open: Stretch[] = [];
  #turns = 0;
  /** The stretches in which nodes were recorded that did not run yet, by the nodes' numbers. */
  readonly #noted = new Map<number, Stretch>();
  #current: Stretch | undefined;

  /** The stretch of what is encoded now. */
  get current(): Stretch | undefined {
    return this.#current;
  }

  /** Begins a stretch, see `device.mark`. */
  begin(name: string): Disposable {
    const outer = this.#open.at(-1);
    const stretch: Stretch = {
      mark: outer ? `${outer.mark}/${name}` : name,
      turn: outer?.turn ?? ++this.#turns,
      start: performance.now(),
      end: undefined,
    };
    this.#open.push(stretch);
    this.onBegin?.(stretch);
    return {
      [Symbol.dispose]: () => {
        stretch.end ??= performance.now();
        const i = this.#open.indexOf(stretch);
        if (i >= 0) this.#open.splice(i, 1);
      },
    };
  }

  /** Takes note of the stretch in which a node is recorded; numbers grow. */
  note(id: number): void {
    const stretch = this.#open.at(-1);
    if (stretch) this.#noted.set(id, stretch);
  }

  /** Commands encoded from now on belong to the node of this number. */
  enter(id: number): void {
    this.#current = this.#noted.get(id);
    for (const other of this.#noted.keys()) {
      if (other > id) break;
      this.#noted.delete(other); // work is encoded in order
    }
  }
}
