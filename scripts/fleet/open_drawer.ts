import { embeddedModel, loadingBar } from "denoise";
import { Drawer, type Offer } from "denoise/serve";
import type { Values } from "../command_line/options.ts";
import { EMBEDDED_NAME } from "../generate/usual.ts";
import { additionsIn } from "../serve/options.ts";
import type { workerOptions } from "./options.ts";

type Settings = Omit<Values<typeof workerOptions>, "queue" | "out" | "lease" | "turn">;

/** Opens the device and the models that the options name. */
export async function openDrawer(settings: Settings): Promise<Drawer> {
  const { memory, dtype, quantize, engine, adapter } = settings;
  return await Drawer.open({
    models: await offeredModels(settings.model),
    ...{ memory, dtype, quantize, engine, adapter },
    ...additionsIn(settings),
    limits: {
      pixels: settings["max-pixels"],
      steps: settings["max-steps"],
      count: settings["max-count"],
      seconds: settings["max-seconds"],
    },
    onProgress: loadingBar(),
  });
}

async function offeredModels(offers: readonly Offer[] | undefined): Promise<[Offer, ...Offer[]]> {
  const [first, ...others] = offers ?? [];
  return [first ?? { name: EMBEDDED_NAME, path: await embeddedModel(EMBEDDED_NAME) }, ...others];
}

/** The model of requests that name none. */
export function usualModel(offers: readonly Offer[] | undefined): string {
  return offers?.[0]?.name ?? EMBEDDED_NAME;
}
