import { linspace, roundHalfEven } from "../core/math.ts";

/** How the steps of sampling spread over those of training (Lin et al. 2023, table 2). */
export type TimestepSpacing = "linspace" | "leading" | "trailing";

/** What decides the timesteps of sampling. */
export interface TimestepConfig {
  /** How many timesteps training had. */
  num_train_timesteps: number;
  /** How the steps spread over them. */
  timestep_spacing: TimestepSpacing;
  /** Added to each timestep of the leading spacing; Stable Diffusion has 1. */
  steps_offset: number;
}

/** `count` whole timesteps from the noisiest down. */
export function spacedTimesteps(config: TimestepConfig, count: number): number[] {
  const { num_train_timesteps: T, timestep_spacing, steps_offset } = config;
  if (!Number.isInteger(count) || count < 1 || count > T) {
    throw new RangeError(
      `Cannot set timesteps: expected 1 to ${T} steps (num_train_timesteps), got ${count}`,
    );
  }
  const timesteps = spacings[timestep_spacing](T, count, steps_offset);
  if (timesteps[0]! < T) return timesteps;
  throw new RangeError(
    `Cannot set ${count} timesteps: expected all below ${T} (num_train_timesteps), got ${timesteps[0]} ` +
      `with steps_offset ${steps_offset}; use fewer steps`,
  );
}

/** Custom timesteps, if they are whole, fall and lie within those of training. */
export function checkedTimesteps(
  { num_train_timesteps: T }: TimestepConfig,
  timesteps: readonly number[],
): number[] {
  const wrong = timesteps.findIndex((t, i) => !Number.isInteger(t) || t < 0 || t >= (timesteps[i - 1] ?? T));
  if (timesteps.length > 0 && wrong < 0) return [...timesteps];
  throw new RangeError(
    `Cannot set timesteps: expected whole numbers that fall from at most ${T - 1} to at least 0, got ` +
      (wrong < 0 ? "none" : `${timesteps[wrong]} at index ${wrong}`),
  );
}

const spacings = {
  linspace: (T: number, count: number) => linspace(0, T - 1, count).map(roundHalfEven).reverse(),
  leading: (T: number, count: number, offset: number) => {
    const stride = Math.floor(T / count);
    return Array.from({ length: count }, (_, i) => i * stride + offset).reverse();
  },
  trailing: (T: number, count: number) => {
    const stride = T - (T - T / count); // numpy.arange(T, 0, -T / count) takes it between its first two values
    return Array.from({ length: count }, (_, i) => roundHalfEven(T - i * stride) - 1);
  },
};
