/** What is known of a queue when a worker looks for work. */
export interface Sight {
  readonly model: string;
  /** Requests in it. */
  readonly waiting: number;
  /** Other workers that draw with its model. */
  readonly others: number;
}

/**
 * The order in which a worker that offers several models looks into their queues. It stays with the model that it has loaded
 * while there is work for it, as each change costs a load; but after a turn it leaves for a queue that nobody serves, so that
 * every request's turn comes whatever else waits.
 */
export class Route {
  readonly #turnMs: number;
  readonly #visits = new Map<string, number>(); // when it came to each model
  #current: string | undefined;
  #turnEnds = 0;

  /** `turn` in seconds. */
  constructor(turn: number) {
    this.#turnMs = 1000 * turn;
  }

  /** The model that was drawn with last. */
  get current(): string | undefined {
    return this.#current;
  }

  /** True if its queue is looked into first, before any other is looked at. */
  isLoyal(now: number): boolean {
    return this.#current !== undefined && now < this.#turnEnds;
  }

  /**
   * Models with work, in the order in which their queues are tried: those that nobody serves, then its own, then those that
   * fewest serve; where that is the same, those first to which it did not come for the longest time.
   */
  order(sights: readonly Sight[]): readonly string[] {
    const rank = ({ model, others }: Sight) => model === this.#current ? 0.5 : others;
    const visit = ({ model }: Sight) => this.#visits.get(model) ?? 0;
    return sights.filter(({ waiting }) => waiting > 0)
      .toSorted((a, b) => rank(a) - rank(b) || visit(a) - visit(b))
      .map(({ model }) => model);
  }

  /** Says that a request of a model is drawn now. */
  took(model: string, now: number): void {
    if (model !== this.#current || now >= this.#turnEnds) this.#turnEnds = now + this.#turnMs;
    this.#visits.set(model, now);
    this.#current = model;
  }
}
