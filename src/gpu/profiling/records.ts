import type { HostTimes } from "../device_base.ts";
import type { Pipeline } from "../shader/pipelines.ts";

/** One dispatch: its kernel, its place in the model, its size. */
export interface DispatchRecord {
  /** Kernel name. */
  readonly kernel: string;
  /** Module path in the model, e.g. "down_blocks.1.attentions.0". */
  readonly path: string;
  /** Shape of the result as the kernel sees it: of most kernels outer batch, inner batch, rows, columns. */
  readonly shape: readonly number[];
}

/** A tensor that a dispatch reads. */
export interface InputRecord {
  /** Key of a weight, e.g. "conv_in.weight"; "" of what was computed before. */
  readonly name: string;
  /** Shape as the operator reads it; of what is fused, 1 along axes on which it repeats. */
  readonly shape: readonly number[];
  /** Type in memory. */
  readonly dtype: string;
  /** Its name in `fused`; undefined where the kernel itself reads it. */
  readonly as?: string | undefined;
}

/** Figures of a dispatch, made where somebody asks for them. */
export interface DispatchDetails {
  /**
   * Arithmetic operations, as formulas have them, whatever the kernel does: of products and convolutions two
   * for each multiplication, of attention those of its two products, of pointwise expressions one for each
   * name but casts.
   */
  readonly flops: number;
  /** Bytes that must move at least: what is read of each input once, the result written once. */
  readonly bytes: number;
  /** Type of the result in memory. */
  readonly dtype: string;
  /** Values that are read: by the kernel itself, then by what is fused into it. */
  readonly inputs: readonly InputRecord[];
  /**
   * Pointwise operations that run in the same dispatch, as a formula: `v` is the kernel's own value, `x1` an
   * input, `c0` a number, named as in the WGSL. "" where the kernel stores its value as it is.
   */
  readonly fused: string;
}

/** A dispatch's pipeline, size and figures. */
export interface DispatchedWork {
  /** The pipeline that runs. */
  readonly pipeline: Pipeline;
  /** Workgroups along x and y. */
  readonly workgroups: readonly [number, number];
  /** Made where it is asked for. */
  readonly details: () => DispatchDetails;
  /**
   * Bytes of its plan's results that are needed while it runs; undefined outside plans, or without a
   * profiler.
   */
  readonly live?: number | undefined;
}

/** A dispatch, or a pass of several, with its time on the GPU. */
export interface TimedDispatch extends DispatchRecord, DispatchDetails {
  /** Class of the model that it is of; "" outside models. */
  readonly model: string;
  /** Name of the stretch in which it was recorded, see `device.mark`; "" outside stretches. */
  readonly mark: string;
  /**
   * Number of that stretch, from 1 for the device's first; those within others have that of the outermost; 0
   * outside.
   */
  readonly turn: number;
  /** 1, or how many dispatches the pass has. */
  readonly dispatches: number;
  /** The pipeline that ran; of a pass of several dispatches the first. */
  readonly pipeline: Pipeline;
  /** Workgroups along x and y, likewise. */
  readonly workgroups: readonly [number, number];
  /** Bytes of its model's results that are needed while it runs; 0 outside models. */
  readonly live: number;
  /** Start in ms on the GPU's clock. */
  readonly start: number;
  /** From the start to the end of the dispatch's own pass. */
  readonly ms: number;
}

/** A row of `timings()`: all dispatches of one kernel, module, shape and stretch. */
export interface TimingRow extends DispatchRecord, Pick<TimedDispatch, "model" | "mark"> {
  /** Dispatches, over all steps since the last reset. */
  readonly calls: number;
  /** Time of all calls together, in ms. */
  readonly ms: number;
  /** Operations of all calls together. */
  readonly flops: number;
  /** Bytes of all calls together. */
  readonly bytes: number;
  /** 10⁹ operations a second. */
  readonly gflops: number;
  /** 10⁹ bytes a second, at least: what a kernel reads again is not counted. */
  readonly gbytes: number;
  /** Part of the total time, 0 to 1. */
  readonly share: number;
}

/** A stretch of a loop by the host's clock. */
export interface Stretch {
  /** As in TimedDispatch. */
  readonly mark: string;
  /** As in TimedDispatch. */
  readonly turn: number;
  /** When it began, as performance.now() has it. */
  readonly start: number;
  /** When it ended; undefined while it goes on. */
  end: number | undefined;
}

/**
 * Time of the host on a device's work. Spans may lie within others: the one that began last is what the host
 * did.
 */
export interface HostSpan {
  /** As device.hostTimes has it. */
  readonly kind: keyof HostTimes;
  /** When it began, as performance.now() has it. */
  readonly start: number;
  /** When it ended. */
  readonly end: number;
}

/** The GPU's clock beside the host's. */
export interface ClockOffset {
  /**
   * To be added to a time of the GPU's, in ms, to get one of `performance.now()`: the least with which no
   * work begins before it is submitted.
   */
  readonly offset: number;
  /** Most ms that may be added to that: with more, work would end after the host heard that it had. */
  readonly slack: number;
}

/** All that a profiler noted since its last reset. */
export interface Recording {
  /** In the order in which they ran. */
  readonly dispatches: readonly TimedDispatch[];
  /** In the order in which they began. */
  readonly stretches: readonly Stretch[];
  /** In the order in which they ended. */
  readonly host: readonly HostSpan[];
  /** Undefined where nothing was timed. */
  readonly clock: ClockOffset | undefined;
  /** Bytes in buffers of the device: from a time of the host's on so many. */
  readonly memory: readonly (readonly [at: number, bytes: number])[];
}
