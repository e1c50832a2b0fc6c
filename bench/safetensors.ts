/** Name and shape of a tensor to be written as F32. */
export type Entry = readonly [name: string, shape: readonly number[]];

/** Writes a safetensors file of F32 tensors. Without `values` they are zeros that take no room on the disk. */
export async function writeSafetensors(
  path: string,
  entries: readonly Entry[],
  values?: (count: number, shape: readonly number[]) => Float32Array<ArrayBuffer>,
): Promise<void> {
  const count = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);
  let end = 0;
  const header = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries.map(([name, shape]) => {
    const begin = end;
    end += 4 * count(shape);
    return [name, { dtype: "F32", shape, data_offsets: [begin, end] }];
  }))));
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  await writeAll(file, new Uint8Array(new BigUint64Array([BigInt(header.length)]).buffer));
  await writeAll(file, header);
  if (!values) return await file.truncate(8 + header.length + end);
  for (const [, shape] of entries) await writeAll(file, new Uint8Array(values(count(shape), shape).buffer));
}

/** One write may take only a part. */
async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
}
