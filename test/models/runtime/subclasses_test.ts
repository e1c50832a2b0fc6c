import assert from "node:assert/strict";
import { openDevice } from "../../../src/mod.ts";
import { AutoencoderKL, CLIPTextModel, UNet2DConditionModel, UNet2DModel } from "../../../src/models/mod.ts";
import { DDPMPipeline, StableDiffusionPipeline } from "../../../src/pipelines/mod.ts";
import { DDIMScheduler } from "../../../src/schedulers/mod.ts";
import { CLIPTokenizer } from "../../../src/tokenizers/mod.ts";

const emoji = `${import.meta.dirname}/../../../models/emoji-diffusion`;
const ddpm = `${import.meta.dirname}/../../../models/emoji-ddpm`;

Deno.test("fromPretrained() of one's own class gives an instance of that class, whatever is loaded", async () => {
  using _device = await openDevice();
  const options = { defer: true } as const;

  class OwnUNet extends UNet2DConditionModel {
    get levels() {
      return this.config.block_out_channels.length;
    }
  }
  using unet = await OwnUNet.fromPretrained(emoji, { ...options, subfolder: "unet" });
  assert.ok(unet instanceof OwnUNet);
  assert.equal(unet.levels, 3); // known to the type, too

  class OwnVae extends AutoencoderKL {}
  using vae = await OwnVae.fromPretrained(emoji, { ...options, subfolder: "vae" });
  assert.ok(vae instanceof OwnVae);
  class OwnText extends CLIPTextModel {}
  using text = await OwnText.fromPretrained(emoji, { ...options, subfolder: "text_encoder" });
  assert.ok(text instanceof OwnText);
  class OwnPixels extends UNet2DModel {}
  using pixels = await OwnPixels.fromPretrained(ddpm, { ...options, subfolder: "unet" });
  assert.ok(pixels instanceof OwnPixels);

  class OwnTokenizer extends CLIPTokenizer {}
  assert.ok(await OwnTokenizer.fromPretrained(emoji) instanceof OwnTokenizer);
  class OwnScheduler extends DDIMScheduler {}
  assert.ok(await OwnScheduler.fromPretrained(emoji) instanceof OwnScheduler);
  class OwnPipeline extends StableDiffusionPipeline {}
  using pipeline = await OwnPipeline.fromPretrained(emoji);
  assert.ok(pipeline instanceof OwnPipeline);
  class OwnDDPM extends DDPMPipeline {}
  using simple = await OwnDDPM.fromPretrained(ddpm);
  assert.ok(simple instanceof OwnDDPM);
});
