import assert from "node:assert/strict";
import { alphasCumprod, type BetaConfig } from "../../src/schedulers/betas.ts";
import { assertClose } from "../support/close.ts";

const base: BetaConfig = {
  num_train_timesteps: 1000,
  beta_start: 0.0001,
  beta_end: 0.02,
  beta_schedule: "linear",
  trained_betas: null,
  rescale_betas_zero_snr: false,
};

/** ᾱ at 0, 1, 500, 998 and 999 as diffusers 0.42 has it. */
const alphaBars: [Partial<BetaConfig>, number[]][] = [
  [{}, [
    0.9998999834060669,
    0.9997800588607788,
    0.07779665291309357,
    4.118194192415103e-05,
    4.035830352222547e-05,
  ]],
  [
    { beta_schedule: "scaled_linear", beta_start: 0.00085, beta_end: 0.012 },
    [0.9991499781608582, 0.9982960224151611, 0.27633246779441833, 0.004716695751994848, 0.00466009508818388],
  ],
  [
    { beta_schedule: "squaredcos_cap_v2" },
    [
      0.9999586939811707,
      0.9999125599861145,
      0.4922850430011749,
      2.428766265438753e-06,
      2.4287349909002387e-09,
    ],
  ],
  [
    { beta_schedule: "sigmoid" },
    [
      0.9998508095741272,
      0.9997010231018066,
      0.29888758063316345,
      4.048962364322506e-05,
      3.9681821363046765e-05,
    ],
  ],
  [
    { beta_schedule: "laplace" },
    [0.9788462519645691, 0.9702835083007812, 0.7072834372520447, 0.20702660083770752, 0.03162277489900589],
  ],
];

for (const [config, want] of alphaBars) {
  Deno.test(`alphasCumprod() has torch's bits for ${config.beta_schedule ?? "linear"} betas`, () => {
    const table = alphasCumprod({ ...base, ...config });
    assert.equal(table.length, 1000);
    assert.deepEqual([0, 1, 500, 998, 999].map((t) => table[t]), want);
  });
}

Deno.test("alphasCumprod() ends at 0 where the betas are rescaled to zero terminal SNR", () => {
  const table = alphasCumprod({ ...base, rescale_betas_zero_snr: true });
  const want = [0.9998999834060669, 0.9997793436050415, 0.07524619996547699, 4.213273285813557e-09, 0];
  assertClose([0, 1, 500, 998, 999].map((t) => table[t]!), want, 1e-8, "ᾱ"); // torch's square root is off by a bit at times
  assert.equal(table[999], 0);
});

Deno.test("alphasCumprod() takes trained betas, if there are enough", () => {
  const trained = { ...base, num_train_timesteps: 3, trained_betas: [0.1, 0.2, 0.3] };
  assert.deepEqual([...alphasCumprod(trained)], [0.8999999761581421, 0.7199999690055847, 0.5040000081062317]);
  assert.throws(() => alphasCumprod({ ...trained, num_train_timesteps: 4 }), {
    name: "RangeError",
    message: "Cannot use trained_betas: expected num_train_timesteps = 4 numbers, got 3",
  });
});
