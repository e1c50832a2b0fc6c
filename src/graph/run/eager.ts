import type { Storage } from "../../gpu/memory/buffers.ts";
import type { Device } from "../../gpu/device.ts";
import { bindGroup, type Encoding } from "../../gpu/encoding.ts";
import { foldGrid } from "../../gpu/shader/grid.ts";
import type { Pipeline } from "../../gpu/shader/pipelines.ts";
import type { Group } from "../fusion/fuse.ts";
import type { Step } from "../fusion/step.ts";
import { type Leaf, type Node, Scratch } from "../node.ts";
import { pagedWeights } from "./chunks.ts";
import type { Ran } from "../check/counts.ts";
import { stepsOfGroups } from "./layout.ts";
import { type Fetch, liveStorage, type Work } from "./work.ts";

/** A group of fused nodes that runs by itself, outside plans: its result gets a buffer of its own. */
export class EagerGroup implements Work {
  readonly #device: Device;
  readonly #steps: readonly Step[];
  readonly #pipelines: readonly Pipeline[];
  readonly id: number;
  readonly ran: Ran[] = [];
  /** Its results have memory of their own, so that they can be counted later. */
  readonly counts = undefined;

  constructor(device: Device, group: Group) {
    this.#device = device;
    this.#steps = stepsOfGroups(device, [group]);
    this.#pipelines = this.#steps.map((step) => device.pipelines.get(step.pipeline));
    this.id = group.output.id;
  }

  get preparing(): Promise<void>[] {
    return this.#pipelines.filter(({ gpu }) => !gpu).map(({ ready }) => ready);
  }

  get uniforms(): Uint8Array<ArrayBuffer>[] {
    return this.#steps.flatMap((step) => step.uniforms);
  }

  *encode(encoding: Encoding, uniforms: Iterator<GPUBufferBinding>): Generator<Fetch, void> {
    for (const [i, step] of this.#steps.entries()) {
      const brought = new Map<Node, Storage>();
      const weights = pagedWeights(step);
      if (weights.length) yield () => this.#bring(weights, brought, encoding);
      this.#dispatch(encoding, step, this.#pipelines[i]!, brought, uniforms);
    }
    for (const { output } of this.#steps) {
      if (output instanceof Scratch) encoding.afterSubmit(() => output.storage!.release());
    }
  }

  /** Nothing: its results stay in memory. */
  again(): Iterable<Fetch> {
    return [];
  }

  /** Brings weights to buffers of their own, which go with the next submission. */
  async #bring(weights: readonly Leaf[], places: Map<Node, Storage>, encoding: Encoding): Promise<void> {
    for (const leaf of weights) {
      const place = this.#device.buffers.allocate(leaf.label, leaf.bytes);
      places.set(leaf, place);
      encoding.afterSubmit(() => place.release());
    }
    for (const leaf of weights) await leaf.pager!.fill(leaf, places.get(leaf)!);
  }

  #dispatch(
    encoding: Encoding,
    step: Step,
    pipeline: Pipeline,
    brought: ReadonlyMap<Node, Storage>,
    uniforms: Iterator<GPUBufferBinding>,
  ): void {
    const { output, inputs, record, details, pipeline: { bindings } } = step;
    const device = this.#device;
    const storage = device.buffers.allocate(record.kernel, output.bytes);
    const reads = inputs.map((node) => brought.get(node) ?? liveStorage(node));
    const blocks = step.uniforms.map(() => uniforms.next().value!);
    const group = bindGroup(device, pipeline, bindings, reads, storage, blocks);
    const workgroups = foldGrid(step.workgroups, device.limits.maxComputeWorkgroupsPerDimension);
    if (output.count > 0) encoding.dispatch({ pipeline, group, workgroups, record, details });
    if (device.check) this.ran.push({ step, reads, output: storage });
    output.store(storage);
  }
}
