import assert from "node:assert/strict";
import {
  DDIMScheduler,
  DDPMScheduler,
  DPMSolverMultistepScheduler,
  EulerDiscreteScheduler,
  FlowMatchEulerDiscreteScheduler,
  FlowMatchHeunDiscreteScheduler,
  HeunDiscreteScheduler,
  LCMScheduler,
  misfits,
  PNDMScheduler,
  type Scheduler,
  TCDScheduler,
} from "../../src/schedulers/mod.ts";

const latent = { flow: false, latents: true };
const flux = { flow: true, latents: true };

Deno.test("misfits() is silent where a scheduler fits its model", () => {
  const fitting: [Scheduler, Parameters<typeof misfits>[1]][] = [
    [new PNDMScheduler({ clip_sample: true }), latent], // which PNDM does not read
    [new TCDScheduler({ clip_sample: true }), latent], // nor TCD
    [new DDIMScheduler({ clip_sample: false }), latent],
    [new DDPMScheduler(), { flow: false, latents: false }], // clips pixels, as it should
    [new FlowMatchEulerDiscreteScheduler(), flux],
    [new FlowMatchHeunDiscreteScheduler(), flux],
    [new DPMSolverMultistepScheduler({ use_flow_sigmas: true, prediction_type: "flow_prediction" }), flux],
  ];
  for (const [scheduler, use] of fitting) assert.deepEqual(misfits(scheduler, use), []);
});

Deno.test("misfits() says in a line why a scheduler draws badly with a model", () => {
  const odd: [Scheduler, Parameters<typeof misfits>[1], RegExp][] = [
    [
      new EulerDiscreteScheduler(),
      flux,
      /^EulerDiscreteScheduler does not fit: .*velocity of a flow; the picture/,
    ],
    [
      new FlowMatchEulerDiscreteScheduler(),
      latent,
      /^FlowMatchEulerDiscreteScheduler does not fit: .* predicts noise;/,
    ],
    [
      new DPMSolverMultistepScheduler({ use_flow_sigmas: true }),
      latent,
      /^DPMSolverMultistepScheduler .* noise;/,
    ],
    [
      new DDIMScheduler(),
      latent,
      /^DDIMScheduler .* its clip_sample keeps .*; set clip_sample to false in its config$/,
    ],
    [new HeunDiscreteScheduler({ clip_sample: true }), latent, /clip_sample/],
    [new LCMScheduler({ clip_sample: true }), latent, /clip_sample/],
    [new DPMSolverMultistepScheduler({ thresholding: true }), latent, /its thresholding keeps .*/],
  ];
  for (const [scheduler, use, line] of odd) {
    const [first, ...others] = misfits(scheduler, use);
    assert.match(first!, line);
    assert.deepEqual(others, []);
  }
});
