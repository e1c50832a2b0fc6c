import type { Storage } from "./memory/buffers.ts";
import type { Device } from "./device.ts";
import type { Pipeline } from "./shader/pipelines.ts";
import type { DispatchedWork, DispatchRecord } from "./profiling/records.ts";

/** A dispatch with everything bound, ready to be encoded any number of times. */
export interface Dispatch extends DispatchedWork {
  readonly group: GPUBindGroup;
  readonly record: DispatchRecord;
}

/**
 * Encodes dispatches and copies, and submits them, again and again. Dispatches share a compute pass, which
 * copies and profiling end.
 */
export class Encoding {
  readonly #device: Device;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #pipeline: Pipeline | undefined;
  readonly #releases: (() => void)[] = [];
  readonly #keeps: boolean;
  /** Names of the models and single kernels in the commands that are not submitted yet. */
  readonly #work = new Set<string>();
  #last = "";
  /** Dispatches encoded so far. */
  dispatches = 0;

  /** With `keeps` nothing is freed at submissions, but when `free` is called. */
  constructor(device: Device, keeps = false) {
    this.#device = device;
    this.#keeps = keeps;
  }

  /** True while there are commands that were not submitted yet. */
  get isOpen(): boolean {
    return this.#encoder !== undefined;
  }

  /** Encodes a dispatch of a model, or of a kernel by itself. */
  dispatch(dispatch: Dispatch, model?: string): void {
    const { pipeline, group, workgroups, record } = dispatch;
    const work = model ?? record.kernel;
    if (work !== this.#last) this.#work.add(this.#last = work);
    const { profiler } = this.#device;
    if (profiler && this.#pass && !profiler.joins(dispatch, model)) this.#endPass();
    if (!this.#pass) {
      const timestampWrites = profiler?.begin(record, dispatch, model);
      this.#pass = this.#commands().beginComputePass({
        label: record.path || record.kernel,
        ...timestampWrites && { timestampWrites },
      });
    }
    if (this.#pipeline !== pipeline) {
      this.#pass.setPipeline(pipeline.gpu!);
      if (pipeline.counters) this.#pass.setBindGroup(1, pipeline.counters);
      this.#pipeline = pipeline;
    }
    this.#pass.setBindGroup(0, group);
    this.#pass.dispatchWorkgroups(workgroups[0], workgroups[1]);
    this.dispatches++;
  }

  copy(source: Storage, target: Storage): void {
    this.#endPass();
    const bytes = Math.ceil(Math.min(source.bytes, target.bytes) / 4) * 4;
    if (bytes) {
      this.#commands().copyBufferToBuffer(source.buffer, source.offset, target.buffer, target.offset, bytes);
    }
  }

  /** Frees something once the next submission is made, whose commands may use it. */
  afterSubmit(release: () => void): void {
    this.#releases.push(release);
  }

  /** Submits what was encoded since the last time, if anything was. */
  submit(): void {
    if (this.#encoder) {
      this.#endPass();
      const readTimes = this.#device.profiler?.resolve(this.#encoder);
      const submitted = this.#device.submit(
        this.#encoder,
        `running ${[...this.#work].join(", ") || "copies"}`,
      );
      readTimes?.(submitted);
      this.#encoder = undefined;
      this.#work.clear();
      this.#last = "";
    }
    if (!this.#keeps) this.free();
  }

  /** Frees what was to be freed after a submission. */
  free(): void {
    for (const release of this.#releases.splice(0)) release();
  }

  #commands(): GPUCommandEncoder {
    return this.#encoder ??= this.#device.gpu.createCommandEncoder({ label: "denoise" });
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
    this.#pipeline = undefined;
  }
}

/**
 * Binds storages and uniforms for a pipeline, in the order of its bindings of each kind. Offsets are fixed
 * in it, as dynamic ones take a fifth of a dispatch's time on the host.
 */
export function bindGroup(
  device: Device,
  pipeline: Pipeline,
  uses: readonly string[],
  reads: readonly Storage[],
  output: Storage,
  uniforms: readonly GPUBufferBinding[],
): GPUBindGroup {
  let [read, uniform] = [0, 0];
  const whole = ({ buffer, offset, bytes }: Storage) => ({
    buffer,
    offset,
    size: Math.max(16, Math.ceil(bytes / 16) * 16),
  });
  const entries = uses.map((use, binding) => {
    if (use === "read") return { binding, resource: whole(reads[read++]!) };
    if (use === "write") return { binding, resource: whole(output) };
    return { binding, resource: uniforms[uniform++]! };
  });
  return device.gpu.createBindGroup({ label: pipeline.label, layout: pipeline.layout, entries });
}
