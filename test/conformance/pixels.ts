import { loadPng, savePng, type Tensor } from "../../src/mod.ts";
import { difference, type HostTensor } from "../support/arrays.ts";
import { inF16, roundingsOf } from "./precision.ts";
import { type Verdict, within } from "./verdict.ts";

const STEPS = 1; // of 255, by which a pixel may differ
const SHARE = 0.01; // of the pixels that may, in f32

/**
 * The verdict on pictures in [0, 1], saved as PNG and read again. images [B, 3, H, W], want [B, H, W, 3] in bytes; `gain`
 * as of a bound.
 */
export async function comparePixels(
  id: string,
  images: Tensor,
  want: HostTensor,
  gain?: number,
): Promise<Verdict> {
  const got: number[] = [];
  for (const image of images.chunk(images.shape[0]!)) got.push(...await savedPixels(image));
  const { abs, index } = difference(got, want.data);
  const sample = { ...want, data: want.data.map((value) => value / 127.5 - 1) };
  const steps = STEPS + (inF16() ? Math.ceil(127.5 * roundingsOf(sample, gain)) : 0);
  const verdict = within(id, abs, steps, `at ${index} got ${got[index]}, want ${want.data[index]}`);
  const changed = got.filter((value, i) => value !== want.data[i]).length / got.length;
  if (verdict.status === "failed" || inF16() || changed < SHARE) return verdict;
  return { ...verdict, status: "failed", note: `${(100 * changed).toFixed(1)} % of the pixels differ` };
}

/** RGB as it comes back from a PNG. */
async function savedPixels(image: Tensor): Promise<number[]> {
  const path = await Deno.makeTempFile({ suffix: ".png" });
  try {
    await savePng(path, image);
    return [...(await loadPng(path)).data].filter((_, i) => i % 4 < 3); // without alpha
  } finally {
    await Deno.remove(path);
  }
}
