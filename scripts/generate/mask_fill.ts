import { type Image, inMode } from "../../src/io/images/image.ts";
import { resizedImage } from "../../src/io/images/resize.ts";

/** Standard deviations in pixels, and how often each is laid over what was there: A1111's. The last is the picture as it is. */
const LAYERS = [[256, 1], [64, 1], [16, 2], [4, 4], [2, 2], [0, 1]] as const;
const PASSES = 3; // of a box, which come near a Gaussian

/**
 * A picture whose masked part has the colours around it, blurred, as A1111 fills it before it is drawn anew: ever smaller blurs
 * of the rest lie over each other. mask of any size, white where it is filled → RGB
 */
export function filled(image: Image, mask: Image): Image {
  const { width, height, data } = inMode(image, "RGB");
  const hidden = resizedImage(inMode(mask, "L"), { width, height }).data;
  const rest = new Uint8Array(4 * width * height); // RGBA, colours times alpha
  for (let i = 0; i < hidden.length; i++) {
    const alpha = 255 - hidden[i]!;
    for (let c = 0; c < 3; c++) rest[4 * i + c] = divided255(data[3 * i + c]! * alpha);
    rest[4 * i + 3] = alpha;
  }
  const made = new Uint8Array(rest.length);
  for (const [sigma, times] of LAYERS) {
    const layer = plain(blurredBox(rest, width, height, boxRadius(sigma)));
    for (let n = 0; n < times; n++) layOver(made, layer);
  }
  return inMode({ width, height, channels: 4, data: made }, "RGB");
}

/** Radius of a box that comes near a Gaussian in so many passes (Gwosdek et al. 2011), in f32 as in PIL. */
function boxRadius(sigma: number): number {
  const variance = Math.fround(sigma ** 2 / PASSES);
  const length = Math.fround(Math.sqrt(12 * variance + 1));
  const whole = Math.floor((length - 1) / 2);
  const part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance) /
    (6 * (variance - (whole + 1) ** 2));
  return sigma === 0 ? 0 : Math.fround(whole + Math.fround(part));
}

/** RGBA blurred by a box along its rows, then along its columns. */
function blurredBox(from: Uint8Array, width: number, height: number, radius: number): Uint8Array {
  if (radius === 0) return from;
  let now = from;
  for (let n = 0; n < PASSES; n++) {
    now = boxed(now, { radius, count: width, step: 4, lines: height, next: 4 * width });
  }
  for (let n = 0; n < PASSES; n++) {
    now = boxed(now, { radius, count: height, step: 4 * width, lines: width, next: 4 });
  }
  return now;
}

/** Lines of RGBA pixels: so many, `next` bytes apart, each of `count` pixels that are `step` bytes apart. */
interface Lines {
  readonly radius: number;
  readonly count: number;
  readonly step: number;
  readonly lines: number;
  readonly next: number;
}

/** Means over boxes of radius + 1 + radius pixels, the outermost of which count in part; beyond its ends a line goes on as there. */
function boxed(from: Uint8Array, { radius, count, step, lines, next }: Lines): Uint8Array {
  const reach = Math.floor(radius);
  const inner = Math.floor(Math.fround(2 ** 24 / Math.fround(2 * radius + 1))); // a pixel's weight, in 2^24ths
  const outer = Math.floor((2 ** 24 - (2 * reach + 1) * inner) / 2);
  const to = new Uint8Array(from.length);
  const line = new Int32Array(count + 2 * reach + 2); // with what is beyond both ends
  for (let start = 0; start < 4 * lines; start++) {
    const first = (start >> 2) * next + (start & 3);
    for (let i = 0, at = first; i < count; i++, at += step) line[reach + 1 + i] = from[at]!;
    line.fill(line[reach + 1]!, 0, reach + 1);
    line.fill(line[reach + count]!, reach + 1 + count);
    let sum = 0;
    for (let i = 1; i <= 2 * reach + 1; i++) sum += line[i]!;
    for (let i = 0, end = 2 * reach + 2; i < count; i++, end++) {
      const value = sum * inner + (line[i]! + line[end]!) * outer;
      to[first + i * step] = (value + 2 ** 23) >>> 24;
      sum += line[end]! - line[i + 1]!;
    }
  }
  return to;
}

/** Colours times alpha, without that. RGBA */
function plain(data: Uint8Array): Uint8Array {
  const out = data.slice();
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3]!;
    if (alpha === 0 || alpha === 255) continue;
    for (let c = 0; c < 3; c++) out[i + c] = Math.min(255, Math.floor(255 * data[i + c]! / alpha));
  }
  return out;
}

/** Lays RGBA over another, which becomes both, by PIL's rounding. */
function layOver(below: Uint8Array, above: Uint8Array): void {
  for (let i = 0; i < above.length; i += 4) {
    const alpha = above[i + 3]!;
    if (alpha === 0) continue;
    const both = alpha * 255 + below[i + 3]! * (255 - alpha);
    const part = Math.floor(alpha * 255 * 255 * 128 / both); // in 128ths of 255
    for (let c = 0; c < 3; c++) {
      const sum = above[i + c]! * part + below[i + c]! * (255 * 128 - part) + 128 * 128;
      below[i + c] = ((sum >> 8) + sum) >> 15;
    }
    below[i + 3] = divided255(both);
  }
}

/** x / 255, rounded as PIL does. */
function divided255(x: number): number {
  const half = x + 128;
  return (half + (half >> 8)) >> 8;
}
