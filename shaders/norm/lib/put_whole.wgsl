// Values go to `store` as they are: one or four at a time.
fn put(image: u32, pixel: u32, channel: u32, v: Value) {
  store(image, pixel, channel, v);
}
