import assert from "node:assert/strict";
import { Drawer, type DrawOptions } from "denoise/serve";
import { until } from "./until.ts";

/** Counts the steps that a drawer's drawings and profiles do although they were told to stop, which no clock disturbs. */
export class Endings implements Disposable {
  readonly #drawer: Drawer;
  #underWay = 0;
  /** Of those that ended and were told to stop: their steps after that. */
  #late: number[] = [];

  /** Counts from now on, until disposed of. */
  constructor(drawer: Drawer) {
    this.#drawer = drawer;
    drawer.draw = this.#noting(drawer.draw);
    drawer.profile = this.#noting(drawer.profile);
  }

  /** Waits until nothing is under way. Expects that so many were told to stop since the last call, and did so within a step. */
  async expectStopped(count = 1): Promise<void> {
    await until(() => this.#underWay === 0);
    const late = this.#late.splice(0);
    assert.equal(late.length, count, "told to stop");
    assert.ok(late.every((steps) => steps <= 1), `went on for ${late} steps`);
  }

  [Symbol.dispose](): void {
    const { draw, profile } = Drawer.prototype;
    Object.assign(this.#drawer, { draw, profile });
  }

  #noting<Request, Result>(
    work: (request: Request, options: DrawOptions) => Promise<Result>,
  ): (request: Request, options?: DrawOptions) => Promise<Result> {
    return async (request, options = {}) => {
      const { signal, interruption } = options;
      const isStopped = () => signal?.aborted || interruption?.isOver;
      let late = 0;
      this.#underWay++;
      try {
        return await work.call(this.#drawer, request, {
          ...options,
          onProgress: (progress) => {
            if (isStopped() && /drawing|measuring/.test(progress.phase)) late++;
            options.onProgress?.(progress);
          },
        });
      } finally {
        this.#underWay--;
        if (isStopped()) this.#late.push(late);
      }
    };
  }
}
