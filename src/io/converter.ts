import convert from "../../shaders/convert.wgsl" with { type: "text" };
import grid from "../../shaders/lib/grid.wgsl" with { type: "text" };
import stored from "../../shaders/lib/stored.wgsl" with { type: "text" };
import storedBlocks from "../../shaders/lib/stored_blocks.wgsl" with { type: "text" };
import storedElements from "../../shaders/lib/stored_elements.wgsl" with { type: "text" };
import storedKBlocks from "../../shaders/lib/stored_k_blocks.wgsl" with { type: "text" };
import quantize from "../../shaders/quantize.wgsl" with { type: "text" };
import { type DType, isPacked, PACKED_BLOCK } from "../core/dtype.ts";
import { alignUp } from "../gpu/buffers.ts";
import type { Device } from "../gpu/device.ts";
import { compose } from "../gpu/compose.ts";
import type { BindingUse, PipelineSpec } from "../gpu/pipelines.ts";
import { type Snippet, snippet } from "../gpu/snippet.ts";
import { foldGrid } from "../graph/encoding.ts";
import type { Leaf } from "../graph/node.ts";
import { packParams } from "../graph/uniform.ts";
import type { TensorInfo } from "./checkpoint.ts";
import { isNumeric, toFloats } from "./numbers.ts";
import { blockOf, type CheckpointDType } from "./stored_dtype.ts";

/** Bytes that are sent and converted at once. */
export const PIECE = 8 << 20;

const UNWAITED = 8; // pieces on their way at once: a bound on host memory
const STORAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
const F32_MAX = 3.4028234663852886e38;
const F16_MAX = 65504;

/** Words of the file, scales; notes, the leaf's memory; params. */
const BINDINGS: readonly BindingUse[] = ["read", "read", "write", "write", "uniform"];
const STORED = snippet("lib/stored", stored);
const CONVERT = snippet("convert", convert, [snippet("lib/grid", grid), STORED]);
const QUANTIZE = snippet("quantize", quantize, [snippet("lib/grid", grid), STORED]);

/** A snippet that reads some types, each told by its place among them. */
interface Reader {
  readonly code: Snippet;
  readonly types: readonly CheckpointDType[];
}

const ELEMENTS: Reader = {
  code: snippet("lib/stored_elements", storedElements, [STORED]),
  types: ["F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"],
};
const READERS: readonly Reader[] = [
  ELEMENTS,
  {
    code: snippet("lib/stored_blocks", storedBlocks, [STORED]),
    types: ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"],
  },
  {
    code: snippet("lib/stored_k_blocks", storedKBlocks, [STORED]),
    types: ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"],
  },
];

/** What reads a type on the GPU; of types that no shader knows, the host makes F32. */
function readerOf(dtype: CheckpointDType): Reader | undefined {
  return READERS.find(({ types }) => types.includes(dtype));
}

/** Bytes of an element on its way to the GPU. */
export function sentBytes(dtype: CheckpointDType): number {
  const { bytes, elements } = blockOf(dtype);
  return readerOf(dtype) ? bytes / elements : 4;
}

/** Where a tensor goes: a leaf, or a place for its values. */
export type Target = Pick<Leaf, "dtype" | "count" | "storage">;

/** What the shaders found in a tensor. */
export interface Note {
  /** Bit 0: a value is NaN or infinite; bit 1: one is beyond the largest of the leaf's type. */
  readonly flags: number;
  /** Of a packed tensor: root of the mean squared error over that of the values. */
  readonly error: number;
}

/** Runs convert.wgsl, or quantize.wgsl for packed leaves, piece by piece. */
export class Converter {
  readonly #device: Device;
  readonly #label: string;
  readonly #staging: GPUBuffer;
  readonly #notes: GPUBuffer;
  readonly #uniform: GPUBuffer;
  readonly #scales: GPUBuffer;
  readonly #unwaited: Promise<unknown>[] = [];

