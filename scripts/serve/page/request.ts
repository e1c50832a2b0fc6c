/** A request as the page makes it and keeps it beside its picture: a DrawRequest whose pictures are files. */
export interface PageRequest {
  readonly model: string;
  readonly prompt?: string;
  readonly negative?: string;
  readonly "prompt-syntax"?: string;
  readonly lora?: readonly string[];
  readonly embedding?: readonly string[];
  readonly vae?: string;
  readonly scheduler?: string;
  /** "512x512". */
  readonly size?: string;
  readonly steps?: number;
  readonly guidance?: number;
  readonly "true-cfg"?: number;
  readonly pag?: number;
  readonly cache?: string;
  readonly "clip-skip"?: number;
  readonly "max-sequence-length"?: number;
  /** In text, as it may have 64 bits. */
  readonly seed: string;
  /** Another seed and its part of the noise, "7:0.3". */
  readonly variation?: string;
  /** The size whose noise is in the middle, "512x512". */
  readonly "seed-size"?: string;
  /** The size of a second pass, "1024x1024". */
  readonly hires?: string;
  readonly "hires-upscaler"?: string;
  readonly "hires-strength"?: number;
  readonly "hires-steps"?: number;
  readonly "hires-scheduler"?: string;
  readonly "hires-prompt"?: string;
  readonly "hires-negative"?: string;
  /** The picture that is changed, or those that the prompt is about. */
  readonly image?: Blob | readonly Blob[];
  readonly strength?: number;
  /** White where the picture is drawn anew. */
  readonly mask?: Blob;
  /** Pixels over which its edge is soft, behind which the rest stays. */
  readonly "mask-blur"?: number;
  /** What is within the mask at first. */
  readonly "mask-content"?: string;
  /** How the picture gets the size that is drawn. */
  readonly resize?: string;
  readonly controlnet?: readonly string[];
  readonly "t2i-adapter"?: readonly string[];
  /** One for each of these, or for a model that follows one. */
  readonly control?: readonly Blob[];
  readonly "control-mode"?: readonly string[];
  readonly "ip-adapter"?: readonly string[];
  /** One for each of these. */
  readonly "ip-image"?: readonly Blob[];
}

/** Settings of a file: a request without what the file does not tell. */
export type FileSettings = Partial<PageRequest> & { readonly seed: string };

/** Settings that are numbers, but for those of pictures. */
export const NUMBERS: readonly (keyof PageRequest)[] = [
  "steps",
  "guidance",
  "true-cfg",
  "pag",
  "clip-skip",
  "max-sequence-length",
  "hires-strength",
  "hires-steps",
];

/** A request in the JSON that the server reads. */
export async function jsonOf(request: PageRequest): Promise<string> {
  const entries = Object.entries(request).map(async ([name, value]) => [name, await inJson(value)] as const);
  return JSON.stringify(Object.fromEntries(await Promise.all(entries)));
}

async function inJson(value: unknown): Promise<unknown> {
  if (Array.isArray(value)) return await Promise.all(value.map(inJson));
  return value instanceof Blob ? await base64Of(value) : value;
}

/** A file in base64. */
export function base64Of(file: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).split(",")[1]!);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

/** A line on what a request says, beside its prompt; `size` where the picture's is known, as "512x512". */
export function factsOf(request: Partial<PageRequest>, size: string | undefined): string {
  const { model, scheduler, steps, guidance, seed, image, strength, mask } = request;
  const images = [image ?? []].flat().length;
  const numbers =
    ([["true-cfg", "true guidance"], ["pag", "perturbed attention"], ["clip-skip", "CLIP skip"]] as const)
      .map(([name, words]) => request[name] !== undefined && `${words} ${request[name]}`);
  const named = ["lora", "embedding", "controlnet", "t2i-adapter", "ip-adapter"] as const;
  const facts = [
    model,
    ...named.flatMap((name) => request[name] ?? []),
    request.vae,
    size?.replace("x", " × "),
    scheduler,
    steps !== undefined && `${steps} steps`,
    guidance !== undefined && `guidance ${guidance}`,
    ...numbers,
    request.cache !== undefined && `step cache ${request.cache}`,
    request.hires !== undefined && `second pass ${request.hires.replace("x", " × ")}`,
    images > 0 && (mask ? "a picture with a mask" : images > 1 ? `${images} pictures` : "a picture"),
    strength !== undefined && `strength ${strength}`,
    seed && `seed ${seed}`,
    request.variation !== undefined && `variation ${request.variation}`,
    request["seed-size"] !== undefined && `noise of ${request["seed-size"].replace("x", " × ")}`,
  ];
  return facts.filter(Boolean).join(" · ");
}
