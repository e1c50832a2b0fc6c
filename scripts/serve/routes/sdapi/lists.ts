import { samplers, spreadNames } from "../../../../src/schedulers/names.ts";
import type { Drawer } from "../../draw/drawer.ts";
import { latentNames, pictureNames } from "./hires.ts";
import { MOST_UNITS } from "./schema.ts";

/** What a client may ask for, and how it is described. */
interface List {
  readonly summary: string;
  readonly of: (drawer: Drawer) => object;
}

const none = (what: string): List => ({ summary: `${what}: none`, of: () => [] });

/** What is not told of a textual inversion. */
const UNTOLD = { step: null, sd_checkpoint: null, sd_checkpoint_name: null };

/** What A1111's clients ask for at their start, by the last part of its path: what there is, and that there is nothing else. */
export const LISTS: Readonly<Record<string, List>> = {
  "sd-models": {
    summary: "the models",
    of: ({ models }) =>
      models.map((name) => ({
        ...{ title: name, model_name: name, hash: null, sha256: null, filename: name, config: null },
      })),
  },
  "loras": {
    summary: "the LoRAs",
    of: ({ loras }) => loras.map((name) => ({ name, alias: name, path: name, metadata: {} })),
  },
  "samplers": {
    summary: "the samplers",
    of: () => samplers.map(({ names: [name, ...aliases] }) => ({ name, aliases, options: {} })),
  },
  "schedulers": {
    summary: "the spreads of the steps",
    of: () =>
      [{ names: ["Automatic"] }, ...spreadNames].map(({ names: [label, ...aliases] }) => ({
        ...{ name: label!.toLowerCase().replaceAll(" ", "_"), label, aliases },
        ...{ default_rho: -1, need_inner_model: false },
      })),
  },
  "embeddings": {
    summary: "textual inversions, by the tokens that stand for them in prompts",
    of: (drawer) => {
      const loaded = drawer.offered("embedding").map(({ token }) => [token!, UNTOLD] as const);
      return { loaded: Object.fromEntries(loaded), skipped: {} };
    },
  },
  "upscalers": {
    summary: "upscalers of pictures: none is a network",
    of: () =>
      pictureNames.map((name) => ({ name, model_name: null, model_path: null, model_url: null, scale: 4 })),
  },
  "latent-upscale-modes": {
    summary: "upscalers of latents",
    of: () => latentNames.map((name) => ({ name })),
  },
  "realesrgan-models": none("Real-ESRGAN's models"),
  "sd-vae": {
    summary: "autoencoders in place of models' own",
    of: (drawer) => drawer.offered("vae").map(({ name }) => ({ model_name: name, filename: name })),
  },
  "hypernetworks": none("hypernetworks"),
  "face-restorers": none("restorers of faces"),
  "prompt-styles": none("styles of prompts"),
  "scripts": {
    summary: "scripts: ControlNet, where one is offered",
    of: (drawer) => {
      const names = drawer.offered("controlnet").length > 0 ? ["controlnet"] : [];
      return { txt2img: names, img2img: names };
    },
  },
  "script-info": none("arguments of scripts"),
  "extensions": none("extensions"),
  "cmd-flags": { summary: "flags of the command line", of: () => ({ api: true }) },
  "memory": {
    summary: "memory of the process",
    of: () => ({
      ram: { used: Deno.memoryUsage().rss }, // more would take a permission
      cuda: { error: "WebGPU does not tell" },
    }),
  },
};

/** What clients of the extension sd-webui-controlnet ask for, below /controlnet. */
export const CONTROLNET_LISTS: Readonly<Record<string, List>> = {
  "version": { summary: "version of the extension's API", of: () => ({ version: 2 }) },
  "model_list": {
    summary: "the ControlNets",
    of: (drawer) => ({ model_list: drawer.offered("controlnet").map(({ name }) => name) }),
  },
  "module_list": {
    summary: "preprocessors: none",
    of: () => ({ module_list: ["none"], module_detail: {} }),
  },
  "settings": {
    summary: "ControlNets of a request, at most",
    of: () => ({ control_net_unit_count: MOST_UNITS }),
  },
  "control_types": {
    summary: "kinds of ControlNets: one has all",
    of: (drawer) => {
      const models = drawer.offered("controlnet").map(({ name }) => name);
      const all = { module_list: ["none"], model_list: ["None", ...models] };
      return { control_types: { All: { ...all, default_option: "none", default_model: "None" } } };
    },
  },
};

/** Lists that a client may have read again, which does nothing: they do not change. */
export const REFRESHED: readonly string[] = ["checkpoints", "loras", "vae", "embeddings"];
