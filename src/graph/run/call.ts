import type { DType } from "../../core/dtype.ts";
import type { Encoding } from "../../gpu/encoding.ts";
import type { Counts, Ran } from "../check/counts.ts";
import { Node } from "../node.ts";
import type { Plan } from "./plan.ts";
import { type Fetch, liveStorage, type Work } from "./work.ts";

/** One run of a plan on given values. */
export class Call implements Work {
  readonly outputs: Output[];
  /** None: a plan has its own. */
  readonly uniforms = [];

  constructor(readonly plan: Plan, public inputs: readonly Node[], path: string) {
    this.outputs = plan.outputs.map((node) => new Output(this, node.dtype, node.count, path));
  }

  get id(): number {
    return this.outputs[0]!.id;
  }

  get preparing(): readonly Promise<void>[] {
    return this.plan.preparing;
  }

  get ran(): readonly Ran[] {
    return this.plan.ran;
  }

  get counts(): Counts | undefined {
    return this.plan.counts;
  }

  again(encoding: Encoding, last: number): Iterable<Fetch> {
    return this.plan.again(encoding, last);
  }

  *encode(encoding: Encoding): Generator<Fetch, void> {
    const results = yield* this.plan.encode(encoding, this.inputs.map(liveStorage));
    results.forEach((storage, i) => this.outputs[i]!.store(storage));
  }
}

/** A result of a call. */
export class Output extends Node {
  constructor(readonly call: Call, dtype: DType, count: number, path: string) {
    super(dtype, count, path);
  }

  get sources(): readonly Node[] {
    return this.call.inputs;
  }

  retire(): void {
    this.call.inputs = [];
  }
}
