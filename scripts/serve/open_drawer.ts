import { existsSync } from "node:fs";
import { embeddedModel, loadingBar } from "denoise";
import type { Values } from "../command_line/options.ts";
import { type Addition, forAdditions } from "../generate/contents.ts";
import { EMBEDDED_NAME } from "../generate/usual.ts";
import { Drawer } from "./draw/drawer.ts";
import { LIMITS } from "./request/limits.ts";
import type { Offer } from "./models/offered.ts";
import type { options } from "./options.ts";

type Serving = Values<typeof options>;
type Limit = "max-pixels" | "max-steps" | "max-count" | "max-seconds";
type Settings =
  & Pick<Serving, "model" | "memory" | "dtype" | "quantize" | "engine" | "adapter" | Limit>
  & Pick<Serving, Addition>
  & Partial<Pick<Serving, "max-waiting">>;

/** Opens the device and what the options of a server or a worker offer. */
export async function openDrawer(settings: Settings): Promise<Drawer> {
  const { memory, dtype, quantize, engine, adapter } = settings;
  return await Drawer.open({
    models: await offeredModels(settings.model),
    ...{ memory, dtype, quantize, engine, adapter },
    ...forAdditions((setting) => settings[setting]),
    limits: {
      pixels: settings["max-pixels"],
      steps: settings["max-steps"],
      count: settings["max-count"],
      seconds: settings["max-seconds"],
      waiting: settings["max-waiting"] ?? LIMITS.waiting,
    },
    onProgress: loadingBar(),
  });
}

/** The models to offer; the embedded one if there is none, and where it is meant by its name. */
async function offeredModels(
  [first = { name: EMBEDDED_NAME, path: EMBEDDED_NAME }, ...others]: readonly Offer[] = [],
): Promise<[Offer, ...Offer[]]> {
  const found = async ({ name, path }: Offer) =>
    path === EMBEDDED_NAME && !existsSync(path) ? { name, path: await embeddedModel(path) } : { name, path };
  return [await found(first), ...await Promise.all(others.map(found))];
}

/** The model of requests that name none. */
export function usualModel(offers: readonly Offer[] | undefined): string {
  return offers?.[0]?.name ?? EMBEDDED_NAME;
}
