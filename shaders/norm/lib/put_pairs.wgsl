// Values come two at a time, `store` takes one.
fn put(image: u32, pixel: u32, channel: u32, v: Value) {
  store(image, pixel, channel, v.x);
  store(image, pixel, channel + 1u, v.y);
}
