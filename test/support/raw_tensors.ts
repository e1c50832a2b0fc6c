import { openCheckpoint } from "../../src/io/formats/checkpoint.ts";

/** A tensor as it is stored. */
export interface RawTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** The tensors of a file as they are stored. */
export async function readRaw(path: string): Promise<Map<string, RawTensor>> {
  using checkpoint = await openCheckpoint(path);
  const tensors = new Map<string, RawTensor>();
  for (const info of checkpoint.tensors.values()) {
    const count = info.shape.reduce((product, n) => product * n, 1);
    const { dtype, shape } = info;
    tensors.set(info.name, { dtype, shape, bytes: await checkpoint.read(info, 0, count) });
  }
  return tensors;
}

/** A safetensors file of raw tensors. */
export function safetensorsOf(
  tensors: ReadonlyMap<string, RawTensor>,
  metadata: Record<string, string> = {},
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let end = 0;
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [end, end += bytes.length] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  let at = 8 + text.length;
  for (const { bytes } of tensors.values()) {
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

/** Tensors one below the other along the first axis. */
export function stacked(parts: readonly RawTensor[]): RawTensor {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.bytes.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part.bytes, at);
    at += part.bytes.length;
  }
  const [{ dtype, shape: [, ...row] }] = parts as readonly [RawTensor];
  return { dtype, shape: [parts.reduce((sum, { shape }) => sum + shape[0]!, 0), ...row], bytes };
}

/** Rows as columns. */
export function turned({ dtype, shape: [M, N], bytes }: RawTensor): RawTensor {
  const width = bytes.length / (M! * N!);
  const turned = bytes.map((_, i) => {
    const [element, byte] = [Math.floor(i / width), i % width];
    return bytes[(element % M! * N! + Math.floor(element / M!)) * width + byte]!;
  });
  return { dtype, shape: [N!, M!], bytes: turned };
}
