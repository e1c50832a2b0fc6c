import type { Device } from "../../src/gpu/device.ts";
import { Call } from "../../src/graph/run/call.ts";
import { Input } from "../../src/graph/node.ts";
import type { Plan } from "../../src/graph/run/plan.ts";
import { streamOf } from "../../src/graph/run/stream.ts";
import { Tensor } from "../../src/tensor/mod.ts";

/** A function of tensors, traced for inputs like `examples` and replayed at every call, as models are. */
export function traced(
  device: Device,
  examples: readonly Tensor[],
  fn: (...inputs: Tensor[]) => Tensor[],
): { plan: Plan; run: (...inputs: Tensor[]) => Tensor[] } {
  const stream = streamOf(device);
  const leaves = examples.map((x, i) => new Input(x.dtype, x.size, `input ${i}`));
  let results: Tensor[] = [];
  const plan = stream.trace("traced", leaves, () => {
    const inputs = examples.map((x, i) => new Tensor(device, leaves[i]!, x.shape, x.strides, 0));
    results = fn(...inputs);
    return results.map((y) => y.node);
  });
  const run = (...inputs: Tensor[]) => {
    const call = new Call(plan, inputs.map((x) => x.node), "");
    for (const output of call.outputs) stream.add(output);
    return call.outputs.map((node, i) => new Tensor(device, node, results[i]!.shape, results[i]!.strides, 0));
  };
  return { plan, run };
}
