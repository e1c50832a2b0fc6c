import type { Image, Size } from "./image.ts";

/** Filters, by PIL's names. */
export type ResamplingFilter = "nearest" | "box" | "bilinear" | "hamming" | "bicubic" | "lanczos";

/** All filters, by their reach. */
export const resamplingFilters: readonly ResamplingFilter[] = [
  "nearest",
  "box",
  "bilinear",
  "hamming",
  "bicubic",
  "lanczos",
];

/** A part of a picture: left, top, right and bottom in pixels, which may be fractions. */
export type Box = readonly [x0: number, y0: number, x1: number, y1: number];

const sinc = (x: number): number => x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);

const [A, B] = [Math.fround(0.54), Math.fround(0.46)]; // of Hamming's window, as PIL has them in f32

/** The reach of a filter in pixels to each side, and the weight of a pixel by its distance. */
const kernels: Record<Exclude<ResamplingFilter, "nearest">, [reach: number, weight: (x: number) => number]> =
  {
    box: [0.5, (x) => x > -0.5 && x <= 0.5 ? 1 : 0],
    bilinear: [1, (x) => Math.max(0, 1 - Math.abs(x))],
    hamming: [1, (x) => Math.abs(x) >= 1 ? 0 : sinc(x) * (A + B * Math.cos(Math.PI * x))],
    bicubic: [2, (x) => cubic(Math.abs(x))],
    lanczos: [3, (x) => x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0],
  };

/** Keys' cubic convolution (1981) with a = −0.5. */
function cubic(x: number): number {
  const a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/** Fraction bits of a weight: a sum of weighted bytes stays below 2^31. */
const PRECISION = 22;

/** The weighted sum that gives one pixel of a line: neighbours from `first` on, with their weights. */
interface Sum {
  readonly first: number;
  readonly weights: Int32Array;
}

/**
 * Resizes a picture, or a part of it, with the bytes of Pillow 13: first along rows, then down columns, each
 * rounded to eight bits, with weights of 22 fraction bits. Colours are multiplied by their alpha meanwhile. Of the resized
 * picture only `window` is made, in its whole pixels: of one that is much larger than what is kept the rest costs nothing.
 */
export function resample(
  image: Image,
  to: Size,
  filter: ResamplingFilter,
  box: Box = [0, 0, image.width, image.height],
  window: Box = [0, 0, to.width, to.height],
): Image {
  const [x0, y0, x1, y1] = box;
  const [left, top, right, bottom] = window;
  const across = { size: image.width, from: x0, to: x1, count: to.width, first: left, end: right };
  const down = { size: image.height, from: y0, to: y1, count: to.height, first: top, end: bottom };
  if (filter === "nearest") return pick(image, placesOf(across), placesOf(down));
  if (isWhole(across) && isWhole(down)) return image;

  const widen = (made: Image) => isWhole(across) ? made : alongRows(made, sumsOf(across, filter));
  const heighten = (made: Image) => isWhole(down) ? made : downColumns(made, sumsOf(down, filter));
  const made = image.channels === 4 ? weighted(image) : image;
  const done = rowsFirst(image, to) ? heighten(widen(made)) : widen(heighten(made));
  return image.channels === 4 ? unweighted(done) : done;
}

/** Lines of `size` pixels, of which the part between two positions becomes `count` pixels; made are those from `first` to `end`. */
interface Resizing {
  readonly size: number;
  readonly from: number;
  readonly to: number;
  readonly count: number;
  readonly first: number;
  readonly end: number;
}

/** True where lines stay as they are. */
function isWhole({ size, from, to, count, first, end }: Resizing): boolean {
  return from === 0 && to === size && count === size && first === 0 && end === count;
}

/** True where rows are resized before columns. PIL changes the order where that saves work. */
function rowsFirst(image: Image, to: Size): boolean {
  const less = image.height - to.height;
  return less <= 0 || less <= 2 * (image.width - to.width);
}

/** The nearest pixel for each that is made; positions are summed up as in PIL, with its rounding. */
function placesOf({ from, to, count, first, end }: Resizing): number[] {
  const step = (to - from) / count;
  let at = from + step * 0.5;
  for (let i = 0; i < first; i++) at += step;
  return Array.from({ length: end - first }, () => {
    const place = Math.trunc(at);
    at += step;
    return place;
  });
}

function pick({ width, height, channels, data }: Image, columns: number[], rows: number[]): Image {
  const pixels = new Uint8Array(columns.length * rows.length * channels);
  let at = 0;
  for (const y of rows) {
    const row = Math.min(y, height - 1) * width;
    for (const x of columns) {
      const from = (row + Math.min(x, width - 1)) * channels;
      for (let c = 0; c < channels; c++) pixels[at++] = data[from + c]!;
    }
  }
  return { width: columns.length, height: rows.length, channels, data: pixels };
}

/** The sums for the pixels that are made. */
function sumsOf(
  { size, from, to, count, first: begin, end: stop }: Resizing,
  filter: Exclude<ResamplingFilter, "nearest">,
): Sum[] {
  const [reach, weight] = kernels[filter];
  const scale = (to - from) / count;
  const stretch = Math.max(1, scale); // a smaller picture takes a wider filter
  return Array.from({ length: stop - begin }, (_, i) => {
    const center = from + (begin + i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach * stretch + 0.5));
    const end = Math.min(size, Math.trunc(center + reach * stretch + 0.5));
    const weights = Array.from(
      { length: Math.max(0, end - first) },
      (_, k) => weight((k + first - center + 0.5) * (1 / stretch)),
    );
    const total = weights.reduce((sum, value) => sum + value, 0);
    return {
      first,
      weights: Int32Array.from(weights, (value) => fixed(total === 0 ? value : value / total)),
    };
  });
}

