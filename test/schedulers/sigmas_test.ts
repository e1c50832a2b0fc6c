import assert from "node:assert/strict";
import { betaQuantile } from "../../src/schedulers/beta_quantile.ts";
import {
  interpolate,
  logLinearSigmas,
  sigmaTable,
  sigmaToTimestep,
  spreadSigmas,
} from "../../src/schedulers/sigmas.ts";
import { assertRelativelyClose } from "../support/close.ts";

const table = sigmaTable({
  num_train_timesteps: 1000,
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: "scaled_linear",
  trained_betas: null,
  rescale_betas_zero_snr: false,
});

Deno.test("betaQuantile() matches scipy.stats.beta.ppf", () => {
  const [p, want] = [
    [0, 1e-12, 1e-3, 0.01, 0.1, 0.25, 1 / 3, 0.49, 0.5, 0.7, 0.9, 0.999, 1],
    [
      0,
      1.8558824624914097e-20,
      1.855873851745199e-05,
      0.0008612388215429059,
      0.03958440558878085,
      0.17568037865269498,
      0.2754132907776234,
      0.4861289142781599,
      0.5,
      0.7659829961247643,
      0.9604155944112192,
      0.9999814412614826,
      1,
    ],
  ];
  p.forEach((p, i) => {
    const got = betaQuantile(p, 0.6);
    assert.ok(Math.abs(got - want[i]!) <= 1e-14 * want[i]!, `at ${p}: got ${got}, want ${want[i]}`);
  });
  assert.equal(betaQuantile(0.2, 1), 0.2); // uniform
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
