/** The models of a pipeline that a LoRA may be for; "image" is its UNet or transformer. */
export type LoraPart = "image" | "textEncoder" | "textEncoder2";

const ANY: readonly LoraPart[] = ["image", "textEncoder", "textEncoder2"];

/**
 * What names begin with, and the model that it tells; longer ones stand before those that they begin with.
 */
const FRONTS: readonly [front: string, parts: readonly LoraPart[]][] = [
  ["lora_unet_", ["image"]],
  ["lora_transformer_", ["image"]],
  ["lora_te_", ["textEncoder"]],
  ["lora_te1_", ["textEncoder"]],
  ["lora_te2_", ["textEncoder2"]],
  ["lora_te3_", ["textEncoder2"]], // T5 beside CLIP, in kohya's count of FLUX's encoders
  ["text_encoders.clip_l.transformer.", ["textEncoder"]],
  ["text_encoders.clip_g.transformer.", ["textEncoder2"]],
  ["text_encoders.t5xxl.transformer.", ["textEncoder2"]],
  ["text_encoder.", ["textEncoder"]],
  ["text_encoder_2.", ["textEncoder2"]],
  ["diffusion_model.", ["image"]],
  ["unet.", ["image"]],
  ["transformer.", ["image"]],
];

/** What programs put in front of all names, perhaps several of them; it tells nothing. */
const WRAPPERS =
  /^(?:(?:base_model\.model|module|model(?=\.diffusion_model\.))\.|base_model_model_|module_|_orig_mod_)/;

/** What torch.compile and others put between the parts of names. */
const INNER = /(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\./g;

/** A name without what programs have wrapped it in: e.g. "base_model.model.transformer.…" is "transformer.…". */
export function unwrapped(name: string): string {
  const plain = name.replaceAll(INNER, "");
  const rest = plain.replace(WRAPPERS, "");
  return rest === plain ? plain : unwrapped(rest);
}

/** Splits a file's name for a layer: the models it may be of, and its name there as `flatName` writes it. */
export function splitName(name: string): { parts: readonly LoraPart[]; layer: string } {
  let parts = ANY;
  let layer = unwrapped(name);
  for (;;) {
    const [front, own] = FRONTS.find(([front]) => layer.startsWith(front)) ?? [];
    if (!front || !own) return { parts, layer: flatName(layer) };
    if (parts === ANY) parts = own;
    layer = unwrapped(layer.slice(front.length));
  }
}

/**
 * A name as all formats have it in common:
 * kohya writes underscores for dots; attention processors are of no layer.
 */
export function flatName(name: string): string {
  return name.replaceAll(".", "_").replace(/_processor(?=_)/, "");
}
