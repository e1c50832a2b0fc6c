import { nearest } from "../../../core/error.ts";
import type { AdapterScale } from "./adapter_scale.ts";

/** The name of a pipeline's part that has adapters. */
export type Component = "unet" | "transformer" | "textEncoder" | "textEncoder2";

const COMPONENTS: readonly Component[] = ["unet", "transformer", "textEncoder", "textEncoder2"];

/** Strengths of an adapter in the parts of a pipeline, as in diffusers' set_adapters; 1 in those that are not named. */
export type ComponentScales = { readonly [component in Component]?: AdapterScale | undefined };

/** The strength in one part of a pipeline. */
export function inComponent(scale: number | ComponentScales, component: Component): AdapterScale {
  return typeof scale === "number" ? scale : scale[component] ?? 1;
}

/** The models among the parts of a pipeline that have adapters, by name. */
export function componentsOf<Model>(
  parts: { readonly [component in Component]?: Model | undefined },
): [Component, Model][] {
  return COMPONENTS.flatMap((name): [Component, Model][] => parts[name] ? [[name, parts[name]]] : []);
}

/** Throws where strengths are for parts that are not there. */
export function expectComponents(scale: number | ComponentScales, there: readonly Component[]): void {
  if (typeof scale === "number") return;
  const odd = Object.keys(scale).find((name) => !(there as readonly string[]).includes(name));
  if (odd === undefined) return;
  throw new Error(
    `Cannot set adapters of "${odd}": expected some of ${there.join(", ")}; nearest is "${
      nearest(odd, there)
    }"`,
  );
}
