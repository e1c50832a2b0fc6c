import { type Addition, forAdditions, placeIn } from "../../generate/contents.ts";
import type { OfferedModel } from "./models.ts";
import { madeForAnother, type OfferedAddition, type Shelf } from "./offered.ts";
import { RefusalError } from "../request/refusal.ts";
import type { RequestSettings } from "../request/request.ts";

/** What a request names beside its model, in its order. */
export type NamedAdditions = Readonly<Record<Addition, readonly OfferedAddition[]>>;

/** Finds what a request names beside its model. Throws a RefusalError for what is not offered, and for what the model does not take. */
export function additionsOf(settings: RequestSettings, model: OfferedModel, shelf: Shelf): NamedAdditions {
  return forAdditions((setting) => {
    const names = [settings[setting] ?? []].flat().map((text) => placeIn(setting, text));
    const additions = names.map((name) => shelf.find(setting, name));
    const odd = names.find((name) => !model.fits[setting].has(name));
    if (odd !== undefined) throw madeForAnother(setting, odd, model.name);
    if (setting === "lora" || setting === "embedding") expectOnce(setting, names);
    return additions;
  });
}

function expectOnce(setting: Addition, names: readonly string[]): void {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return;
  throw new RefusalError("invalid", `Cannot take the ${setting} ${twice} twice: say it once`, setting);
}
