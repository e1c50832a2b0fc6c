import groupNorm from "../../../shaders/norm/group_norm.wgsl" with { type: "text" };
import groupNormHeld from "../../../shaders/norm/group_norm_held.wgsl" with { type: "text" };
import groupNormParts from "../../../shaders/norm/group_norm_parts.wgsl" with { type: "text" };
import groupParts from "../../../shaders/norm/group_parts.wgsl" with { type: "text" };
import groupLanes from "../../../shaders/norm/lib/group_lanes.wgsl" with { type: "text" };
import groupMoments from "../../../shaders/norm/lib/group_moments.wgsl" with { type: "text" };
import groupParams from "../../../shaders/norm/lib/group_params.wgsl" with { type: "text" };
import putPairs from "../../../shaders/norm/lib/put_pairs.wgsl" with { type: "text" };
import putWhole from "../../../shaders/norm/lib/put_whole.wgsl" with { type: "text" };
import { bytesOf, type DType } from "../../core/dtype.ts";
import { size } from "../../core/shape.ts";
import type { Traits } from "../../gpu/traits.ts";
import type { Candidate } from "../../graph/node.ts";
import { type Snippet, snippet, type Tensor, WORKGROUP_MAIN } from "../../tensor/mod.ts";
import { sizeStep } from "../cost.ts";
import { choicesOfLanes, type Lanes, lanesFor } from "./lanes.ts";
import { type Picture, pictureOf } from "./picture.ts";
import { MOMENTS_FLOPS } from "./flops.ts";

/** The members of `struct Params`. */
export const PARAMS: Snippet = snippet("norm/lib/group_params", groupParams);
const READ = snippet("norm/group_norm", groupNorm, [PARAMS]);
const HELD = snippet("norm/group_norm_held", groupNormHeld, [PARAMS]);
const PARTS = {
  moments: snippet("norm/group_parts", groupParts, [PARAMS]),
  norm: snippet("norm/group_norm_parts", groupNormParts, [PARAMS]),
};
const LANES = snippet("norm/lib/group_lanes", groupLanes, [WORKGROUP_MAIN]);
const MOMENTS = snippet("norm/lib/group_moments", groupMoments);
const PUT = {
  whole: snippet("norm/lib/put_whole", putWhole),
  pairs: snippet("norm/lib/put_pairs", putPairs),
};

/** A picture whose channels are normalised by groups. */
export interface Groups {
  readonly picture: Picture;
  readonly dtype: DType;
  readonly images: number;
  readonly groups: number;
  readonly pixels: number;
  /** Channels of a group. */
  readonly width: number;
}

/** The picture x [B, C, ...] by groups of channels, ready to be read. */
export function groupsOf(x: Tensor, groups: number): Groups {
  const [B, C, ...sides] = x.shape as readonly [number, number, ...number[]];
  const width = C / groups;
  return { picture: pictureOf(x, width), dtype: x.dtype, images: B, groups, pixels: size(sides), width };
}

/**
 * The kernels that are right for a group norm on an adapter, the best guess first: groups that fit into the
 * registers of a workgroup are read once, and larger ones go through many workgroups. A software adapter has
 * neither so many registers nor processors that would wait.
 */
export function selectKernel(traits: Traits, g: Groups, eps: number): Candidate[] {
  const again = normRead(traits, g, eps);
  if (traits.software) return [again];
  return [normHeld(traits, g, eps), normInParts(traits, g, eps), again].filter((candidate) =>
    candidate !== undefined
  );
}

/**
 * The most values that a lane keeps in registers. AMD's GPUs before RDNA, which have subgroups of 64, give each
 * of 1024 lanes but 64 registers.
 */
const mostHeld = ({ lanes }: Traits) => lanes === 64 ? 40 : 44;
const EACH_HELD = 16; // that many where more lanes would take them

