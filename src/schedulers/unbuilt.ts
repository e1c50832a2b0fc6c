/** Why diffusers' other schedulers are not built, and what does the same where there is something. */
const reasons: Readonly<Record<string, string>> = {
  AmusedScheduler: "it is for tokens of aMUSEd, whose models are not built",
  BlockRefinementScheduler: "it is for models of text",
  CogVideoXDDIMScheduler: "it is for CogVideoX's videos, whose models are not built",
  CogVideoXDPMScheduler: "it is for CogVideoX's videos, whose models are not built",
  ConsistencyDecoderScheduler: "it is for the consistency decoder, which is not built; load a vae",
  CosineDPMSolverMultistepScheduler: "it is for sound, whose models are not built",
  DDIMParallelScheduler: "it draws what DDIMScheduler does; take that",
  DDPMParallelScheduler: "it draws what DDPMScheduler does; take that",
  DDPMWuerstchenScheduler: "it is for Würstchen and Stable Cascade, whose models are not built",
  DiscreteDDIMScheduler: "it is for models of tokens, which are not built",
  DPMSolverMultistepInverseScheduler: "DDIMInverseScheduler leads from a picture to its noise; take that",
  EntropyBoundScheduler: "it is for models of text",
  FlowMapEulerDiscreteScheduler:
    "it is for models distilled as flow maps, which get two timesteps and are not built",
  HeliosDMDScheduler: "it is for Helios' videos, whose models are not built",
  HeliosScheduler: "it is for Helios' videos, whose models are not built",
  KarrasVeScheduler: 'diffusers has retired it; take KDiffusionScheduler with sampler "heun"',
  LTXEulerAncestralRFScheduler:
    'KDiffusionScheduler with sampler "euler_ancestral" and use_flow_sigmas does its steps; take that',
  MiniMaxH3Scheduler: "it is for MiniMax H3, whose models are not built",
  PiflowScheduler: "it is for Kandinsky 6, whose models are not built",
  RePaintScheduler:
    "painting parts of pictures with models of pixels is not; pipelines in latent space take masks",
  RFD4ProteinaScheduler: "it is for proteins",
  SCMScheduler: "it is for SANA-Sprint, whose models are not built",
  ScoreSdeVeScheduler: "it is for NCSN++, whose blocks are not built",
  ScoreSdeVpScheduler: "diffusers has retired it",
  UnCLIPScheduler: "it is for unCLIP and Kandinsky 2, whose models are not built",
  VQDiffusionScheduler: "it is for VQ-Diffusion, whose models are not built",
};

/** Why a class of diffusers is not among `schedulerClasses`, where it is one of its schedulers. */
export function whyUnbuilt(className: string): string | undefined {
  return Object.hasOwn(reasons, className) ? reasons[className] : undefined;
}

/** Names of diffusers' schedulers that are not built. */
export const UNBUILT: readonly string[] = Object.keys(reasons);

/** Parts of the plain names of other programs' samplers, and why these are not built. */
const samplerReasons: readonly (readonly [part: string, reason: string])[] = [
  ["cfgpp", "CFG++ needs the prediction on the negative prompt apart; take the name without cfg_pp"],
  ["restart", "its steps go back to more noise; take Heun, whose steps it repeats"],
  ["dpmadaptive", "the error of each step decides the next; loops call sampleDpmAdaptive()"],
  ["sasolverpece", "it calls the model twice a step; take sa_solver"],
];

/** Why a sampler of A1111 or ComfyUI is not built, by its name in the form of `plainName`. */
export function whyUnbuiltSampler(plain: string): string | undefined {
  return samplerReasons.find(([part]) => plain.includes(part))?.[1];
}
