import text from "../../../shaders/count_not_finite.wgsl" with { type: "text" };
import { isFloat } from "../../core/dtype.ts";
import type { Storage } from "../../gpu/memory/buffers.ts";
import { Uniforms } from "../../gpu/memory/uniforms.ts";
import type { Device } from "../../gpu/device.ts";
import { bindGroup, type Dispatch } from "../../gpu/encoding.ts";
import { compose } from "../../gpu/shader/compose.ts";
import { foldGrid, GRID } from "../../gpu/shader/grid.ts";
import { packParams } from "../../gpu/shader/params.ts";
import type { Pipeline, PipelineSpec } from "../../gpu/shader/pipelines.ts";
import { snippet } from "../../gpu/shader/snippet.ts";
import type { Step } from "../fusion/step.ts";

const COUNT = snippet("count_not_finite", text, [GRID]);
const BINDINGS = ["read", "write", "uniform"] as const;
const GROUP_BYTES = 4 * 64 * 16; // that a workgroup looks at
const USAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

/** A dispatch that ran, with the memory that it read and wrote. */
export interface Ran {
  readonly step: Step;
  /** Memory of each of the step's inputs. */
  readonly reads: readonly Storage[];
  readonly output: Storage;
}

/**
 * The kernels that count, for both types of fractions; they begin to compile when they are first asked for.
 */
export function countingPipelines(device: Device): Pipeline[] {
  return (device.traits.f16 ? ["f32", "f16"] as const : ["f32"] as const).map((dtype) =>
    pipelineFor(device, dtype)
  );
}

function pipelineFor(device: Device, dtype: "f32" | "f16"): Pipeline {
  const label = "count_not_finite";
  const spec: PipelineSpec = {
    key: `${label} ${dtype}`,
    label,
    bindings: BINDINGS,
    source: (texts) =>
      compose({
        label,
        kernel: { code: [COUNT], bindings: BINDINGS },
        set: { HALVES: String(dtype === "f16") },
      }, texts),
  };
  return device.pipelines.get(spec);
}

/** Numbers of NaN and infinities in the results of dispatches: a word for each, which the GPU adds to. */
export class Counts {
  /** For each result what counts in it; undefined for results without fractions or elements. */
  readonly dispatches: readonly (Dispatch | undefined)[];
  readonly #device: Device;
  readonly #buffer: GPUBuffer;
  readonly #uniforms: Uniforms;

  /** For the results of `ran`, in order. */
  constructor(device: Device, label: string, ran: readonly Ran[]) {
    this.#device = device;
    this.#buffer = device.buffers.create(`${label} counts`, 4 * ran.length, USAGE);
    this.#uniforms = new Uniforms(device, `${label} counts`);
    const blocks = this.#uniforms.write(
      ran.map(({ step }, slot) => packParams("count_not_finite", text, { count: step.output.count, slot })),
    );
    const counts = { buffer: this.#buffer, offset: 0, bytes: 4 * ran.length } as Storage;
    const counter = ({ step, output }: Ran, i: number): Dispatch | undefined => {
      const { dtype, count, bytes } = step.output;
      if (count === 0 || !isFloat(dtype)) return undefined;
      const pipeline = pipelineFor(device, dtype as "f32" | "f16");
      const { path } = step.record;
      return {
        pipeline,
        group: bindGroup(device, pipeline, BINDINGS, [output], counts, [blocks[i]!]),
        workgroups: foldGrid(Math.ceil(bytes / GROUP_BYTES), device.limits.maxComputeWorkgroupsPerDimension),
        record: { kernel: "count_not_finite", path, shape: [count] },
        details: () => ({
          flops: 0,
          bytes,
          dtype: "u32",
          inputs: [{ name: "", shape: [count], dtype }],
          fused: "",
        }),
      };
    };
    this.dispatches = ran.map(counter);
  }

  /**
   * Results with such numbers, by their indices, once all that is submitted is done. Then counts begin at 0
   * again.
   */
  async found(): Promise<number[]> {
    const bytes = 4 * this.dispatches.length;
    const counts = new Uint32Array(await this.#device.read(this.#buffer, 0, bytes));
    const found = [...counts.keys()].filter((i) => counts[i]! > 0);
    if (found.length) this.clear();
    return found;
  }

  /** Sets all to 0. */
  clear(): void {
    this.#device.gpu.queue.writeBuffer(this.#buffer, 0, new Uint8Array(4 * this.dispatches.length));
  }

  /** Frees its memory. */
  release(): void {
    this.#device.buffers.destroy(this.#buffer);
    this.#uniforms.release();
  }
}
