import assert from "node:assert/strict";
import { interpolate } from "../../src/core/math.ts";
import { logLinearSigmas } from "../../src/schedulers/euler.ts";
import { sigmaTable, sigmaToTimestep, spreadSigmas } from "../../src/schedulers/sigmas.ts";
import { assertRelativelyClose } from "../support/close.ts";

const table = sigmaTable({
  num_train_timesteps: 1000,
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: "scaled_linear",
  trained_betas: null,
  rescale_betas_zero_snr: false,
});

Deno.test("interpolate() and sigmaToTimestep() are each other's inverse at timesteps, and hold the ends", () => {
  const { sigmas, logSigmas } = table;
  for (const t of [0, 1, 17, 500, 999]) {
    assert.equal(interpolate(sigmas, t), sigmas[t]);
    assert.ok(Math.abs(sigmaToTimestep(sigmas[t]!, logSigmas) - t) < 1e-4);
  }
  assert.equal(interpolate(sigmas, 0.5), (sigmas[0]! + sigmas[1]!) / 2);
  assert.equal(interpolate(sigmas, -1), sigmas[0]);
  assert.equal(interpolate(sigmas, 2000), sigmas[999]);
  assert.equal(sigmaToTimestep(1e-6, logSigmas), 0);
  assert.equal(sigmaToTimestep(1e6, logSigmas), 999);
});

Deno.test("spreads of σ fall from the largest to the smallest", () => {
  const none = { use_karras_sigmas: false, use_exponential_sigmas: false, use_beta_sigmas: false };
  const range = { max: 14.6, min: 0.03 };
  assert.equal(spreadSigmas(none, range, 5), undefined);
  for (const key of Object.keys(none)) {
    const sigmas = spreadSigmas({ ...none, [key]: true }, range, 5)!;
    assertRelativelyClose([sigmas[0]!, sigmas[4]!], [14.6, 0.03], 1e-15, key);
    assert.ok(sigmas.every((sigma, i) => i === 0 || sigma < sigmas[i - 1]!), key);
    assert.equal(spreadSigmas({ ...none, [key]: true, sigma_max: 9 }, range, 1)?.length, 1, key);
  }
  const even = logLinearSigmas([0.01, 1], 2);
  assertRelativelyClose(even, [1, 0.1, 0.01], 1e-6, "log linear");
});
