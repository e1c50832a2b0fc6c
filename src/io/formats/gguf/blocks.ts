import type { BlockDType } from "../stored_dtype.ts";

/** Bytes of blocks, by byte and by number. */
export interface BlockBytes {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
}

/** Writes the elements of the block that begins at byte `at` to `y` from `to` on. */
export type BlockDecoder = (block: BlockBytes, at: number, y: Float32Array, to: number) => void;

/**
 * GGUF's plain types: 32 elements of four, five or eight bits, q, with a scale d and in some a least value m
 * in f16: y = d q + m (https://github.com/ggml-org/ggml, the structs block_q*). Of two elements in a byte the
 * low bits are of the first half of the block, the high bits of the second. Every result is one rounding away
 * from exact.
 */
export const plainBlocks: Record<Extract<BlockDType, `Q${number}_${0 | 1}`>, BlockDecoder> = {
  Q8_0: ({ bytes, view }, at, y, to) => {
    const d = view.getFloat16(at, true);
    for (let i = 0; i < 32; i++) y[to + i] = d * (bytes[at + 2 + i]! << 24 >> 24); // signed
  },

  Q4_0: ({ bytes, view }, at, y, to) => {
    const d = view.getFloat16(at, true);
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 2 + i]!;
      y[to + i] = d * ((pair & 15) - 8);
      y[to + i + 16] = d * ((pair >> 4) - 8);
    }
  },

  Q4_1: ({ bytes, view }, at, y, to) => {
    const d = view.getFloat16(at, true);
    const m = view.getFloat16(at + 2, true);
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 4 + i]!;
      y[to + i] = d * (pair & 15) + m;
      y[to + i + 16] = d * (pair >> 4) + m;
    }
  },

  Q5_0: ({ bytes, view }, at, y, to) => {
    const d = view.getFloat16(at, true);
    const fifth = view.getUint32(at + 2, true); // bit i is of element i
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 6 + i]!;
      y[to + i] = d * ((pair & 15 | (fifth >>> i & 1) << 4) - 16);
      y[to + i + 16] = d * ((pair >> 4 | (fifth >>> i + 16 & 1) << 4) - 16);
    }
  },

  Q5_1: ({ bytes, view }, at, y, to) => {
    const d = view.getFloat16(at, true);
    const m = view.getFloat16(at + 2, true);
    const fifth = view.getUint32(at + 4, true);
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 8 + i]!;
      y[to + i] = d * (pair & 15 | (fifth >>> i & 1) << 4) + m;
      y[to + i + 16] = d * (pair >> 4 | (fifth >>> i + 16 & 1) << 4) + m;
    }
  },
};
