import { plainName, samplers } from "../../../../src/schedulers/names.ts";
import { RefusalError } from "../../request/refusal.ts";
import type { Txt2img } from "./schema.ts";

/** The spread that a sampler has where "Automatic" is asked for, if not its own. */
const AUTOMATIC: Readonly<Record<string, string>> = {
  "DPM++ 2M": "Karras",
  "DPM++ SDE": "Karras",
  "DPM++ 2M SDE": "Exponential",
  "DPM++ 2M SDE Heun": "Exponential",
  "DPM++ 2S a": "Karras",
  "DPM++ 3M SDE": "Exponential",
  "DPM2": "Karras",
  "DPM2 a": "Karras",
};

/** A scheduler in A1111's words, and in ours. */
interface A1111Scheduler {
  /** The sampler's name; undefined for the model's own. */
  readonly sampler: string | undefined;
  /** The spread of the steps. */
  readonly schedule: string | undefined;
  /** Both, as a request has them. */
  readonly scheduler: string | undefined;
}

/** The scheduler by A1111's names for a sampler and a spread of the steps. */
export function schedulerOf(
  { sampler_name, sampler_index, scheduler = "" }: Pick<
    Txt2img,
    "sampler_name" | "sampler_index" | "scheduler"
  >,
): A1111Scheduler {
  const named = sampler_name || sampler_index || undefined;
  const spread = /^(automatic)?$/i.test(scheduler) ? undefined : scheduler;
  const sampler = named ?? (spread === undefined ? undefined : "Euler");
  if (sampler === undefined) return { sampler, schedule: undefined, scheduler: undefined };
  const plain = plainName(sampler);
  const known = samplers.find(({ names }) => names.some((name) => plainName(name) === plain));
  const schedule = spread ?? AUTOMATIC[known?.names[0] ?? sampler];
  return {
    sampler,
    schedule: schedule ?? "Automatic",
    scheduler: schedule === undefined ? sampler : `${sampler} ${schedule}`,
  };
}

/** A prompt's words, and the LoRAs that it names as `<lora:name:0.8>`. */
export function splitLoras(prompt: string): { words: string; loras: string[] } {
  const loras: string[] = [];
  const words = prompt.replace(/<(\w{1,99}):([^<>]{1,999})>/g, (tag, kind: string, rest: string) => {
    const [name, scale = "1", ...others] = rest.split(":");
    if (kind !== "lora" || others.length > 0 || !Number.isFinite(Number(scale))) {
      throw new RefusalError(
        "invalid",
        `Cannot take ${tag.slice(0, 100)} in a prompt: expected <lora:NAME> or <lora:NAME:0.8>`,
        "prompt",
      );
    }
    loras.push(`${name}:${scale}`);
    return "";
  });
  return { words: loras.length > 0 ? words.trim() : words, loras };
}
