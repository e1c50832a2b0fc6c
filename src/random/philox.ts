const ROUNDS = 10;

/**
 * Philox4x32-10 (Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405): four 32-bit words that depend
 * on nothing but a 64-bit key, the number of a stream and a place in that stream.
 */
export function philox(key: bigint, stream: number, place: number): [number, number, number, number] {
  let [k0, k1] = [Number(key & 0xffffffffn), Number(key >> 32n)];
  let [c0, c1] = [place >>> 0, Math.floor(place / 2 ** 32)];
  let [c2, c3] = [stream >>> 0, Math.floor(stream / 2 ** 32)];
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = mulHigh(0xd2511f53, c0);
    const high2 = mulHigh(0xcd9e8d57, c2);
    const low0 = Math.imul(0xd2511f53, c0);
    const low2 = Math.imul(0xcd9e8d57, c2);
    [c0, c1, c2, c3] = [(high2 ^ c1 ^ k0) >>> 0, low2 >>> 0, (high0 ^ c3 ^ k1) >>> 0, low0 >>> 0];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** The upper 32 bits of the product of two unsigned 32-bit numbers. */
function mulHigh(a: number, b: number): number {
  const [a0, a1] = [a & 0xffff, a >>> 16];
  const [b0, b1] = [b & 0xffff, b >>> 16];
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const lower = a0 * b1 + (middle & 0xffff);
  return a1 * b1 + Math.floor(middle / 2 ** 16) + (lower - (lower & 0xffff)) / 2 ** 16;
}
