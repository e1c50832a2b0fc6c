import { type Qwen3Config, ropeOf } from "./config.ts";

const f = Math.fround;

/**
 * Cosines and sines of the angles by which N tokens' heads are turned: pair i by position · frequency i (Su et al.
 * 2021), in torch's f32 arithmetic. → [N, head_dim / 2] twice
 */
export function qwen3Rope(
  N: number,
  config: Qwen3Config,
): { cos: Float32Array<ArrayBuffer>; sin: Float32Array<ArrayBuffer> } {
  const { frequencies, factor } = frequenciesOf(config);
  const pairs = frequencies.length;
  const cos = new Float32Array(N * pairs);
  const sin = new Float32Array(N * pairs);
  for (let at = 0; at < cos.length; at++) {
    const angle = f(Math.floor(at / pairs) * frequencies[at % pairs]!);
    cos[at] = f(Math.cos(angle)) * factor;
    sin[at] = f(Math.sin(angle)) * factor;
  }
  return { cos, sin };
}

/** The frequencies of a head's pairs, θ^(−2i / D) as the config scales them, and a factor on cosines and sines. */
function frequenciesOf(config: Qwen3Config): { frequencies: Float32Array; factor: number } {
  const { head_dim: D } = config;
  const rope = ropeOf(config);
  const powers = Float32Array.from({ length: D / 2 }, (_, i) => rope.rope_theta ** f(2 * i / D));
  const own = powers.map((power) => 1 / power);
  const longer = rope.factor ?? 1;
  switch (rope.rope_type) {
    case "default":
      return { frequencies: own, factor: 1 };
    case "linear":
      return { frequencies: own.map((frequency) => frequency / longer), factor: 1 };
    case "yarn": {
      const divided = powers.map((power) => 1 / f(longer * power));
      const [low, high] = yarnLimits(config);
      const frequencies = own.map((frequency, i) => {
        const kept = f(1 - Math.min(1, Math.max(0, f(f(i - low) / f(high - low)))));
        return f(divided[i]! * f(1 - kept)) + f(frequency * kept);
      });
      return { frequencies, factor: f(yarnFactor(config)) };
    }
  }
}

/** Pairs between which YaRN goes over from angles as they are to divided ones (Peng et al. 2023, section 3.2). */
function yarnLimits(config: Qwen3Config): readonly [low: number, high: number] {
  const { head_dim: D, max_position_embeddings } = config;
  const rope = ropeOf(config);
  const length = rope.original_max_position_embeddings ?? max_position_embeddings;
  const pairOf = (rotations: number) =>
    D * Math.log(length / (rotations * 2 * Math.PI)) / (2 * Math.log(rope.rope_theta));
  const [first, last] = [pairOf(rope.beta_fast ?? 32), pairOf(rope.beta_slow ?? 1)];
  const whole = rope.truncate ?? true;
  const low = Math.max(0, whole ? Math.floor(first) : first);
  const high = Math.min(D - 1, whole ? Math.ceil(last) : last);
  return [low, low === high ? high + 0.001 : high];
}

/** YaRN's factor on cosines and sines, by which attention stays as sharp (Peng et al. 2023, section 3.4). */
function yarnFactor(config: Qwen3Config): number {
  const { attention_factor, factor = 1, mscale, mscale_all_dim } = ropeOf(config);
  const of = (scale: number) => factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1;
  if (attention_factor !== undefined) return attention_factor;
  return mscale && mscale_all_dim ? of(mscale) / of(mscale_all_dim) : of(1);
}
