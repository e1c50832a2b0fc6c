import assert from "node:assert/strict";
import type { ResidualOptions } from "../../../src/models/mod.ts";
import { zeros } from "../../../src/tensor/mod.ts";
import { assertRelativelyClose } from "../../support/close.ts";
import { testOnBothEngines } from "../../support/engines.ts";
import { baseInputs, loadBase, parts } from "../../support/unet_base.ts";
import { upload } from "../../support/tensors.ts";

const bound = 1e-5; // f32
const list = (name: string, count: number) =>
  Array.from({ length: count }, (_, i) => upload(parts.get(`${name}/${i}`)!));

testOnBothEngines(
  "UNet2DConditionModel adds residuals of a ControlNet and of an adapter as diffusers does",
  async () => {
    using unet = await loadBase();
    const controlnet = (): ResidualOptions => ({
      downBlockAdditionalResiduals: list("down", 4),
      midBlockAdditionalResidual: upload(parts.get("mid")!),
    });
    const adapter = (): ResidualOptions => ({ downIntrablockAdditionalResiduals: list("intrablock", 2) });
    for (
      const [name, options] of Object.entries({
        controlnet: controlnet(),
        adapter: adapter(),
        both: { ...controlnet(), ...adapter() },
      })
    ) {
      const { sample } = unet.forward(...baseInputs(), options);
      assertRelativelyClose(await sample.data(), parts.get(`residuals/${name}`)!.data, bound, name);
    }
  },
);

testOnBothEngines("UNet2DConditionModel tells which residuals do not fit", async () => {
  using unet = await loadBase();
  const refused = (options: ResidualOptions, message: string) =>
    assert.throws(() => unet.forward(...baseInputs(), options), { name: "RangeError", message });
  refused(
    { downBlockAdditionalResiduals: list("down", 3) },
    "Cannot denoise: expected 4 downBlockAdditionalResiduals, got 3",
  );
  refused(
    { midBlockAdditionalResidual: zeros([1, 6, 4, 4]) },
    "Cannot use midBlockAdditionalResidual: expected shape [2, 6, 4, 4], got [1, 6, 4, 4]",
  );
  refused(
    { downIntrablockAdditionalResiduals: list("intrablock", 1) },
    "Cannot denoise: expected 2 or 3 downIntrablockAdditionalResiduals, got 1",
  );
  const wrong = list("down", 4).toReversed();
  refused(
    { downBlockAdditionalResiduals: wrong },
    "Cannot use downBlockAdditionalResiduals.0: expected shape [2, 4, 8, 8], got [2, 6, 4, 4]",
  );
});
