import assert from "node:assert/strict";
import { openDevice } from "denoise";
import { openModel } from "../../scripts/profile/subject.ts";
import { expectCounts } from "../support/counted.ts";
import { fixture } from "../support/fixtures.ts";

/** Families of which torch's counts are not stored (test/models/counts_test.ts has those). */
const others = [
  ["flux2/pipeline", "transformer"],
  ["flux2/pipeline", "vae"],
  ["zimage/pipeline", "transformer"],
  ["flux/pipeline", "vae"],
  ["autoencoder_tiny/base", undefined],
  ["autoencoder_tiny/taef2/taef2.safetensors", undefined],
] as const;

for (const [repo, part] of others) {
  for (const dtype of ["f32", "f16"] as const) {
    Deno.test(`operations and bytes of ${part ? `the ${part} of ` : ""}${repo} in ${dtype} equal those counted from shapes`, async () => {
      using device = await openDevice();
      const size = { width: 64, height: 64 };
      using subject = await openModel(device, fixture(repo), { part, dtype, size });
      await subject.run(1);
      const products = expectCounts(device);
      assert.ok(products.size > 5);
    });
  }
}