/** As fixed point, halves rounded away from 0. */
function fixed(value: number): number {
  return Math.trunc(value * 2 ** PRECISION + (value < 0 ? -0.5 : 0.5));
}

function alongRows({ width, height, channels, data }: Image, sums: readonly Sum[]): Image {
  const pixels = new Uint8Array(sums.length * height * channels);
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (const { first, weights } of sums) {
      const from = (y * width + first) * channels;
      for (let c = 0; c < channels; c++) pixels[at++] = sumOf(data, from + c, channels, weights);
    }
  }
  return { width: sums.length, height, channels, data: pixels };
}

function downColumns({ width, channels, data }: Image, sums: readonly Sum[]): Image {
  const line = width * channels;
  const pixels = new Uint8Array(sums.length * line);
  let at = 0;
  for (const { first, weights } of sums) {
    for (let i = 0; i < line; i++) pixels[at++] = sumOf(data, first * line + i, line, weights);
  }
  return { width, height: sums.length, channels, data: pixels };
}

/** A weighted sum of bytes as a byte. */
function sumOf(data: Uint8Array, from: number, step: number, weights: Int32Array): number {
  let sum = 1 << (PRECISION - 1); // rounds
  for (let k = 0; k < weights.length; k++) sum += data[from + k * step]! * weights[k]!;
  return Math.min(255, Math.max(0, sum >> PRECISION));
}

/** Multiplies colours by alpha, rounded as in PIL. */
function weighted(image: Image): Image {
  const data = image.data.slice();
  for (let i = 0; i < data.length; i += 4) {
    for (let c = i; c < i + 3; c++) {
      const product = data[c]! * data[i + 3]! + 128;
      data[c] = ((product >> 8) + product) >> 8;
    }
  }
  return { ...image, data };
}

/** Divides colours by alpha, rounded as in PIL. */
function unweighted(image: Image): Image {
  const data = image.data.slice();
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3]!;
    if (alpha === 0 || alpha === 255) continue;
    for (let c = i; c < i + 3; c++) data[c] = Math.min(255, Math.trunc(255 * data[c]! / alpha));
  }
  return { ...image, data };
}
