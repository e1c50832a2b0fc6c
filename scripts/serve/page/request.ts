/** A request as the page makes it and keeps it beside its picture: a DrawRequest whose pictures are files. */
export interface PageRequest {
  readonly model: string;
  readonly prompt?: string;
  readonly negative?: string;
  readonly lora?: readonly string[];
  readonly scheduler?: string;
  /** "512x512". */
  readonly size?: string;
  readonly steps?: number;
  readonly guidance?: number;
  readonly "true-cfg"?: number;
  /** In text, as it may have 64 bits. */
  readonly seed: string;
  readonly image?: Blob;
  readonly strength?: number;
  /** White where the picture is drawn anew. */
  readonly mask?: Blob;
}

/** A request in the JSON that the server reads. */
export async function jsonOf(request: PageRequest): Promise<string> {
  const entries = Object.entries(request).map(async ([name, value]) =>
    [name, value instanceof Blob ? await base64Of(value) : value] as const
  );
  return JSON.stringify(Object.fromEntries(await Promise.all(entries)));
}

function base64Of(file: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).split(",")[1]!);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

/** A line on what a request says, beside its prompt; `size` where the picture's is known, as "512x512". */
export function factsOf(request: PageRequest, size: string | undefined): string {
  const { model, lora = [], scheduler, steps, guidance, seed, image, strength, mask } = request;
  const facts = [
    model,
    ...lora,
    size?.replace("x", " × "),
    scheduler,
    steps !== undefined && `${steps} steps`,
    guidance !== undefined && `guidance ${guidance}`,
    request["true-cfg"] !== undefined && `true guidance ${request["true-cfg"]}`,
    image && (mask ? "a picture with a mask" : "a picture"),
    strength !== undefined && `strength ${strength}`,
    `seed ${seed}`,
  ];
  return facts.filter(Boolean).join(" · ");
}
