/** Values that kernels read, in a safetensors file: "<kernel and shape> input 0" and so on. */
import type { Device, Storage } from "denoise";
import { bytesOf, isPacked } from "../../src/core/dtype.ts";
import { writeWholeFile } from "../../src/io/files/whole_file.ts";
import { type Checkpoint, openCheckpoint } from "../../src/io/formats/checkpoint.ts";
import { type Problem, type Read, readsOf } from "../../src/graph/tuning/bench.ts";
import { keyOf, type Work } from "../kernel/works.ts";
import type { Inputs } from "./workbench.ts";

/** A tensor of such a file: packed types as the bytes that they are in memory. */
interface Stored {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

const PIECE = 2 ** 22; // elements that are read at once

const NAMES = { f32: "F32", f16: "F16", i32: "I32", u32: "U32", bool: "U32" } as const;

function storedAs(problem: Problem): Stored[] {
  return readsOf(problem).map((read, i) => {
    const name = `${keyOf(problem)} input ${i}`;
    const bytes = bytesIn(read);
    return isPacked(read.dtype)
      ? { name, dtype: "U8", shape: [bytes], bytes }
      : { name, dtype: NAMES[read.dtype], shape: [read.count], bytes };
  });
}

function bytesIn({ dtype, count }: Read): number {
  return count * bytesOf(dtype);
}

/** Writes the values of kernels, whole or not at all. */
export async function writeInputs(
  device: Device,
  path: string,
  works: readonly Work[],
  inputsOf: (work: Work) => Promise<Inputs>,
): Promise<void> {
  const header: Record<string, object> = { __metadata__: { format: "denoise inputs of kernels" } };
  const pieces: Uint8Array[] = [];
  let end = 0;
  for (const work of works) {
    using inputs = await inputsOf(work);
    for (const [i, { name, dtype, shape, bytes }] of storedAs(work.problem).entries()) {
      const { buffer, offset } = inputs.storages[i]!;
      const read = await device.read(buffer, offset, Math.ceil(bytes / 4) * 4);
      pieces.push(new Uint8Array(read, 0, bytes));
      header[name] = { dtype, shape, data_offsets: [end, end += bytes] };
    }
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  let at = 8 + text.length;
  for (const piece of pieces) {
    file.set(piece, at);
    at += piece.length;
  }
  await writeWholeFile(path, file);
}

/** A file of values that kernels read. */
export class InputsFile implements Disposable {
  readonly #device: Device;
  readonly #path: string;
  readonly #checkpoint: Checkpoint;

  private constructor(device: Device, path: string, checkpoint: Checkpoint) {
    this.#device = device;
    this.#path = path;
    this.#checkpoint = checkpoint;
  }

  /** Opens a file that `writeInputs` wrote. */
  static async open(device: Device, path: string): Promise<InputsFile> {
    return new InputsFile(device, path, await openCheckpoint(path));
  }

  /** The values of a kernel. Throws where the file has none for it, or others than it reads. */
  async inputsOf({ problem }: Work): Promise<Inputs> {
    using copies = new DisposableStack();
    const storages: Storage[] = [];
    for (const stored of storedAs(problem)) {
      const storage = this.#device.buffers.allocate("recorded inputs", stored.bytes);
      copies.defer(() => storage.release());
      await this.#send(stored, storage);
      storages.push(storage);
    }
    const owned = copies.move();
    return { storages, [Symbol.dispose]: () => owned.dispose() };
  }

  async #send({ name, dtype, shape: [count], bytes }: Stored, { buffer, offset }: Storage): Promise<void> {
    const found = this.#checkpoint.tensors.get(name);
    if (found?.dtype !== dtype || found.shape.length !== 1 || found.shape[0] !== count) {
      const got = found ? `${found.dtype} [${found.shape}]` : "none";
      throw new Error(
        `Cannot take --inputs ${this.#path}: expected "${name}" as ${dtype} [${count}], got ${got}; ` +
          "write it anew by --record, with the same model and adapter",
      );
    }
    for (let first = 0; first < count!; first += PIECE) {
      const values = await this.#checkpoint.read(found, first, Math.min(PIECE, count! - first));
      const whole = new Uint8Array(Math.ceil(values.length / 4) * 4); // writes end at words
      whole.set(values);
      this.#device.gpu.queue.writeBuffer(buffer, offset + first * bytes / count!, whole);
    }
  }

  [Symbol.dispose](): void {
    this.#checkpoint[Symbol.dispose]();
  }
}
