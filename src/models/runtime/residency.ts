import type { Device } from "../../gpu/device.ts";
import { streamOf } from "../../graph/run/stream.ts";
import { upload, type UploadOptions } from "../../io/upload/upload.ts";
import type { Adapters } from "./lora/adapters.ts";
import { expectUnchanged } from "./model_source.ts";
import type { ModelSource } from "../../io/single_file/contents.ts";
import { type Division, WeightStream } from "./weight_stream.ts";
import type { Weights } from "./weights.ts";

/** Which weights are wanted in memory. */
export interface LoadPartOptions {
  /** The entry point whose weights are wanted, and no others, e.g. "step" of FLUX. */
  only?: string | undefined;
  /** Ends the loading. */
  signal?: AbortSignal | undefined;
}

/** Brings weights that are not in memory there; what it returns frees them. */
export type FillWeights = (absent: Division, signal?: AbortSignal) => Promise<Disposable>;

/** Parts that a model's residency works with. */
export interface ResidencyParts {
  readonly device: Device;
  /** The model, as errors call it. */
  readonly label: string;
  readonly weights: Weights;
  readonly fill: FillWeights;
  /** Loaded and freed with the weights. */
  readonly adapters: Adapters;
  /** Forgets the traces that use freed weights. */
  readonly forget: () => void;
}

/** Weights that were loaded together: all that were absent then, or those of them that one entry point reads. */
interface Load {
  readonly only: string | undefined;
  /** Frees them. */
  readonly owned: Disposable;
}

/** Which of a model's weights are in memory. Of the loads a later one may share weights of those before it. */
type State =
  | { readonly name: "absent" | "disposed"; readonly loads: readonly [] }
  | { readonly name: "whole" | "parts"; readonly loads: readonly Load[] };

const ABSENT: State = { name: "absent", loads: [] };

/**
 * Loads and frees a model's weights in GPU memory: none, all, or those that some entry points read. Leases count
 * who needs them. Loads run one after the other, even if several are asked for at once. Before a part is loaded,
 * parts that nobody needs are freed; the others stay.
 */
export class Residency {
  readonly #parts: ResidencyParts;
  #state: State = ABSENT;
  /** Number of those who need the weights of an entry point, or all (undefined). */
  readonly #leases = new Map<string | undefined, number>();
  /** Ends when all loads that were asked for so far have. */
  #queue: Promise<void> = Promise.resolve();
  /** Calls of `unload`: a load that was asked for before one leaves nothing in memory. */
  #unloads = 0;

  /** Begins with no weights in memory. */
  constructor(parts: ResidencyParts) {
    this.#parts = parts;
  }

  /** True while any weights are in memory. */
  get loaded(): boolean {
    return this.#state.loads.length > 0;
  }

  /** True while somebody holds a lease. */
  get needed(): boolean {
    return [...this.#leases.values()].some((count) => count > 0);
  }

  /** True if all weights are in memory, or those of an entry point. */
  has(entry?: string): boolean {
    const { name, loads } = this.#state;
    return name === "whole" || loads.some(({ only }) => only === entry);
  }

  /** Throws unless all weights are in memory, or those of an entry point. */
  expect(entry?: string): void {
    this.#expectUndisposed();
    if (this.has(entry)) return;
    const [part] = this.#state.loads;
    const lacks = part ? `of its weights only those of "${part.only}" are` : "its weights are not";
    throw new Error(`Cannot run ${this.#parts.label}: ${lacks} in memory; await its load() first`);
  }

  /**
   * Loads weights, unless they are in memory, and keeps them there until what is returned is disposed, or until `unload`.
   * Where that was called meanwhile they are not there in the end.
   */
  async acquire({ only, signal }: LoadPartOptions = {}): Promise<Disposable> {
    this.#expectUndisposed();
    const unloads = this.#unloads;
    using lease = this.#lease(only);
    const load = this.#queue.then(async () => {
      if (unloads === this.#unloads && !this.has(only)) await this.#load(only, signal);
    });
    this.#queue = load.catch(() => {});
    await load;
    await this.#parts.adapters.settled();
    this.#expectUndisposed();
    return lease.move();
  }

  /** The same without a lease: of several such calls at the same time none frees the weights of another. */
  async load(options?: LoadPartOptions): Promise<void> {
    const lease = await this.acquire(options);
    this.#queue.then(() => lease[Symbol.dispose]());
  }

