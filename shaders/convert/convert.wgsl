// Writes a piece of a stored tensor into a model's memory as W. One invocation per element.
// With lib/element_main.wgsl, convert/lib/stored.wgsl and one of convert/lib/stored_*.wgsl.
// Host sets: W.
alias W = f32;

var<storage, read_write> w: array<W>;

fn run(place: u32) {
  if (place >= params.count) { return; }
  w[params.first + place] = W(value_at(place));
}
