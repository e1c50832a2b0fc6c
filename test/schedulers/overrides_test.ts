import assert from "node:assert/strict";
import { DDIMScheduler, PNDMScheduler } from "../../src/schedulers/mod.ts";

Deno.test("fromConfig() takes overrides even where they equal a default of the other class", () => {
  const pndm = new PNDMScheduler({ beta_schedule: "scaled_linear" });
  assert.equal(DDIMScheduler.fromConfig(pndm.config).config.clip_sample, true);
  const ddim = DDIMScheduler.fromConfig(pndm.config, { clip_sample: false });
  assert.deepEqual([ddim.config.clip_sample, ddim.config.beta_schedule], [false, "scaled_linear"]);
});
