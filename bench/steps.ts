import { cat, openDevice } from "denoise";
import { AutoencoderKL, UNet2DConditionModel, UNet2DModel } from "denoise/models";
import { DDIMScheduler, EulerDiscreteScheduler } from "denoise/schedulers";
import {
  CELEBAHQ,
  decoderFlops,
  PROMPT_TOKENS,
  SD15_UNET,
  SD15_VAE,
  seededModel,
  unetFlops,
} from "./models.ts";
import { autoencoderParameters, unetParameters } from "./parameters.ts";
import type { Peer } from "./peer.ts";
import { noiseImage, noiseTensor } from "./random.ts";
import { measureStep, type StepRow } from "./step.ts";
import type { Patience } from "./turns.ts";

/** What a run of the models below is like. */
export interface StepsOptions {
  quick: boolean;
  torch: Peer | undefined;
  patience: Patience;
}

const STEPS = 50;

/** The loop that people write with DDPM's UNet, and DDIM's update. Each model has a device of its own, for its peak. */
export async function* ddpmSteps({ quick, torch, patience }: StepsOptions): AsyncGenerator<StepRow> {
  using device = await openDevice();
  const loaded = await seededModel(UNet2DModel, CELEBAHQ, unetParameters(CELEBAHQ));
  using unet = loaded.model;
  const scheduler = new DDIMScheduler({});
  scheduler.setTimesteps(STEPS);
  for (const side of quick ? [64] : [64, 256]) {
    const samples = [0, 1].map(() => noiseImage([1, 3, side, side]));
    const step = {
      name: `DDPM UNet step ${side}²`,
      problem: { op: "unet", config: CELEBAHQ, batch: 1, side } as const,
      flops: unetFlops(CELEBAHQ, side),
      record(turn: number) {
        const [t, sample] = [scheduler.timesteps[turn % STEPS], samples[turn % 2]];
        return scheduler.step(unet.forward(sample!, t!).sample, t!, sample!).prevSample;
      },
    };
    yield await measureStep(step, loaded, device, torch, patience);
  }
}

/** A guided step of Stable Diffusion 1.5, both halves in one pass, and the decoder that makes its picture. */
export async function* stableDiffusionSteps({ torch, patience }: StepsOptions): AsyncGenerator<StepRow> {
  yield await guidedStep({ torch, patience });
  yield await decoding({ torch, patience });
}

type Measuring = Omit<StepsOptions, "quick">;

async function guidedStep({ torch, patience }: Measuring): Promise<StepRow> {
  using device = await openDevice();
  const side = device.traits.software ? 8 : 64;
  const loaded = await seededModel(UNet2DConditionModel, SD15_UNET, unetParameters(SD15_UNET));
  using unet = loaded.model;
  const scheduler = new EulerDiscreteScheduler({});
  const samples = [0, 1].map(() => noiseImage([1, 4, side, side]));
  const prompts = noiseTensor([2, PROMPT_TOKENS, SD15_UNET.cross_attention_dim]);
  const step = {
    name: `SD 1.5 UNet guided step ${8 * side}²`,
    problem: { op: "unet", config: SD15_UNET, batch: 2, side } as const,
    flops: 2 * unetFlops(SD15_UNET, side),
    record(turn: number) {
      if (turn % STEPS === 0) scheduler.setTimesteps(STEPS);
      const [t, latents] = [scheduler.timesteps[turn % STEPS], samples[turn % 2]];
      const input = scheduler.scaleModelInput(cat([latents!, latents!]), t!);
      const [uncond, cond] = unet.forward(input, t!, prompts).sample.chunk(2);
      return scheduler.step(uncond.lerp(cond, 7.5), t!, latents!).prevSample;
    },
  };
  return await measureStep(step, loaded, device, torch, patience);
}

async function decoding({ torch, patience }: Measuring): Promise<StepRow> {
  using device = await openDevice();
  const side = device.traits.software ? 16 : 64;
  const loaded = await seededModel(AutoencoderKL, SD15_VAE, autoencoderParameters(SD15_VAE));
  using vae = loaded.model;
  const latents = [0, 1].map(() => noiseImage([1, 4, side, side]));
  const step = {
    name: `SD 1.5 VAE decode ${8 * side}²`,
    problem: { op: "decoder", config: SD15_VAE, side } as const,
    flops: decoderFlops(8 * side),
    record: (turn: number) => vae.decode(latents[turn % 2]!).sample,
  };
  return await measureStep(step, loaded, device, torch, patience);
}
