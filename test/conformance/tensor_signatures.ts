/**
 * torch's parameters of each operation, in torch's order. In Denoise those in front of the bar go by position as
 * well, in the same order; those behind it go into the last argument, an object of options. `{a b}` are one object,
 * `*a` takes all that is left, `~a` is what Denoise has no choice in (its sort is always stable).
 */
export const SIGNATURES: Readonly<Record<string, string>> = {
  add: "input other",
  sub: "input other",
  mul: "input other",
  div: "input other",
  pow: "input exponent",
  maximum: "input other",
  minimum: "input other",
  fmod: "input other",
  remainder: "input other",
  atan2: "input other",
  rsub: "input other",
  where: "condition input other",
  masked_fill: "input mask value",
  clamp: "input min max",
  lerp: "input end weight",
  addcmul: "input tensor1 tensor2 | value",
  nan_to_num: "input nan posinf neginf",
  gelu: "input | approximate",
  softmax: "input dim",
  sum: "input dim | keepdim",
  mean: "input dim | keepdim",
  prod: "input dim | keepdim",
  amax: "input dim | keepdim",
  amin: "input dim | keepdim",
  any: "input dim | keepdim",
  all: "input dim | keepdim",
  logsumexp: "input dim | keepdim",
  std: "input dim | correction keepdim",
  var: "input dim | correction keepdim",
  norm: "input p dim | keepdim",
  logical_and: "input other",
  logical_or: "input other",
  logical_xor: "input other",
  eq: "input other",
  ne: "input other",
  gt: "input other",
  ge: "input other",
  lt: "input other",
  le: "input other",
  bmm: "input mat2",
  outer: "input vec2",
  transpose: "input dim0 dim1",
  swapaxes: "input axis0 axis1",
  movedim: "input source destination",
  permute: "input dims",
  view: "input size",
  reshape: "input shape",
  unflatten: "input dim sizes",
  squeeze: "input dim",
  unsqueeze: "input dim",
  expand: "input size",
  broadcast_to: "input size",
  narrow: "input dim start length",
  select: "input dim index",
  flip: "input dims",
  repeat: "input repeats",
  tile: "input dims",
  diagonal: "input offset dim1 dim2",
  diagonal_scatter: "input src offset dim1 dim2",
  diag: "input diagonal",
  tril: "input diagonal",
  triu: "input diagonal",
  flatten: "input start_dim end_dim",
  chunk: "input chunks dim",
  unbind: "input dim",
  roll: "input shifts dims",
  split: "input split_size_or_sections dim",
  pad: "input pad | mode value",
  repeat_interleave: "input repeats dim",
  gather: "input dim index",
  take_along_dim: "input indices dim",
  index_select: "input dim index",
  slice_scatter: "input src dim start end",
  select_scatter: "input src dim index",
  cat: "tensors dim",
  stack: "tensors dim",
  meshgrid: "tensors | indexing",
  arange: "start end step | dtype",
  linspace: "start end steps | dtype",
  eye: "n m | dtype",
  zeros: "size | dtype",
  ones: "size | dtype",
  full: "size fill_value | dtype",
  zeros_like: "input | dtype",
  ones_like: "input | dtype",
  full_like: "input fill_value | dtype",
  sort: "input dim | descending ~stable",
  argsort: "input dim | descending ~stable",
  topk: "input k dim | largest ~sorted",
  argmax: "input dim | keepdim",
  argmin: "input dim | keepdim",
  cumsum: "input dim",
  cumprod: "input dim",
  quantile: "input q dim | keepdim interpolation",
  interpolate: "input | size scale_factor mode align_corners recompute_scale_factor antialias",
  fft: "input | n dim norm",
  ifft: "input | n dim norm",
  rfft: "input | n dim norm",
  irfft: "input | n dim norm",
  fft2: "input | s dim norm",
  ifft2: "input | s dim norm",
  fftn: "input | s dim norm",
  ifftn: "input | s dim norm",
  rfft2: "input | s dim norm",
  irfft2: "input | s dim norm",
  rfftn: "input | s dim norm",
  irfftn: "input | s dim norm",
  rfftfreq: "n d",
  fftshift: "input dim",
  ifftshift: "input dim",
  fftfreq: "n d",
  conv1d: "input {weight bias} | stride padding dilation groups",
  conv2d: "input {weight bias} | stride padding dilation groups",
  conv_transpose2d: "input {weight bias} | stride padding output_padding groups dilation",
  matmul: "input other",
  einsum: "equation *operands",
  scatter: "input dim index src",
  scatter_add: "input dim index src",
  index_add: "input dim index source",
};

/** Arguments as Denoise takes them. */
export interface Bound {
  readonly positional: unknown[];
  readonly options: Record<string, unknown>;
}

/** Binds arguments to an operation's parameters as Python does, and hands them on as Denoise takes them. */
export function bind(op: string, args: readonly unknown[], kwargs: Readonly<Record<string, unknown>>): Bound {
  const [inFront, behind = ""] = (SIGNATURES[op] ?? "").split("|");
  const words = (text: string) => text.match(/\{[^}]*\}|\S+/g) ?? [];
  const names = [...words(inFront!), ...words(behind)].flatMap((word) => word.match(/[*~]?\w+/g)!);
  const values = new Map<string, unknown>();
  const rest: unknown[] = [];
  args.forEach((value, i) => {
    const name = names[i];
    if (name === undefined || name.startsWith("*")) rest.push(value);
    else values.set(name.replace("~", ""), value);
  });
  for (const [name, value] of Object.entries(kwargs)) values.set(name, value);

  const positional = words(inFront!).filter((word) => !word.startsWith("*")).map((word) => {
    const inner = word.startsWith("{") ? word.match(/\w+/g)! : undefined;
    const taken = (name: string) => {
      const value = values.get(name);
      values.delete(name);
      return value;
    };
    return inner ? Object.fromEntries(inner.map((name) => [name, taken(name)])) : taken(word);
  });
  for (const word of words(behind)) if (word.startsWith("~")) values.delete(word.slice(1));
  return { positional: [...positional, ...rest], options: Object.fromEntries(values) };
}