  /** For so many tensors of a model. */
  constructor(device: Device, label: string, tensors: number) {
    this.#device = device;
    this.#label = label;
    this.#staging = device.buffers.create("upload staging", PIECE, STORAGE);
    this.#notes = device.buffers.create("upload notes", tensors * 12, STORAGE);
    this.#uniform = device.buffers.create(
      "upload uniform",
      32,
      GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    );
    this.#scales = device.buffers.create("upload scales", 16, STORAGE);
  }

  /** Sends a piece and converts it into the leaf's memory. */
  async run(
    bytes: Uint8Array<ArrayBuffer>,
    info: TensorInfo,
    leaf: Target,
    { number, first, count, scale }: {
      number: number;
      first: number;
      count: number;
      scale?: Float32Array<ArrayBuffer> | undefined;
    },
  ): Promise<void> {
    const { gpu, pipelines, limits } = this.#device;
    const reader = readerOf(info.dtype) ?? ELEMENTS;
    const spec = pipelineOf(leaf.dtype, reader);
    const pipeline = pipelines.get(spec);
    await pipeline.ready;
    const [, inputs, ...kernel] = info.shape.length === 4 ? info.shape : [0, 1, 1];
    const params = packParams("convert", stored, {
      count,
      first,
      kind: Math.max(0, reader.types.indexOf(info.dtype)), // 0 is F32
      inputs: inputs!,
      taps: kernel.reduce((product, n) => product * n, 1),
      tensor: number,
      largest: leaf.dtype === "f32" ? F32_MAX : F16_MAX,
      scaled: scale ? leaf.count / scale.length : 0,
    });
    const words = asWords(bytes, info);
    const scales = scale && scale.byteLength > 16 ? this.#large(scale.byteLength) : this.#scales;
    if (scale) gpu.queue.writeBuffer(scales, 0, scale);
    const staging = words.length > this.#staging.size ? this.#large(words.length) : this.#staging;
    gpu.queue.writeBuffer(staging, 0, words);
    gpu.queue.writeBuffer(this.#uniform, 0, params);
    const { buffer, offset, bytes: size } = leaf.storage!;
    const group = gpu.createBindGroup({
      label: this.#label,
      layout: pipeline.layout,
      entries: [
        { binding: 0, resource: { buffer: staging } },
        { binding: 1, resource: { buffer: scales } },
        { binding: 2, resource: { buffer: this.#notes } },
        { binding: 3, resource: { buffer, offset, size: Math.max(16, alignUp(size, 16)) } },
        { binding: 4, resource: { buffer: this.#uniform, offset: 0, size: params.length } },
      ],
    });
    const encoder = gpu.createCommandEncoder({ label: "upload" });
    const pass = encoder.beginComputePass({ label: "upload" });
    pass.setPipeline(pipeline.gpu!);
    pass.setBindGroup(0, group, [0]);
    const invocations = isPacked(leaf.dtype) ? count / PACKED_BLOCK : count;
    pass.dispatchWorkgroups(
      ...foldGrid(Math.ceil(invocations / 64), limits.maxComputeWorkgroupsPerDimension),
    );
    pass.end();
    this.#device.submit(encoder, `sending "${info.name}" of ${this.#label}`);
    if (staging !== this.#staging) this.#device.buffers.destroy(staging);
    if (scales !== this.#scales) this.#device.buffers.destroy(scales);
    const done = gpu.queue.onSubmittedWorkDone();
    done.catch(() => {}); // a lost device is told by assertAlive()
    if (this.#unwaited.push(done) > UNWAITED) await this.#unwaited.shift();
    this.#device.assertAlive();
  }

  /** One row of a convolution may be larger than a piece, and there may be a scale for each row. */
  #large(bytes: number): GPUBuffer {
    return this.#device.buffers.create("upload staging", bytes, STORAGE);
  }

  /** What was found, by tensor. */
  async notes(): Promise<Note[]> {
    const words = await this.#device.read(this.#notes, 0, this.#notes.size);
    const [flags, sums] = [new Uint32Array(words), new Float32Array(words)];
    return Array.from({ length: flags.length / 3 }, (_, i) => ({
      flags: flags[3 * i]!,
      error: Math.sqrt(sums[3 * i + 1]! / (sums[3 * i + 2] || 1)),
    }));
  }

  /** Frees what was needed on the way. */
  release(): void {
    for (const buffer of [this.#staging, this.#notes, this.#uniform, this.#scales]) {
      this.#device.buffers.destroy(buffer);
    }
  }
}

function pipelineOf(dtype: DType, reader: Reader): PipelineSpec {
  const [label, kernel, set] = isPacked(dtype)
    ? ["quantize", QUANTIZE, { BITS: dtype === "int8" ? 8 : 4 }] as const
    : ["convert", CONVERT, { W: dtype }] as const;
  return {
    key: `${label}|${dtype}|${reader.code.name}`,
    label,
    bindings: BINDINGS,
    source: () => compose({ label, kernel: { code: [reader.code, kernel], bindings: BINDINGS }, set }),
  };
}

/** The bytes as whole words for the shader; types that none knows become F32. */
function asWords(bytes: Uint8Array<ArrayBuffer>, { name, dtype }: TensorInfo): Uint8Array<ArrayBuffer> {
  if (readerOf(dtype)) {
    if (bytes.length % 4 === 0) return bytes;
    const padded = new Uint8Array(alignUp(bytes.length, 4));
    padded.set(bytes);
    return padded;
  }
  if (!isNumeric(dtype)) {
    throw new TypeError(
      `Cannot load "${name}": expected a type of weights, such as F32 or Q8_0, got ${dtype}`,
    );
  }
  return new Uint8Array(toFloats(bytes, dtype).buffer);
}
