import type { Tensor } from "../tensor/mod.ts";

const f32 = Math.fround;
const LARGEST = f32(3.4028234e38);

/**
 * The sample of σ at σ' on its way to x̂_0, x + (x − x̂_0)/σ · (σ' − σ) (Karras et al. 2022, Algorithm 2,
 * lines 4 and 5). Rounded at each operation as in torch: next to a large σ, as the 4096 of zero terminal SNR,
 * x − x̂_0 loses bits that the result shows.
 */
export function toward(x0: Tensor, sample: Tensor, sigma: number, next: number): Tensor {
  const slope = sample.sub(x0).div(sigma);
  const way = slope.mul(f32(next - sigma)).clamp(-LARGEST, LARGEST); // lest drivers make one operation of · and +
  return sample.add(way);
}
