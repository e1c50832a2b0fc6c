import { logF32, sinCosF32 } from "./cephes.ts";

const f32 = Math.fround;

/** Two independent normal values, the cosine first, from two uniform ones in [0, 1) (Box & Muller 1958). */
export function normalPair(u: number, v: number): [number, number] {
  const radius = Math.sqrt(-2 * Math.log(1 - u));
  const angle = 2 * Math.PI * v;
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

/** The same from 24-bit values, rounded as torch's vectorised kernel rounds. */
export function normalPairF32(u: number, v: number): [number, number] {
  const radius = f32(Math.sqrt(-2 * logF32(1 - u)));
  const [sin, cos] = sinCosF32(f32(f32(2 * Math.PI) * v));
  return [f32(radius * cos), f32(radius * sin)];
}
