import { sqrtf } from "../core/float32.ts";

const f32 = Math.fround;

/**
 * How far an ancestral step goes down, and how much noise brings it up again to σ' (k-diffusion's
 * get_ancestral_step). Rounded at each operation as in torch, since the differences cancel.
 */
export function ancestral(sigma: number, next: number): { down: number; up: number } {
  const [square, nextSquare] = [f32(sigma ** 2), f32(next ** 2)];
  const up = sqrtf(f32(f32(nextSquare * f32(square - nextSquare)) / square));
  const rest = f32(nextSquare - f32(up ** 2));
  return { down: rest >= 0 ? sqrtf(rest) : next ** 2 / sigma, up }; // else exactly, where torch gets NaN
}
