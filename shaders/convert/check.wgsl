// Looks through a tensor that lies in a model's memory as its file has it: the notes of convert/lib/stored.wgsl alone.
// One invocation per element.
// With lib/element_main.wgsl, convert/lib/stored.wgsl and convert/lib/stored_elements.wgsl.
fn run(place: u32) {
  if (place < params.count) { _ = value_at(place); }
}
