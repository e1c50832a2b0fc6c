/**
 * Swirls a picture by a compute shader of its own, which runs and is profiled like those that are built in; see
 * docs/custom_kernels.md.
 * Run: deno run -A scripts/custom_kernel.ts docs/grid.png --turns 0.5
 */
import "./plain_errors.ts";
import "./command_line/shown_only.ts";
import { kernel, loadImage, openDevice, savePng } from "denoise";
import { readArguments } from "./command_line/arguments.ts";
import * as option from "./command_line/options.ts";

const { picture: path, turns } = readArguments(
  "scripts/custom_kernel.ts [picture]",
  "Swirls a picture by a compute shader of its own: swirl.png.",
  {
    picture: {
      ...option.file("a PNG, JPEG or WebP", `${import.meta.dirname}/../docs/grid.png`),
      shown: "docs/grid.png",
    },
    turns: option.number("of its middle", { value: 0.5 }),
  },
);

const swirl = /* wgsl */ `
struct Params { height: u32, width: u32, angle: f32 }

var<storage, read> x: array<f32>; // [1, 3, height, width]
var<uniform> params: Params;

fn pixel(channel: u32, at: vec2i) -> f32 {
  let inside = vec2u(clamp(at, vec2i(0), vec2i(i32(params.width), i32(params.height)) - 1));
  return x[(channel * params.height + inside.y) * params.width + inside.x];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32) {
  let place = workgroup_number(group, groups) * 64u + lane; // of a pixel
  if (place >= params.height * params.width) { return; }
  let to = vec2u(place % params.width, place / params.width);
  let size = vec2f(f32(params.width), f32(params.height));
  let off = vec2f(to) + 0.5 - size / 2;
  let angle = params.angle * max(0, 1 - 2 * length(off) / min(size.x, size.y));
  let from_ = mat2x2f(cos(angle), sin(angle), -sin(angle), cos(angle)) * off + size / 2 - 0.5;
  let corner = vec2i(floor(from_));
  let f = fract(from_);
  for (var channel = 0u; channel < 3u; channel++) {
    let top = mix(pixel(channel, corner), pixel(channel, corner + vec2i(1, 0)), f.x);
    let bottom = mix(pixel(channel, corner + vec2i(0, 1)), pixel(channel, corner + vec2i(1, 1)), f.x);
    store(channel, to.y, to.x, mix(top, bottom, f.y)); // of [1, 3, height, width]: batch, row, column
  }
}`;

using _device = await openDevice();
const picture = await loadImage(path);
const [, , height, width] = picture.shape as readonly [number, number, number, number];

const swirled = kernel({
  name: "swirl.wgsl",
  wgsl: swirl,
  inputs: [picture],
  shape: picture.shape,
  params: { height, width, angle: 2 * Math.PI * turns },
  workgroups: Math.ceil(height * width / 64),
});
await savePng("swirl.png", swirled.clamp(0, 1)); // the clamp runs within the kernel's store
console.log("swirl.png");
