/** What made a picture, as A1111's web interface writes it under it, and other programs read it. */
export interface Infotext {
  readonly prompt: string;
  readonly negative: string;
  /** By A1111's names; those that are undefined are left out. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** The text of PNGs by the keyword "parameters": the prompts, and a line of names with values. */
export function infotext({ prompt, negative, settings }: Infotext): string {
  const line = Object.entries(settings).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${quoted(String(value))}`]
  );
  return [prompt, ...negative === "" ? [] : [`Negative prompt: ${negative}`], line.join(", ")].join("\n");
}

function quoted(text: string): string {
  return /[,:\n]/.test(text) ? JSON.stringify(text) : text;
}

/** A1111's names of what a recipe has, in its order. */
const NAMES: Readonly<Record<string, string>> = {
  steps: "Steps",
  sampler: "Sampler",
  schedule: "Schedule type",
  guidance: "CFG scale",
  seed: "Seed",
  size: "Size",
  model: "Model",
  strength: "Denoising strength",
  "mask-blur": "Mask blur",
};

/** What an infotext has of a recipe: what A1111 knows by its names, all else that is no table by its own. */
export function infotextOfRecipe(recipe: Readonly<Record<string, unknown>>): string {
  const { prompt = "", negative = "", version, schedulerClass, ...others } = recipe;
  const known = { sampler: schedulerClass, ...recipe };
  const settings = Object.entries(NAMES).map(([name, a1111]) =>
    [a1111, known[name as keyof typeof known]] as const
  );
  const rest = Object.entries(others).filter(([name, value]) =>
    !(name in NAMES) && (typeof value !== "object" || Array.isArray(value))
  );
  return infotext({
    prompt: String(prompt),
    negative: String(negative),
    settings: { ...Object.fromEntries([...settings, ...rest]), Version: `Denoise ${version}` },
  });
}
