import type { BlockDType } from "../stored_dtype.ts";

/** Bytes of blocks, and a view to read numbers from them. */
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
const plainBlocks: Record<Extract<BlockDType, `Q${number}_${0 | 1}`>, BlockDecoder> = {
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

/**
 * GGUF's K types: 256 elements in groups of 16 or 32, whose scales and least values are small integers
 * themselves, with one d and one dmin in f16 a block: y = d scale q − dmin least
 * (https://github.com/ggml-org/ggml, the structs block_q*_K). The elements of a byte lie 32 or 64 apart.
 */
const kBlocks: Record<Extract<BlockDType, `Q${number}_K`>, BlockDecoder> = {
  // 16 bytes of scales (low half) and least values (high half), 64 bytes of elements, d, dmin
  Q2_K: ({ bytes, view }, at, y, to) => {
    const d = view.getFloat16(at + 80, true);
    const dmin = view.getFloat16(at + 82, true);
    for (let group = 0; group < 16; group++) {
      const scale = d * (bytes[at + group]! & 15);
      const least = dmin * (bytes[at + group]! >> 4);
      const from = at + 16 + (group >> 3) * 32 + (group & 1) * 16;
      const shift = group & 6;
      for (let i = 0; i < 16; i++) y[to + group * 16 + i] = scale * (bytes[from + i]! >> shift & 3) - least;
    }
  },

  // 32 bytes of third bits (inverted), 64 bytes of lower bits, 12 bytes of scales, d
  Q3_K: ({ bytes, view }, at, y, to) => {
    const d = view.getFloat16(at + 108, true);
    for (let group = 0; group < 16; group++) {
      const low = bytes[at + 96 + (group & 7)]! >> (group & 8 ? 4 : 0) & 15;
      const high = bytes[at + 104 + (group & 3)]! >> (group >> 2) * 2 & 3;
      const scale = d * ((low | high << 4) - 32);
      const third = at + (group & 1) * 16;
      const from = at + 32 + (group >> 3) * 32 + (group & 1) * 16;
      for (let i = 0; i < 16; i++) {
        const offset = bytes[third + i]! >> (group >> 1) & 1 ? 0 : 4;
        y[to + group * 16 + i] = scale * ((bytes[from + i]! >> (group & 6) & 3) - offset);
      }
    }
  },

  // d, dmin, 12 bytes of scales and least values, 128 bytes of elements
  Q4_K: ({ bytes, view }, at, y, to) => {
    const d = view.getFloat16(at, true);
    const dmin = view.getFloat16(at + 2, true);
    for (let group = 0; group < 8; group++) {
      const scale = d * scaleOf(bytes, at + 4, group);
      const least = dmin * leastOf(bytes, at + 4, group);
      const from = at + 16 + (group >> 1) * 32;
      const shift = (group & 1) * 4;
      for (let i = 0; i < 32; i++) y[to + group * 32 + i] = scale * (bytes[from + i]! >> shift & 15) - least;
    }
  },

  // as Q4_K, with 32 bytes of fifth bits in front of the elements
  Q5_K: ({ bytes, view }, at, y, to) => {
    const d = view.getFloat16(at, true);
    const dmin = view.getFloat16(at + 2, true);
    for (let group = 0; group < 8; group++) {
      const scale = d * scaleOf(bytes, at + 4, group);
      const least = dmin * leastOf(bytes, at + 4, group);
      const from = at + 48 + (group >> 1) * 32;
      const shift = (group & 1) * 4;
      for (let i = 0; i < 32; i++) {
        const q = bytes[from + i]! >> shift & 15 | (bytes[at + 16 + i]! >> group & 1) << 4;
        y[to + group * 32 + i] = scale * q - least;
      }
    }
  },

  // 128 bytes of lower bits, 64 bytes of upper bits, 16 signed scales, d
  Q6_K: ({ bytes, view }, at, y, to) => {
    const d = view.getFloat16(at + 208, true);
    for (let group = 0; group < 16; group++) {
      const scale = d * view.getInt8(at + 192 + group);
      const [half, quarter, odd] = [group >> 3, group >> 1 & 3, (group & 1) * 16]; // 128, 32 and 16 elements
      const lower = at + half * 64 + (quarter & 1) * 32 + odd;
      const upper = at + 128 + half * 32 + odd;
      for (let i = 0; i < 16; i++) {
        const q = bytes[lower + i]! >> (quarter & 2) * 2 & 15 | (bytes[upper + i]! >> quarter * 2 & 3) << 4;
        y[to + group * 16 + i] = scale * (q - 32);
      }
    }
  },
};

/** Six bits of a scale: those of the last four groups are split, their upper two above the first four's. */
function scaleOf(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return bytes[at + group]! & 63;
  return bytes[at + 4 + group]! & 15 | bytes[at + group - 4]! >> 6 << 4;
}

/** Six bits of a least value, packed like the scales. */
function leastOf(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return bytes[at + 4 + group]! & 63;
  return bytes[at + 4 + group]! >> 4 | bytes[at + group]! >> 6 << 4;
}

/** Decoders of all types of blocks. */
export const blockDecoders: Record<BlockDType, BlockDecoder> = { ...plainBlocks, ...kBlocks };
