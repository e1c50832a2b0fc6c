/** Adapters that are not built, and patterns of their keys. */
const OTHERS: readonly [kind: string, key: RegExp][] = [
  ["BOFT", /\.boft_/],
  ["OFT", /\.oft_(?!blocks$|R\b)/],
  ["GLoRA", /\.[ab][12]\.weight$|\.glora_/],
  ["IA3", /\.on_input$|\.ia3_l\b/],
  ["VeRA", /\.p?vera_lambda_/],
  ["AdaLoRA", /\.lora_E\b/],
  ["LoRA of tables of tokens", /\.lora_embedding_[AB]\b/],
  ["LoRA for layers of another shape", /\.reshape_weight$/],
  ["tokens of its own", /\.trainable_tokens_/],
  [
    "another adapter of peft",
    /\.(?:adamss|beft|bone|c3a|deft|delora|fourierft|frod|gralora|hira|hra|lily|ln_tuning|miss|osf|peanut|poly|psoft|randlora|road|shadow|shira|supertuning|tinylora|unilora|vblora|waveft)_/,
  ],
];

/** The kind of adapter by one of its keys, if it is one that is not built. */
export function unbuiltKind(key: string): string | undefined {
  return OTHERS.find(([, pattern]) => pattern.test(key))?.[0];
}

/** The program that wrote a file: the first row whose pattern one of the keys matches. */
const FORMATS: readonly [format: string, key: RegExp][] = [
  ["xlabs", /\.processor\.(?:qkv|proj)_lora\d?\./],
  ["OneTrainer", /^lora_transformer_/],
  ["LyCORIS", /^lycoris_/],
  ["kohya", /^lora_(?:unet|te\d?)_/],
  ["ComfyUI", /^(?:model\.)?diffusion_model\.|^text_encoders\./],
  ["fal", /^base_model\.model\.(?:double|single)_blocks\./],
  ["BFL", /^(?:double|single)_blocks\./],
  ["diffusers", /_lora\.(?:down|up)\.|\.lora\.(?:down|up)\.|\.lora_linear_layer\./],
];

/** The program whose names the keys have; "peft" where they are the model's own. */
export function formatOf(keys: readonly string[]): string {
  return FORMATS.find(([, pattern]) => keys.some((key) => pattern.test(key)))?.[0] ?? "peft";
}