/** All of a group in the registers of one workgroup. */
function normHeld(traits: Traits, g: Groups, eps: number): Candidate | undefined {
  const across = g.width / g.picture.width;
  const stepsOf = ({ count }: Lanes) => Math.ceil(g.pixels / Math.floor(count / across));
  const fits = (lanes: Lanes, most: number) =>
    lanes.count >= across && stepsOf(lanes) * g.picture.width <= most;
  const choices = choicesOfLanes(traits);
  const lanes = choices.find((lanes) => fits(lanes, EACH_HELD)) ??
    choices.find((lanes) => fits(lanes, mostHeld(traits)));
  return lanes && {
    name: "group_norm",
    code: [...g.picture.code, lanes.part, putPart(g), HELD],
    set: { ...g.picture.set, WG: lanes.count, ACROSS: across, STEPS: stepsOf(lanes) },
    params: { ...paramsOf(g), eps },
    width: storeWidth(g),
    workgroups: g.images * g.groups,
  };
}

/** One workgroup for each group and image. */
function normRead(traits: Traits, g: Groups, eps: number): Candidate {
  const { part, set } = momentsOf(traits, g);
  return {
    name: "group_norm_read",
    plain: true,
    code: [...g.picture.code, ...part, putPart(g), READ],
    set,
    params: { ...paramsOf(g), eps },
    width: storeWidth(g),
    workgroups: g.images * g.groups,
  };
}

/** The snippets of `group_moments`, for one workgroup for each group and image, and their settings. */
export function momentsOf(traits: Traits, g: Groups): { part: Snippet[]; set: Candidate["set"] } {
  const across = g.width / g.picture.width;
  const lanes = lanesFor(traits, across * g.pixels);
  return {
    part: [lanes.part, MOMENTS],
    set: { ...g.picture.set, WG: lanes.count, ACROSS: traits.software ? 1 : Math.min(across, lanes.count) },
  };
}

const LINE = 64; // bytes that memory gives at once
const WG = 256;
const LEAST = 1 << 13; // elements of a part, which are worth a workgroup
const RESIDENT = 4; // workgroups of a processor

/** Many workgroups for each group and image: first the moments of their parts, then the picture. */
function normInParts(traits: Traits, g: Groups, eps: number): Candidate | undefined {
  const per = g.width / g.picture.width;
  if (per > WG) return undefined;
  const slices = [1, 2, 4, 8, 16, 32].filter((n) => g.groups % n === 0 && n * per <= WG);
  const inSlice = slices.find((n) => n * g.width * bytesOf(g.dtype) >= LINE) ?? slices.at(-1)!;
  const slicesOfAll = g.images * g.groups / inSlice;
  const wanted = Math.ceil(traits.multiprocessors * RESIDENT / slicesOfAll);
  const most = Math.max(1, Math.floor(inSlice * g.width * g.pixels / LEAST));
  const part = Math.ceil(g.pixels / Math.min(wanted, most));
  const parts = Math.ceil(g.pixels / part);
  const shared = {
    set: { ...g.picture.set, WG, ACROSS: inSlice * per, PER: per },
    params: { ...paramsOf(g), parts, part, eps },
    workgroups: slicesOfAll * parts,
  };
  const sources = g.picture.inputs.map((_, i) => i);
  return {
    ...shared,
    name: "group_norm_parts",
    code: [...g.picture.code, LANES, putPart(g), PARTS.norm],
    width: storeWidth(g),
    reads: [...sources, sources.length],
    before: [{
      ...shared,
      name: "group_parts",
      code: [...g.picture.code, LANES, PARTS.moments],
      width: 1,
      dtype: "f32",
      axes: [g.images, g.groups, parts, 3],
      flops: MOMENTS_FLOPS * g.images * g.groups * g.width * g.pixels,
    }],
  };
}

/** Values of norm/lib/group_params.wgsl, for a picture in one part. */
export function paramsOf({ picture, images, groups, pixels, width }: Groups): Record<string, number> {
  return { images, groups, pixels, width, ...picture.params, parts: 1, part: pixels, eps: 0 };
}

const putPart = ({ picture }: Groups) => PUT[picture.width === 2 ? "pairs" : "whole"];
const storeWidth = ({ picture }: Groups) => picture.width === 4 ? 4 : 1;

/** A name for pictures alike enough to share the candidate that was measured to be the fastest. */
export function shapeClassOf({ picture, dtype, images, groups, pixels, width }: Groups): string {
  return [picture.inputs.length, dtype, sizeStep(images * groups), sizeStep(pixels), width].join("/");
}
