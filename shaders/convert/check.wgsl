// Looks through a tensor that is in memory in the type of its file, only to make the notes of convert/lib/stored.wgsl.
// One invocation per element.
// With lib/element_main.wgsl, convert/lib/stored.wgsl and convert/lib/stored_elements.wgsl.
fn run(place: u32) {
  if (place < params.count) { _ = value_at(place); }
}
