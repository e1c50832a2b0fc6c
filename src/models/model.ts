import type { DType } from "../core/dtype.ts";
import { channelsLastStrides, contiguousStrides, formatShape, type Shape } from "../core/shape.ts";
import { currentDevice, type Device } from "../gpu/device.ts";
import { Call } from "../graph/call.ts";
import { Leaf } from "../graph/node.ts";
import type { Plan } from "../graph/plan.ts";
import { streamOf } from "../graph/stream.ts";
import { currentPath, Tensor } from "../tensor/mod.ts";
import type { Weights } from "./weights.ts";

/** Named tensors that go into, or come out of, a traced function. */
export type Tensors = Record<string, Tensor>;

/** Where the traced function's result lies in the plan's outputs. */
interface Signature {
  readonly plan: Plan;
  readonly outputs: readonly { name: string; shape: Shape; strides: readonly number[] }[];
}

/** What a model is made of. */
export interface ModelParts<Config> {
  /** Keys as in config.json, defaults filled in. */
  readonly config: Config;
  /** Need not be in GPU memory yet: a trace takes their shapes only. */
  readonly weights: Weights;
  /** Type of weights and activations. */
  readonly dtype: DType;
  /** Commit of the repository, for models from the hub. */
  readonly revision?: string;
}

/** A network with its config and weights. Its `forward` is traced once per shape and replayed. */
export abstract class Model<Config = unknown> implements Disposable {
  /** Keys as in config.json, defaults filled in. */
  readonly config: Config;
  /** Type of weights and activations; results are f32 all the same. */
  readonly dtype: DType;
  /** Commit of the repository that it was loaded from; a local folder has none. */
  readonly revision: string | undefined;
  /** The one that was current when the model was made. */
  readonly device: Device;
  /** Read while `forward` is traced, not when a trace is replayed. */
  protected readonly weights: Weights;
  readonly #signatures = new Map<string, Signature>();
  #release: (() => void) | undefined;
  #disposed = false;

  /** For loadModel(), which then traces the model and fills the weights that it read. */
  constructor({ config, weights, dtype, revision }: ModelParts<Config>) {
    this.config = config;
    this.weights = weights;
    this.dtype = dtype;
    this.revision = revision;
    this.device = currentDevice();
  }

  /** Traces every entry point at its usual size, so that loading knows which weights are read and compiles early. */
  abstract prepare(): void;

  /** Takes over the memory of the weights. */
  own(release: () => void): void {
    this.#release = release;
  }

  /**
   * Runs a pure function of tensors on this model's device, replaying its trace when the same signature comes again.
   * Results come back as f32. `key` names what else the trace depends on.
   */
  protected traced<Out extends Tensors>(key: string, inputs: Tensors, fn: (inputs: Tensors) => Out): Out {
    if (this.#disposed) {
      throw new Error(`Cannot run ${this.constructor.name}: it was disposed; load it again`);
    }
    const values = Object.entries(inputs).map(([name, x]) => [name, this.#fit(x)] as const);
    const { plan, outputs } = this.#signature(key, values, fn);
    const call = new Call(plan, values.map(([, x]) => x.node), currentPath());
    const stream = streamOf(this.device);
    for (const output of call.outputs) stream.add(output);
    return Object.fromEntries(
      outputs.map(({ name, shape, strides }, i) => [
        name,
        new Tensor(this.device, call.outputs[i], shape, strides, 0),
      ]),
    ) as Out;
  }

  /** Traces without running. */
  protected rehearsed(key: string, inputs: Tensors, fn: (inputs: Tensors) => Tensors): void {
    streamOf(this.device).rehearse(() =>
      this.#signature(key, Object.entries(inputs).map(([name, x]) => [name, this.#fit(x)]), fn)
    );
  }

  /** An input as the trace takes it: dense, 4-D ones channels-last. */
  #fit(x: Tensor): Tensor {
    return x.rank === 4 ? x.channelsLast() : x.contiguous();
  }

  #signature(
    key: string,
    values: readonly (readonly [string, Tensor])[],
    fn: (inputs: Tensors) => Tensors,
  ): Signature {
    const id = [key, ...values.map(([name, x]) => `${name} ${formatShape(x.shape)} ${x.dtype}`)].join("; ");
    let signature = this.#signatures.get(id);
    if (!signature) this.#signatures.set(id, signature = this.#trace(values, fn));
    return signature;
  }

  #trace(values: readonly (readonly [string, Tensor])[], fn: (inputs: Tensors) => Tensors): Signature {
    const leaves = values.map(([name, x]) => new Leaf(x.dtype, x.size, name));
    const inputs = Object.fromEntries(values.map(([name, x], i) => {
      const strides = x.rank === 4 ? channelsLastStrides(x.shape) : contiguousStrides(x.shape);
      return [name, new Tensor(this.device, leaves[i], x.shape, strides, 0)];
    }));
    let results: [string, Tensor][] = [];
    const plan = streamOf(this.device).trace(this.constructor.name, leaves, () => {
      results = Object.entries(fn(inputs)).map(([name, y]) => {
        const strides = y.rank === 4 ? channelsLastStrides(y.shape) : contiguousStrides(y.shape);
        return [name, y.cast("f32").contiguous(strides)];
      });
      return results.map(([, y]) => y.node);
    });
    return { plan, outputs: results.map(([name, { shape, strides }]) => ({ name, shape, strides })) };
  }

  /** Gives back the memory of weights and activations, after the work already recorded. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const stream = streamOf(this.device);
    for (const { plan } of this.#signatures.values()) stream.drop(plan);
    stream.afterSubmit(() => this.#release?.());
  }
}
