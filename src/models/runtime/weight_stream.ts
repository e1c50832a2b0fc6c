import type { Storage } from "../../gpu/memory/buffers.ts";
import type { Device } from "../../gpu/device.ts";
import type { Leaf, WeightPager } from "../../graph/node.ts";
import { roomOf } from "../../graph/run/chunks.ts";
import type { Checkpoint, TensorInfo } from "../../io/formats/checkpoint.ts";
import { Converter } from "../../io/upload/converter.ts";
import { expectNoOverflow, type Filling } from "../../io/upload/upload.ts";

/** Options of weights that are too large for memory and are read from the disk. */
export interface StreamOptions {
  /** Bytes of weights that stay in memory; none by default but the small ones. */
  keep?: number | undefined;
  /** Bytes of each of the two buffers that weights are read into; 64 MiB by default, or the largest weight. */
  chunk?: number | undefined;
}

const CHUNK = 64 << 20;
const SMALL = 256; // matrices of which more than so many make a chunk stay in memory
const SLOTS = 2;
const USAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

/** The weights that stay in memory, those that are streamed, and the bytes of both. */
export interface Division {
  readonly resident: Filling[];
  readonly streamed: Filling[];
  /** Bytes of the buffers that weights take turns in. */
  readonly slot: number;
  /** Bytes of all that is in memory at once. */
  readonly bytes: number;
}

/** Divides a model's weights: the small ones stay, and of the others as many as `keep` allows. */
export function divideWeights(fillings: readonly Filling[], stream?: StreamOptions): Division {
  const total = (some: readonly Filling[]) => some.reduce((sum, { leaf }) => sum + leaf.bytes, 0);
  if (!stream) return { resident: [...fillings], streamed: [], slot: 0, bytes: total(fillings) };
  const { keep = 0, chunk = CHUNK } = stream;
  const isLarge = ({ info, leaf }: Filling) => info.shape.length > 1 && leaf.bytes * SMALL >= chunk; // no vectors
  const large = new Set(fillings.filter(isLarge));
  let room = keep - total(fillings.filter((filling) => !large.has(filling)));
  const streamed = [...large].filter(({ leaf }) => (room -= leaf.bytes) < 0);
  const left = new Set(streamed);
  const resident = fillings.filter((filling) => !left.has(filling));
  const slot = streamed.length ? Math.max(chunk, ...streamed.map(({ leaf }) => roomOf(leaf))) : 0;
  return { resident, streamed, slot, bytes: total(resident) + SLOTS * slot };
}

/** Brings weights from an open checkpoint whenever they are read. */
export class WeightStream implements WeightPager, Disposable {
  readonly slots: readonly GPUBuffer[];
  readonly #device: Device;
  readonly #label: string;
  readonly #checkpoint: Checkpoint;
  readonly #converter: Converter;
  readonly #tensors: ReadonlyMap<Leaf, { info: TensorInfo; number: number }>;
  #checked = false;

  /** Takes over the checkpoint, and becomes the leaves' pager. */
  constructor(device: Device, label: string, checkpoint: Checkpoint, { streamed, slot }: Division) {
    this.#device = device;
    this.#label = label;
    this.#checkpoint = checkpoint;
    this.slots = Array.from(
      { length: SLOTS },
      (_, i) => device.buffers.create(`${label} slot ${i}`, slot, USAGE),
    );
    const bytes = Math.max(...streamed.map(({ info, leaf }) => Math.max(info.bytes, 4 * leaf.count)));
    this.#converter = new Converter(device, label, { tensors: streamed.length, bytes });
    this.#tensors = new Map(streamed.map(({ info, leaf }, number) => [leaf, { info, number }]));
    for (const { leaf } of streamed) leaf.pager = this;
  }

  /** Sends a leaf's values to a place, as the leaf's dtype. */
  async fill(leaf: Leaf, storage: Storage): Promise<void> {
    const { info, number } = this.#tensors.get(leaf)!;
    const { dtype, count } = leaf;
    await this.#converter.send(this.#checkpoint, info, { dtype, count, storage }, { number });
    await this.#converter.flush();
  }

  /** After the first run: throws where a weight does not fit its type. */
  async check(): Promise<void> {
    if (this.#checked) return;
    const notes = await this.#converter.notes();
    this.#checked = true;
    const wrong = [...this.#tensors.values()].filter(({ number }) => notes[number]!.flags & 2);
    expectNoOverflow(this.#label, wrong.map(({ info }) => info.name));
  }

  /** Closes the checkpoint and frees the slots. */
  [Symbol.dispose](): void {
    for (const leaf of this.#tensors.keys()) leaf.pager = undefined;
    for (const slot of this.slots) this.#device.buffers.destroy(slot);
    this.#converter.release();
    this.#checkpoint.close();
  }
}
