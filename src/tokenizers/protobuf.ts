/** A field of a message, as it stands in the file; what its number means only the message's schema tells. */
export interface Field {
  readonly number: number;
  /** A whole number, or the bytes of a float, a text or a message within the message. */
  readonly value: bigint | Uint8Array<ArrayBuffer>;
}

const LONGEST = 10; // bytes of a number of 64 bits, seven in each

/**
 * The fields of a protobuf message (https://protobuf.dev/programming-guides/encoding) in their order. Throws
 * a SyntaxError that says what is wrong at which byte; groups, which nothing has used for long, are refused.
 */
export function* fieldsOf(bytes: Uint8Array<ArrayBuffer>): Generator<Field, void, void> {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let i = 0; i < LONGEST; i++) {
      if (at >= bytes.length) throw wrong("more bytes of a number", "the end", at);
      const byte = bytes[at++]!;
      value |= BigInt(byte & 127) << BigInt(7 * i);
      if (byte < 128) return BigInt.asUintN(64, value);
    }
    throw wrong(`a number of at most ${LONGEST} bytes`, "a longer one", at);
  };
  const take = (length: bigint): Uint8Array<ArrayBuffer> => {
    if (length > BigInt(bytes.length - at)) throw wrong(`${length} bytes`, `${bytes.length - at}`, at);
    return bytes.subarray(at, at += Number(length));
  };
  while (at < bytes.length) {
    const start = at;
    const tag = varint();
    const [number, wire] = [Number(tag >> 3n), Number(tag & 7n)];
    if (number < 1 || number >= 2 ** 29) throw wrong("a field's number from 1", `${number}`, start);
    if (wire === 0) yield { number, value: varint() };
    else if (wire === 1) yield { number, value: take(8n) };
    else if (wire === 2) yield { number, value: take(varint()) };
    else if (wire === 5) yield { number, value: take(4n) };
    else throw wrong("a field of type 0, 1, 2 or 5", `${wire}`, start);
  }
}

function wrong(expected: string, got: string, at: number): SyntaxError {
  return new SyntaxError(`expected ${expected}, got ${got} at byte ${at}`);
}
