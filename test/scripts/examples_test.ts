import assert from "node:assert/strict";
import { join } from "node:path";
import { shareAttention } from "../../scripts/examples/attention_sharing.ts";
import { freeU } from "../../scripts/examples/freeu.ts";
import { perturb } from "../../scripts/examples/pag.ts";
import { replaceMaps } from "../../scripts/examples/prompt_to_prompt.ts";
import { readPng } from "../../src/io/images/png.ts";
import type { Edit, UNet2DConditionModel } from "../../src/models/mod.ts";
import { assertRelativelyClose } from "../support/close.ts";
import { testOnBothEngines } from "../support/engines.ts";
import { inFolder, runScript } from "../support/script.ts";
import { baseInputs, loadBase, parts } from "../support/unet_base.ts";

/** Edits by the names of diffusers' results in the fixture. */
const techniques: Record<string, (unet: UNet2DConditionModel) => Edit[]> = {
  freeu: (unet) => freeU(unet, { b: [1.2, 1.4], s: [0.9, 0.2] }),
  pag: (unet) => perturb(unet, 2),
  sharing: (unet) => shareAttention(unet, 1),
  prompt_to_prompt: (unet) => replaceMaps(unet, 1),
};

testOnBothEngines(
  "the edits of the examples compute what diffusers does, and leave nothing behind",
  async () => {
    using unet = await loadBase();
    const draw = async () => await unet.forward(...baseInputs()).sample.data();
    const plain = await draw();
    for (const [name, edit] of Object.entries(techniques)) {
      const edits = edit(unet);
      assert.ok(edits.length > 0);
      assertRelativelyClose(await draw(), parts.get(`edits/${name}`)!.data, 1e-5, name);
      for (const edit of edits) edit.remove();
    }
    const edits = replaceMaps(unet, 1, 0); // maps are computed, and none is replaced
    assertRelativelyClose(await draw(), plain, 1e-5, "no share");
    for (const edit of edits) edit.remove();
    assert.deepEqual(await draw(), plain);
  },
);

for (const [script, width] of [["pag.ts", 64], ["prompt_to_prompt.ts", 128]] as const) {
  Deno.test(`${script} draws with the embedded model`, () =>
    inFolder(async (folder) => {
      const { code, stderr } = await runScript(folder, `examples/${script}`);
      assert.equal(code, 0, stderr);
      const picture = await readPng(join(folder, script.replace(".ts", ".png")));
      assert.equal(picture.width, width);
    }));
}
