import type { Device } from "denoise";
import type { Model } from "denoise/models";
import type { Entry } from "../../bench/safetensors.ts";
import { fill } from "../../src/graph/tuning/fill.ts";
import type { ModelClass, ModelParts } from "../../src/models/runtime/load.ts";
import type { FillWeights } from "../../src/models/runtime/residency.ts";
import { Weights } from "../../src/models/runtime/weights.ts";

/** A model of a config with random weights, which are made on the GPU: no file is read or written. */
export async function inventModel<M extends Model>(
  device: Device,
  type: ModelClass<M>,
  { config, entries, dtype, only }: {
    config: object;
    entries: Iterable<Entry>;
    dtype: "f32" | "f16";
    /** The entry point whose weights alone are made. */
    only?: string;
  },
): Promise<M> {
  const infos = [...entries].map(([name, shape]) => ({ name, shape, dtype: "F16" as const, bytes: 0 }));
  const weights = new Weights(device, type.name, infos, { dtype });
  const fillRandomly: FillWeights = async ({ resident }) => {
    using owned = new DisposableStack();
    for (const [i, { info, leaf }] of resident.entries()) {
      const storage = leaf.storage = device.buffers.allocate(leaf.label, leaf.bytes);
      owned.defer(() => storage.release());
      const inputs = info.shape.slice(1).reduce((product, n) => product * n, 1);
      await fill(device, storage, leaf.dtype, i, Math.sqrt(3 / inputs)); // of variance 1 / inputs
    }
    await device.idle(); // tells where there is no memory
    return owned.move();
  };
  const parsed = type.schema.parse(config);
  const open = () => Promise.reject(new Error("Cannot read invented weights: they are in no file"));
  const parts: ModelParts<unknown> = { config: parsed, weights, dtype, fill: fillRandomly, open };
  const model = new type(parts as never);
  try {
    model.prepare();
    await model.load({ only });
    return model;
  } catch (error) {
    model[Symbol.dispose]();
    throw error;
  }
}
