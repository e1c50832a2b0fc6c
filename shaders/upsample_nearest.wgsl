// Nearest-neighbour resize: y[b, i, j, :] = x[b, floor(i * H / out_h), floor(j * W / out_w), :], the ratio in f32 as in torch.
// x: [B, H, W, C], y: [B, out_h, out_w, C] (channels last), both dense. One invocation per value(s) of a pixel.
// With lib/element_main.wgsl, lib/values_*.wgsl.
struct Params {
  images: u32,
  channels: u32,
  in_h: u32,
  in_w: u32,
  out_h: u32,
  out_w: u32,
  scale_y: f32,
  scale_x: f32,
}

var<uniform> params: Params;

fn run(place: u32) {
  let runs = params.channels / LANES;
  let pixel = place / runs;
  if (pixel >= params.images * params.out_h * params.out_w) { return; }
  let channel = place % runs * LANES;
  let i = pixel / params.out_w % params.out_h;
  let j = pixel % params.out_w;
  let image = pixel / (params.out_w * params.out_h);
  let y = min(u32(f32(i) * params.scale_y), params.in_h - 1u);
  let x = min(u32(f32(j) * params.scale_x), params.in_w - 1u);
  store(image, i * params.out_w + j, channel, load(((image * params.in_h + y) * params.in_w + x) * params.channels + channel));
}
