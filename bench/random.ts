import { type Tensor, tensor } from "denoise";

const POOL = 1 << 20;
let pool: Float32Array<ArrayBuffer> | undefined;

/** Seeded values of mean 0 and variance `scale`²: uniform ones, from a pool that repeats, since only speed is measured. */
export function noise(count: number, scale = 1): Float32Array<ArrayBuffer> {
  pool ??= draw();
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = pool[i % POOL]! * scale;
  return values;
}

/** A tensor of noise. */
export function noiseTensor(shape: number[], scale?: number): Tensor {
  return tensor(noise(shape.reduce((product, n) => product * n, 1), scale), shape);
}

/** The same for four axes that lie channels-last in memory, as activations and the kernels of convolutions do. */
export function noiseImage([B, C, H, W]: [number, number, number, number], scale?: number): Tensor {
  return noiseTensor([B, H, W, C], scale).permute([0, 3, 1, 2]);
}

function draw(): Float32Array<ArrayBuffer> {
  let state = 1; // a linear congruential generator (Numerical Recipes)
  return Float32Array.from({ length: POOL }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * Math.sqrt(3);
  });
}
