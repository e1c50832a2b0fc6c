import { type BinaryFile, READ_LIMIT } from "../../files/binary_file.ts";
import { damaged, quote } from "../../files/errors.ts";
import type { Contents } from "../stored_tensor.ts";
import { kind, UnfinishedPickle, unpickle } from "./pickle.ts";
import { locateTensor, notesBeside, stateDict, torchRules, type TorchStorage } from "./tensor.ts";
import { readZip } from "./zip.ts";

/** Reads a file of torch.save since torch 1.6: a zip of a pickle and its storages. No tensor is read. */
export async function readTorchZip(file: BinaryFile): Promise<Contents> {
  const { path } = file;
  const entries = await readZip(file);
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length !== 1) throw damaged(path, "one data.pkl in a torch zip", `${pickles.length}`);
  const folder = pickles[0]!.slice(0, -"data.pkl".length);

  const read = async (name: string, limit: number) => {
    const { offset, size } = entries.get(name)!;
    if (size > limit) throw damaged(path, `at most ${limit} bytes in ${quote(name)}`, `${size}`);
    return await file.read(offset, size);
  };
  const order = `${folder}byteorder`; // since torch 2.1
  checkByteOrder(path, !entries.has(order) || new TextDecoder().decode(await read(order, 16)) === "little");
  const { value } = unpickle(await read(pickles[0]!, READ_LIMIT), 0, torchRules(path), path);

  return contents(file, value, ({ key, bytes }) => {
    const entry = entries.get(`${folder}data/${key}`);
    if (entry?.size !== bytes) {
      throw damaged(
        path,
        `storage ${quote(key)} of ${bytes} bytes in its zip`,
        entry ? `${entry.size}` : "none",
      );
    }
    return entry.offset;
  });
}

const magic = 0x1950a86a20f9469cfc6cn;

/**
 * Reads a file of torch.save before torch 1.6: pickles of a magic number, a protocol, the machine, the state
 * dict and the order of its storages, then the storages, each behind its length. No tensor is read.
 */
export async function readTorchLegacy(file: BinaryFile): Promise<Contents> {
  const { path } = file;
  const { values: [_, protocol, machine, state, keys], storages, end } = await readPickles(file, 5);
  if (protocol !== 1001) throw damaged(path, "torch's protocol 1001", kind(protocol));
  checkByteOrder(path, machine instanceof Map && machine.get("little_endian") === true);
  if (!Array.isArray(keys)) throw damaged(path, "a list of storages behind its pickle", kind(keys));

  const starts = new Map<unknown, number>();
  let at = end;
  for (const key of keys) {
    const storage = storages.get(key);
    if (!storage || starts.has(key)) throw damaged(path, "each storage of its pickle once", kind(key));
    const elements = new DataView((await file.read(at, 8)).buffer).getBigUint64(0, true);
    if (elements !== BigInt(storage.elements)) {
      throw damaged(path, `${storage.elements} elements in storage ${quote(key)}`, `${elements}`);
    }
    starts.set(key, at + 8);
    at += 8 + storage.bytes;
  }
  if (at !== file.size) throw damaged(path, `a file of ${at} bytes`, `${file.size}`);

  return contents(file, state, ({ key, bytes }) => {
    const start = starts.get(key);
    if (start === undefined || storages.get(key)!.bytes !== bytes) {
      throw damaged(
        path,
        `storage ${quote(key)} of ${bytes} bytes`,
        start === undefined ? "none" : "another size",
      );
    }
    return start;
  });
}

/** Values of consecutive pickles, the storages that they name, and the position behind them. */
interface Pickles {
  values: unknown[];
  storages: Map<unknown, TorchStorage>;
  end: number;
}

/** Reads the pickles at the head of a file. Their length is unknown: ever longer heads are read. */
async function readPickles(file: BinaryFile, count: number): Promise<Pickles> {
  for (let length = 2 ** 20;; length *= 4) {
    const head = await file.read(0, Math.min(length, file.size));
    try {
      return parsePickles(head, count, file.path);
    } catch (error) {
      if (!(error instanceof UnfinishedPickle) || length >= Math.min(file.size, READ_LIMIT)) throw error;
    }
  }
}

function parsePickles(bytes: Uint8Array, count: number, path: string): Pickles {
  const { persistent, ...rules } = torchRules(path);
  const storages = new Map<unknown, TorchStorage>();
  const remember = (id: unknown) => {
    const storage = persistent(id);
    if (!storages.has(storage.key)) storages.set(storage.key, storage);
    return storage;
  };
  const values: unknown[] = [];
  let end = 0;
  while (values.length < count) {
    const pickle = unpickle(bytes, end, { ...rules, persistent: remember }, path);
    if (values.length === 0 && pickle.value !== magic) {
      throw new TypeError(
        `Cannot load ${path}: expected weights (safetensors, GGUF or torch), got a pickle of ${
          kind(pickle.value)
        } ` +
          "that torch did not write; name a file of weights",
      );
    }
    values.push(pickle.value);
    end = pickle.end;
  }
  return { values, storages, end };
}

function checkByteOrder(path: string, little: boolean): void {
  if (little) return;
  throw new Error(
    `Cannot load ${path}: expected little-endian numbers, got big-endian; save it again on a common machine`,
  );
}

/** Puts each tensor at the place of its storage in the file. */
function contents(
  file: BinaryFile,
  value: unknown,
  locate: (storage: TorchStorage) => number,
): Contents {
  const placed = [...stateDict(value, file.path)].map(([name, tensor]) =>
    locateTensor(file, name, tensor, locate(tensor.storage))
  );
  return { tensors: new Map(placed.map((tensor) => [tensor.name, tensor])), metadata: notesBeside(value) };
}
