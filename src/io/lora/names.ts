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
  ["model.diffusion_model.", ["image"]],
  ["diffusion_model.", ["image"]],
  ["unet.", ["image"]],
  ["transformer.", ["image"]],
  ["base_model.model.", ANY],
  ["", ANY],
];

/** Splits a file's name for a layer: the models it may be of, and its name there as `flatName` writes it. */
export function splitName(name: string): { parts: readonly LoraPart[]; layer: string } {
  const [front, parts] = FRONTS.find(([front]) => name.startsWith(front))!;
  return { parts, layer: flatName(name.slice(front.length)) };
}

/**
 * A name as all formats have it in common:
 * kohya writes underscores for dots; attention processors are of no layer.
 */
export function flatName(name: string): string {
  return name.replaceAll(".", "_").replace(/_processor(?=_)/, "");
}
