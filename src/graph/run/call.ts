import type { DType } from "../../core/dtype.ts";
import { Node } from "../node.ts";
import type { Plan } from "./plan.ts";

/** One run of a plan on given values. */
export class Call {
  readonly outputs: Output[];

  constructor(readonly plan: Plan, public inputs: readonly Node[], path: string) {
    this.outputs = plan.outputs.map((node) => new Output(this, node.dtype, node.count, path));
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
