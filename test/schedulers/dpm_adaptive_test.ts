import assert from "node:assert/strict";
import { manualSeed } from "../../src/random/mod.ts";
import { EulerDiscreteScheduler, sampleDpmAdaptive } from "../../src/schedulers/mod.ts";
import { sigmaTable, sigmaToTimestep } from "../../src/schedulers/sigmas.ts";
import { type Tensor, tensor, weightedSum } from "../../src/tensor/mod.ts";
import { readTensors } from "../support/arrays.ts";
import { assertRelativelyClose } from "../support/close.ts";
import "../support/device.ts";
import { fixture } from "../support/fixtures.ts";
import { fakeModel } from "../support/sampling_loops.ts";

/** What k-diffusion did; see generator/k_diffusion_cases.py. */
interface Case {
  options: Record<string, number>;
  sample: number[];
  accepted: number;
  rejected: number;
  calls: number;
}

const cases = JSON.parse(await Deno.readTextFile(fixture("dpm_adaptive.json"))) as Case[];
const sample0 = (await readTensors(fixture("schedulers/_common.safetensors"))).get("sample0")!;
const sd = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: "scaled_linear" } as const;
const { config } = new EulerDiscreteScheduler(sd);
const { logSigmas } = sigmaTable({ ...config, rescale_betas_zero_snr: false });
const range = { sigmaMin: 0.03, sigmaMax: 14.6 };
const start = () => tensor([...sample0.data], sample0.shape).mul(14.6);

/** x̂_0 of the fake model. */
async function denoise(x: Tensor, sigma: number): Promise<Tensor> {
  const t = sigmaToTimestep(sigma, logSigmas, Math.fround);
  const input = await x.mul(1 / Math.sqrt(sigma ** 2 + 1)).data();
  return weightedSum([1, x], [-sigma, tensor(fakeModel(input, t), x.shape)]);
}

Deno.test("sampleDpmAdaptive() takes the steps of k-diffusion's sample_dpm_adaptive", async () => {
  for (const { options, sample, accepted, rejected, calls } of cases) {
    const { order, rtol, atol, h_init: hInit, pcoeff, icoeff, dcoeff, eta, s_noise: sNoise } = options;
    const pid = pcoeff === undefined ? undefined : [pcoeff, icoeff!, dcoeff!] as const;
    const got = await sampleDpmAdaptive(denoise, start(), {
      ...range,
      order: order as 2 | 3 | undefined,
      rtol,
      atol,
      hInit,
      pid,
      eta,
      sNoise,
      generator: manualSeed(7),
    });
    const what = JSON.stringify(options);
    assert.deepEqual([got.accepted, got.rejected, got.calls], [accepted, rejected, calls], what);
    assertRelativelyClose(await got.sample.data(), sample, 1e-5, what);
  }
  assert.ok(cases.some(({ rejected }) => rejected > 0));
});

Deno.test("sampleDpmAdaptive() leaves its argument and refuses odd ranges and orders", async () => {
  const x = start();
  await sampleDpmAdaptive(denoise, x, range);
  assert.equal((await x.data()).length, 8);
  await assert.rejects(sampleDpmAdaptive(denoise, x, { sigmaMin: 0, sigmaMax: 1 }), {
    message: "Cannot sample by dpm_adaptive: expected 0 < sigmaMin < sigmaMax, got 0 and 1",
  });
  await assert.rejects(sampleDpmAdaptive(denoise, x, { ...range, order: 4 as 3 }), /order 2 or 3, got 4/);
});

Deno.test("sampleDpmAdaptive() ends where no step would ever do", async () => {
  const x = start();
  await assert.rejects(
    sampleDpmAdaptive((x) => x.mul(NaN), x, range),
    /^RangeError: Cannot sample by dpm_adaptive: expected finite predictions, got an error of NaN at σ 14\.6/,
  );
  await assert.rejects(
    sampleDpmAdaptive(denoise, x, { ...range, hInit: 0 }),
    /a step of 0 in log σ .* leads nowhere/,
  );
  await assert.rejects(sampleDpmAdaptive(denoise, x, { ...range, hInit: NaN }), /a step of NaN in log σ/);
  await assert.rejects(sampleDpmAdaptive(denoise, x, { ...range, atol: 0 }), /rtol from 0 and atol above 0/);
});