  /** Frees all weights, whoever holds leases, once the work recorded so far is submitted. */
  unload(): void {
    this.#unloads++;
    while (this.loaded) this.#freeLast();
    this.#parts.forget();
    this.#parts.adapters.unload();
  }

  /** Frees all weights for good. */
  dispose(): void {
    this.unload();
    this.#state = { name: "disposed", loads: [] };
  }

  async #load(only: string | undefined, signal: AbortSignal | undefined): Promise<void> {
    const { device, weights, fill, adapters } = this.#parts;
    const unloads = this.#unloads;
    const isIdle = (load: Load) => !this.#leases.get(load.only);
    if (only !== undefined) { while (this.loaded && isIdle(this.#state.loads.at(-1)!)) this.#freeLast(); }
    await streamOf(device).flush(); // what was freed before returns to the GPU first,
    await device.idle(); // once no work reads it
    const absent = weights.absent(only);
    using owned = new DisposableStack();
    owned.use(await fill(absent, signal));
    if (unloads !== this.#unloads) return;
    await adapters.load(absent.resident.map(({ leaf }) => leaf), signal);
    if (unloads === this.#unloads) this.#become([...this.#state.loads, { only, owned: owned.move() }]);
  }

  #freeLast(): void {
    const { owned } = this.#state.loads.at(-1)!;
    this.#parts.forget();
    this.#become(this.#state.loads.slice(0, -1));
    streamOf(this.#parts.device).afterSubmit(() => owned[Symbol.dispose]());
  }

  #become(loads: readonly Load[]): void {
    if (loads.length === 0) this.#state = ABSENT;
    else this.#state = { name: loads.some(({ only }) => only === undefined) ? "whole" : "parts", loads };
  }

  #lease(only: string | undefined): DisposableStack {
    const count = (by: number) => this.#leases.set(only, (this.#leases.get(only) ?? 0) + by);
    count(1);
    const lease = new DisposableStack();
    lease.defer(() => count(-1));
    return lease;
  }

  #expectUndisposed(): void {
    if (this.#state.name !== "disposed") return;
    throw new Error(`Cannot run ${this.#parts.label}: it was disposed; load it again`);
  }
}

/** Options of filling weights. */
export interface FillOptions extends UploadOptions {
  readonly device: Device;
  readonly onNotice: (line: string) => void;
}

/**
 * Fills weights from their files: tables of tokens on the host, what stays in GPU memory, and buffers for what comes from
 * the disk whenever it is read.
 */
export async function fillFromFiles(
  source: ModelSource,
  weights: Weights,
  absent: Division,
  { device, onNotice, ...options }: FillOptions,
): Promise<Disposable> {
  const { label, signal } = options;
  const { fillings, tables } = weights;
  using owned = new DisposableStack();
  using open = new DisposableStack();
  const checkpoint = open.use(await source.open());
  for (const { info } of [...fillings, ...tables]) expectUnchanged(checkpoint, info, source.where);
  for (const table of tables) {
    if (table.filled) continue;
    owned.defer(() => table.release());
    await table.fill(checkpoint, signal);
  }
  const { release, notFinite, errors } = await upload(device, checkpoint, absent.resident, options);
  owned.defer(release);
  if (notFinite.length) {
    onNotice(`${source.where}: ${notFinite.length} tensors hold NaN or infinity, e.g. "${notFinite[0]}"`);
  }
  if (!weights.errors && errors.size) onNotice(describeErrors(label, errors)); // the first time
  weights.errors = new Map([...weights.errors ?? [], ...errors]);
  if (absent.streamed.length) {
    owned.use(new WeightStream(device, label, checkpoint, absent));
    open.move(); // it stays open
  }
  return owned.move();
}

/** One line: how many matrices were packed, and which of them came out worst. */
function describeErrors(label: string, errors: ReadonlyMap<string, number>): string {
  const [name, worst] = [...errors].reduce((a, b) => a[1] >= b[1] ? a : b);
  const mean = Math.sqrt([...errors.values()].reduce((sum, error) => sum + error ** 2, 0) / errors.size);
  const percent = (error: number) => `${(100 * error).toFixed(2)} %`;
  return `${label}: ${errors.size} matrices in fewer bits, off by ${percent(mean)}, at most by ${
    percent(worst)
  } in "${name}"`;
}
