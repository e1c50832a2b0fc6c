import type { StoredTensor, TensorInfo } from "../formats/stored_tensor.ts";

/** Tensors of a single file, by key. */
export type Infos = ReadonlyMap<string, TensorInfo>;

/** The same, with their places in the file. */
export type Stored = ReadonlyMap<string, StoredTensor>;

/** The shape of a tensor that a part must have; throws where it is missing. */
export function shapeOf(tensors: Infos, key: string, what: string): readonly number[] {
  const info = tensors.get(key);
  if (info) return info.shape;
  throw new ReferenceError(
    `Cannot load ${what} from a single file: expected "${key}" in it, got no such key`,
  );
}

/**
 * Blocks of a list: one more than the highest number that stands behind `prefix` and before a dot. Numbers
 * from 10,000 on do not count, as no model has so many.
 */
export function countOf(tensors: ReadonlyMap<string, unknown>, prefix: string): number {
  let count = 0;
  for (const key of tensors.keys()) {
    if (!key.startsWith(prefix)) continue;
    const number = /^(\d{1,4})\./.exec(key.slice(prefix.length));
    if (number) count = Math.max(count, Number(number[1]) + 1);
  }
  return count;
}

/** Looks a key up; a key of a file may be any text, also "constructor". */
export function valueIn<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

/**
 * The tensors whose keys begin with `prefix`, under other names: `rename` gives a key's new name, a tensor or
 * several, or undefined for those that no model reads.
 */
export function renamed<T extends TensorInfo>(
  tensors: ReadonlyMap<string, T>,
  prefix: string,
  rename: (key: string, tensor: T) => T[] | T | string | undefined,
): Map<string, T> {
  const views = new Map<string, T>();
  for (const [key, tensor] of tensors) {
    if (!key.startsWith(prefix)) continue;
    const found = rename(key.slice(prefix.length), tensor);
    if (found === undefined) continue;
    const list = typeof found === "string" ? [{ ...tensor, name: found }] : [found].flat() as T[];
    for (const view of list) {
      views.set(view.name, view);
    }
  }
  return views;
}
